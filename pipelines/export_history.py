"""A snapshot of the history as a table of entities: typed attributes, mapped from a file, read page by page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from twin.entity.index_schema import ATTRIBUTE
from twin.errors import MisuseError
from twin.registry.history_areas import placed
from twin.registry.versions import RECORDED_FIELDS, History, Time, Window

PAGE = 20_000
"""Entities asked for at once."""

_RAW, _TYPED = "raw.arrow", "entities.arrow"


@dataclass(frozen=True, slots=True)
class Moment:
    """A pair of times, both given, so that the answer never changes.

    Attributes:
        valid: In the world, UTC.
        as_of: What was known then, UTC.
    """

    valid: Time
    as_of: Time


def pin(history: History, valid: Time | None, as_of: Time | None) -> Moment:
    """Fills in the time that was not given, without asking a clock.

    What was known: all up to the latest edition. When it was so: the moment of that knowledge.

    Raises:
        MisuseError: The history is empty, or nothing had been recorded by `as_of`.
    """
    recorded = [one.recorded_at for one in history.editions() if as_of is None or one.recorded_at <= as_of]
    if not recorded:
        what = "the history is empty" if as_of is None else f"nothing had been recorded by {as_of.isoformat()}"
        raise MisuseError(what, next_step="run `twin update` first, or leave the times out to export the release")
    known = as_of or recorded[-1]
    return Moment(valid or known, known)


def snapshot_table(history: History, window: Window, folder: Path) -> pa.Table:
    """Writes a snapshot to a file, a page at a time, and maps it.

    Args:
        history: Where it comes from.
        window: What is wanted; both times given.
        folder: Holds the files; belongs to the caller and must outlive the table.

    Returns:
        `RECORDED_FIELDS`, `attributes` opened up into columns `attr.<field>`; sorted by geid.
    """
    kinds: dict[str, pa.DataType] = {}
    raw = pa.schema(RECORDED_FIELDS)
    with _writer(folder / _RAW, raw) as sink:
        for page in _pages(history, window):
            _widen(kinds, page["attributes"])
            sink.write_table(page.select(raw.names).cast(raw))
    typed = pa.schema([*(field for field in raw if field.name != "attributes"), *_fields(kinds)])
    with pa.memory_map(str(folder / _RAW)) as mapped, _writer(folder / _TYPED, typed) as sink:
        reader = pa.ipc.open_file(mapped)
        for number in range(reader.num_record_batches):
            sink.write_table(_opened(pa.table(reader.get_batch(number)), typed))
    (folder / _RAW).unlink()
    return pa.ipc.open_file(pa.memory_map(str(folder / _TYPED))).read_all()


def _writer(path: Path, schema: pa.Schema) -> pa.RecordBatchFileWriter:
    return pa.ipc.new_file(str(path), schema)


def _pages(history: History, window: Window) -> Iterator[pa.Table]:
    after = window.after
    while True:
        page = history.snapshot(replace(window, after=after, limit=PAGE))
        if page.num_rows:
            yield placed(history, page, window)
        if page.num_rows < PAGE:
            return
        after = page["geid"][-1].as_py()


def _fields(kinds: dict[str, pa.DataType]) -> list[pa.Field]:
    return [pa.field(ATTRIBUTE + name, kind) for name, kind in sorted(kinds.items())]


def _widen(kinds: dict[str, pa.DataType], column: pa.ChunkedArray) -> None:
    """Takes the attributes of a page into account: the widest type of each, text where values do not agree."""
    for text in column.to_pylist():
        for name, value in (orjson.loads(text) if text else {}).items():
            kind = _kind(value)
            before = kinds.get(name)
            if before is None or pa.types.is_null(before):
                kinds[name] = kind
            elif before != kind and not pa.types.is_null(kind):
                numeric = {before, kind} <= {pa.int64(), pa.float64()}
                kinds[name] = pa.float64() if numeric else pa.string()


def _kind(value: Any) -> pa.DataType:
    match value:
        case None:
            return pa.null()
        case bool():
            return pa.bool_()
        case int():
            return pa.int64() if -(2**63) <= value < 2**63 else pa.string()
        case float():
            return pa.float64()
    return pa.string()


def _opened(page: pa.Table, schema: pa.Schema) -> pa.Table:
    objects = [orjson.loads(text) if text else {} for text in page["attributes"].to_pylist()]
    columns = []
    for field in schema:
        if field.name in page.column_names:
            columns.append(page[field.name])
        else:
            values = [_as(one.get(field.name.removeprefix(ATTRIBUTE)), field.type) for one in objects]
            columns.append(pa.chunked_array([pa.array(values, field.type)]))
    return pa.Table.from_arrays(columns, schema=schema)


def _as(value: Any, kind: pa.DataType) -> Any:
    if value is None or not pa.types.is_string(kind) or isinstance(value, str):
        return value
    return orjson.dumps(value).decode()
