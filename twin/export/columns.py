"""Columns in forms that other formats know: text for lists, whole numbers that fit, names that differ."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from twin.entity.rows import json_value


def flat_table(table: pa.Table) -> pa.Table:
    """A table a relational database can hold: lists as JSON text, odd types as text, names apart for every letter case.

    Nothing is rounded, nothing left out.
    """
    columns = [flat(table[name]) for name in table.column_names]
    return pa.Table.from_arrays(columns, names=apart(table.column_names))


def flat(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """One column in a type of relational databases; by its type alone, never by its values."""
    kind = column.type
    if _is_nested(kind):
        texts = [None if value is None else _json(value) for value in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.string())])
    if pa.types.is_uint64(kind) or pa.types.is_decimal(kind):
        return column.cast(pa.string())
    if pa.types.is_time(kind) or pa.types.is_duration(kind):
        texts = [None if value is None else str(json_value(value)) for value in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.string())])
    if pa.types.is_null(kind) or pa.types.is_dictionary(kind):
        return column.cast(pa.string())
    return column


def flat_schema(schema: pa.Schema) -> pa.Schema:
    """What `flat_table` makes of a schema."""
    return flat_table(schema.empty_table()).schema


def _is_nested(kind: pa.DataType) -> bool:
    return bool(pa.types.is_nested(kind))


def _json(value: Any) -> str:
    return orjson.dumps(json_value(value)).decode()


def apart(names: Iterable[str]) -> list[str]:
    """Names that differ in more than the case of letters: a second `attr.Name` becomes `attr.NAME (2)`."""
    seen: set[str] = set()
    found = []
    for name in names:
        written, number = name, 1
        while written.casefold() in seen:
            number += 1
            written = f"{name} ({number})"
        seen.add(written.casefold())
        found.append(written)
    return found


def json_columns(table: pa.Table) -> dict[str, list[Any]]:
    """Every column as values ready for JSON."""
    return {name: _json_column(table[name]) for name in table.column_names}


def _json_column(column: pa.ChunkedArray) -> list[Any]:
    kind = column.type
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_finite(column), column, pa.scalar(None, kind))
        values: list[Any] = column.to_pylist()
        # A single-precision number is told with the digits it has: 0.9, not 0.8999999761581421.
        return [None if v is None else float(f"{v:.7g}") for v in values] if pa.types.is_float32(kind) else values
    values = column.to_pylist()
    if pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_boolean(kind):
        return values
    return [json_value(value) for value in values]
