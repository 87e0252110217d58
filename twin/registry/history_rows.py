"""Versions as columns of Arrow and as rows of a database, and what a table of versions must keep to."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from twin.entity import geid as geids
from twin.errors import MisuseError
from twin.registry.history_tables import FOREVER, RECORDED, VERSION
from twin.registry.versions import TIME, Time

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
_DASHES = np.array([4, 9, 14])
_LETTERS = np.array([i + i // 4 for i in range(geids.LENGTH)])
_VALUES = np.full(256, 255, dtype=np.uint8)
_VALUES[np.frombuffer(geids.ALPHABET.encode(), dtype=np.uint8)] = np.arange(32, dtype=np.uint8)


def to_micros(moment: Time) -> int:
    """Microseconds since 1970 UTC.

    Raises:
        MisuseError: If the moment has no time zone.
    """
    if moment.tzinfo is None:
        raise MisuseError(f"the time {moment.isoformat()} has no time zone", next_step="add one, for example UTC")
    return (moment - _EPOCH) // _MICROSECOND


def to_time(micros: int) -> Time:
    """The moment of so many microseconds since 1970, UTC."""
    return _EPOCH + micros * _MICROSECOND


def are_geids(column: pa.Array) -> NDArray[np.bool_]:
    """(n,) text -> which are identifiers in the form of `mint`, check character included."""
    fits = pc.fill_null(pc.equal(pc.binary_length(column), geids.TEXT_LENGTH), False).to_numpy(zero_copy_only=False)
    valid = np.zeros(len(column), dtype=np.bool_)
    texts = column.filter(pa.array(fits))
    if len(texts):
        letters = np.frombuffer("".join(texts.to_pylist()).encode(), dtype=np.uint8)
        letters = letters.reshape(-1, geids.TEXT_LENGTH)
        values = _VALUES[letters[:, _LETTERS]]
        known = (values < 32).all(axis=1) & (letters[:, _DASHES] == ord("-")).all(axis=1)
        valid[fits] = known & (geids.syndrome(np.where(values < 32, values, 0)) == 0)
    return valid


def settled(table: pa.Table, valid_from: Time) -> pa.Table:
    """A table of versions with every column of `VERSION_FIELDS`, sorted by geid and span, and checked.

    Args:
        table: Some of the columns, in any order.
        valid_from: What `valid_from` is where it is missing.

    Raises:
        MisuseError: A column is unknown or of a wrong type, a geid is malformed or stands twice for overlapping spans,
            or a span is empty.
    """
    unknown = sorted(set(table.column_names) - set(VERSION.names))
    if unknown:
        raise MisuseError(f"a version has no column {unknown[0]!r}", next_step="see `VERSION_FIELDS`")
    columns = {field.name: _column(table, field) for field in VERSION}
    columns["valid_from"] = pc.fill_null(columns["valid_from"], pa.scalar(valid_from, TIME))
    columns["present"] = pc.fill_null(columns["present"], True)
    whole = pa.table([columns[name] for name in VERSION.names], schema=VERSION)
    _refuse_strangers(whole["geid"])
    return _sorted_spans(whole)


def _column(table: pa.Table, field: pa.Field) -> pa.Array:
    if field.name not in table.column_names:
        return pa.nulls(table.num_rows, field.type)
    chunks = table[field.name].chunks
    column = chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks or [pa.nulls(0, field.type)])
    try:
        column = column if column.type == field.type else column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        what = f"the column {field.name!r} does not fit {field.type} ({error})"
        raise MisuseError(what, next_step="see `VERSION_FIELDS`") from error
    if pa.types.is_floating(field.type):
        return pc.if_else(pc.fill_null(pc.is_nan(column), False), pa.scalar(None, field.type), column)
    return column


def _refuse_strangers(column: pa.ChunkedArray) -> None:
    flat = column.combine_chunks()
    wrong = np.flatnonzero(~are_geids(flat))
    if len(wrong):
        bad = flat[int(wrong[0])].as_py()
        raise MisuseError(f"{bad!r} is no geid", feature=bad, next_step="write the form of `twin.entity.geid.mint`")


def _sorted_spans(table: pa.Table) -> pa.Table:
    """Sorted by geid and `valid_from`; refuses empty spans and spans of one entity that overlap."""
    names = table["geid"].combine_chunks()
    if not pc.all(pc.less(names[:-1], names[1:])).as_py():
        table = table.take(pc.sort_indices(table, [("geid", "ascending"), ("valid_from", "ascending")]))
    start, end = span_micros(table)
    names = table["geid"].combine_chunks()
    _refuse_rows(end <= start, names, "ends before it begins", "give `valid_to` after `valid_from`, or none")
    same = pc.equal(names[1:], names[:-1]).to_numpy(zero_copy_only=False)
    twice = same & (start[1:] < end[:-1])
    _refuse_rows(np.append(twice, False), names, "is asserted twice for one moment", "keep one of the two")
    return table


def _refuse_rows(wrong: NDArray[np.bool_], names: pa.Array, what: str, step: str) -> None:
    rows = np.flatnonzero(wrong)
    if len(rows):
        name = names[int(rows[0])].as_py()
        raise MisuseError(f"a version of {name} {what}", feature=name, next_step=step)


def span_micros(table: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(n,) begin and end of the spans in microseconds; `FOREVER` where there is no end."""
    start = table["valid_from"].cast(pa.int64()).to_numpy()
    end = pc.fill_null(table["valid_to"].cast(pa.int64()), FOREVER).to_numpy()
    return start, end


def python_columns(table: pa.Table) -> list[list[Any]]:
    """The columns of a settled table as a database takes them."""
    return [_to_python(field.name, table[field.name]) for field in table.schema]


def _to_python(name: str, column: pa.ChunkedArray) -> list[Any]:
    kind = column.type
    if name == "valid_to":
        return list(pc.fill_null(column.cast(pa.int64()), FOREVER).to_numpy().tolist())
    if column.null_count == len(column):
        return [None] * len(column)
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.int64())
    elif pa.types.is_list(kind):
        return [None if value is None else orjson.dumps(value).decode() for value in column.to_pylist()]
    values = column.to_numpy(zero_copy_only=False)
    if column.null_count and pa.types.is_floating(kind):
        values = values.astype(object)
        values[column.is_null().to_numpy()] = None
    return list(values.tolist())


def recorded_table(rows: Sequence[Sequence[Any]], schema: pa.Schema = RECORDED) -> pa.Table:
    """Rows of a database, in the order of a schema made of `RECORDED_FIELDS`, as a table."""
    if not rows:
        return schema.empty_table()
    columns = zip(schema, zip(*rows, strict=True), strict=True)
    return pa.Table.from_arrays([_from_python(field, values) for field, values in columns], schema=schema)


def _from_python(field: pa.Field, values: Sequence[Any]) -> pa.Array:
    convert = _READ.get(field.name)
    return pa.array(convert(values) if convert else values, field.type)


def _ends(values: Sequence[int]) -> pa.Array:
    micros = np.array(values, dtype=np.int64)
    return pa.array(micros, pa.int64(), mask=micros == FOREVER).cast(TIME)


def _times(values: Sequence[int]) -> pa.Array:
    return pa.array(np.array(values, dtype=np.int64)).cast(TIME)


def _lists(values: Sequence[str | None]) -> list[Any]:
    return [None if value is None else orjson.loads(value) for value in values]


_READ: dict[str, Callable[[Sequence[Any]], Any]] = {
    "valid_to": _ends,
    "valid_from": _times,
    "recorded_at": _times,
    "aliases": _lists,
    "present": lambda values: np.array(values, dtype=np.bool_),  # SQLite keeps 0 and 1
}
