"""Property tables: Arrow columns as the binary views EXT_structural_metadata and subtrees hold, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from twin.errors import MisuseError
from twin.metadata.schema import ENUM_NO_DATA, EXACT_INTEGER, ClassSchema, Property, Schema

_ARROW = {
    "INT8": pa.int8(), "UINT8": pa.uint8(), "INT16": pa.int16(), "UINT16": pa.uint16(), "INT32": pa.int32(),
    "UINT32": pa.uint32(), "INT64": pa.int64(), "UINT64": pa.uint64(), "FLOAT32": pa.float32(), "FLOAT64": pa.float64(),
}  # fmt: skip

_VIEW_KEYS = ("values", "arrayOffsets", "stringOffsets")


@dataclass(frozen=True, slots=True)
class EncodedTable:
    """A property table ready to be written.

    Attributes:
        json: The property table; its view indices count from 0.
        views: Bytes of each view, never empty; each must be placed at a multiple of 8 bytes.
    """

    json: dict[str, Any]
    views: list[bytes]

    def shifted(self, first_view: int) -> dict[str, Any]:
        """The JSON with its views numbered from `first_view`."""
        properties = {
            key: {name: value + first_view if name in _VIEW_KEYS else value for name, value in one.items()}
            for key, one in self.json.get("properties", {}).items()
        }
        return {**self.json, **({"properties": properties} if properties else {})}


def pad8(content: bytes, fill: bytes = b"\0") -> bytes:
    """`content` filled up to a multiple of 8 bytes."""
    return content + fill * (-len(content) % 8)


def encode_table(cls: ClassSchema, schema: Schema, rows: pa.Table) -> EncodedTable:
    """Encodes the columns of `rows` that the class knows; a column that is all null is left out.

    Args:
        cls: Class of the rows; its properties name the columns.
        schema: Schema that holds the enums of the class.
        rows: At least one row.

    Raises:
        MisuseError: No row, a missing column, a value outside its enum, or an integer that would lose digits.
    """
    if not rows.num_rows:
        raise MisuseError("a property table needs at least one row", next_step="do not write tiles without features")
    table: dict[str, Any] = {"class": cls.id, "count": rows.num_rows}
    views: list[bytes] = []
    properties: dict[str, Any] = {}
    for one in cls.properties:
        if one.source not in rows.schema.names:
            raise MisuseError(f"the rows lack the column {one.source}", next_step="give every column of the class")
        column = _single(rows.column(one.source))
        if _is_blank(one, column):
            continue
        entry, parts = _encode_column(one, schema, column)
        properties[one.id] = {key: value + len(views) if key in _VIEW_KEYS else value for key, value in entry.items()}
        views.extend(part or b"\0" for part in parts)  # glTF knows no empty view
    if properties:
        table["properties"] = properties
    return EncodedTable(table, views)


def _is_blank(one: Property, column: pa.Array) -> bool:
    """True if the column says nothing, so that leaving it out reads the same: all null, all empty lists or texts."""
    if one.array and one.count is None:
        return not pc.any(pc.greater(pc.list_value_length(column), 0)).as_py()
    if one.type == "STRING" and pa.types.is_string(column.type):
        return not pc.sum(pc.binary_length(column)).as_py()
    return one.no_data is not None and column.null_count == len(column)


def _single(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _encode_column(one: Property, schema: Schema, column: pa.Array) -> tuple[dict[str, Any], list[bytes]]:
    if one.array and one.count is None:
        return _encode_lists(one, schema, column)
    if one.array:
        return _encode_column(_element(one), schema, column.flatten())
    if one.type == "STRING":
        return _encode_strings(_as_text(column))
    if one.type == "BOOLEAN":
        bits = np.asarray(pc.fill_null(column, False).to_numpy(zero_copy_only=False), dtype=bool)
        return {"values": 0}, [np.packbits(bits, bitorder="little").tobytes()]
    if one.type == "ENUM":
        return {"values": 0}, [_enum_codes(one, schema, column).tobytes()]
    return {"values": 0}, [_numbers(one, column).tobytes()]


def _element(one: Property) -> Property:
    return Property(one.id, one.name, one.type, one.component_type, enum=one.enum, no_data=one.no_data)


def _encode_lists(one: Property, schema: Schema, column: pa.Array) -> tuple[dict[str, Any], list[bytes]]:
    lists = column.cast(pa.list_(column.type.value_type))
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    offsets = np.zeros(len(lists) + 1, np.uint32)
    np.cumsum(lengths, out=offsets[1:])
    flat = lists.flatten()
    entry, parts = _encode_column(_element(one), schema, flat)
    return {**entry, "arrayOffsets": len(parts)}, [*parts, offsets.tobytes()]


def _as_text(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_timestamp(column.type):
        column = pc.strftime(column, format="%Y-%m-%dT%H:%M:%S")
    if pa.types.is_null(column.type):
        return pa.array([""] * len(column), pa.string())
    return pc.fill_null(column.cast(pa.string()), "")


def _encode_strings(text: pa.Array) -> tuple[dict[str, Any], list[bytes]]:
    buffers = text.buffers()
    offsets = np.frombuffer(buffers[1], np.int32)[text.offset : text.offset + len(text) + 1] if len(text) else _ZERO
    first, last = int(offsets[0]), int(offsets[-1])
    content = bytes(memoryview(buffers[2])[first:last]) if buffers[2] is not None else b""
    kind, name = _offset_type(last - first)
    return {"values": 0, "stringOffsets": 1, "stringOffsetType": name}, [
        content,
        (offsets - first).astype(kind).tobytes(),
    ]


_ZERO = np.zeros(1, np.int32)


def _offset_type(size: int) -> tuple[type[np.unsignedinteger[Any]], str]:
    return (np.uint16, "UINT16") if size < 2**16 else (np.uint32, "UINT32")


def _enum_codes(one: Property, schema: Schema, column: pa.Array) -> NDArray[np.uint16]:
    values = schema.find_enum(one.enum)
    if pa.types.is_boolean(column.type):
        codes = pc.fill_null(column.cast(pa.int32()), ENUM_NO_DATA)
        return np.asarray(codes.to_numpy(zero_copy_only=False)).astype(np.uint16)
    text = _as_text(column)
    found = pc.index_in(text, value_set=pa.array(values.values, pa.string()))
    if not found.null_count:
        return np.asarray(found.to_numpy(zero_copy_only=False)).astype(np.uint16)
    blank = pc.equal(text, "")
    if pc.any(pc.and_(pc.is_null(found), pc.invert(blank))).as_py():
        stranger = pc.filter(text, pc.and_(pc.is_null(found), pc.invert(blank)))[0].as_py()
        raise MisuseError(f"{stranger!r} is not a value of the enum {values.id}", next_step="list it in `enums`")
    if values.no_data is None and found.null_count:
        raise MisuseError(f"the enum {values.id} has no value for null", next_step="make the column nullable")
    return np.asarray(pc.fill_null(found, ENUM_NO_DATA).to_numpy(zero_copy_only=False)).astype(np.uint16)


def _numbers(one: Property, column: pa.Array) -> NDArray[Any]:
    kind = _ARROW[str(one.component_type)]
    if pa.types.is_integer(column.type) and kind == pa.float64():
        _require_exact(one, column)
    if column.type == pa.float16() or pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if column.null_count and one.no_data is None:
        raise MisuseError(f"{one.source} holds nulls, but its field is not nullable", next_step="make it nullable")
    values = column.to_numpy(zero_copy_only=False) if not column.null_count else _filled(column, kind, one.no_data)
    numbers = np.asarray(values).astype(kind.to_pandas_dtype())
    if pa.types.is_floating(kind):
        numbers = np.where(np.isfinite(numbers), numbers, numbers.dtype.type(one.no_data))
    return numbers


def _filled(column: pa.Array, kind: pa.DataType, null: Any) -> NDArray[Any]:
    return np.asarray(pc.fill_null(column.cast(kind), pa.scalar(null, kind)).to_numpy(zero_copy_only=False))


def _require_exact(one: Property, column: pa.Array) -> None:
    found = pc.min_max(column).as_py()
    if max(abs(found["min"] or 0), abs(found["max"] or 0)) > EXACT_INTEGER:
        raise MisuseError(
            f"{one.source} holds integers beyond 2**53, which its stored type would round",
            next_step="pass `integer_ranges` of the whole layer to `class_from_arrow`",
        )


def decode_table(schema: Schema, table: Mapping[str, Any], view: Callable[[int], bytes]) -> pa.Table:
    """Reads a property table back: null where noData is stored or the property is left out.

    Args:
        schema: Schema with the table's class.
        table: JSON of the property table.
        view: Gives the bytes of a view by its index.

    Returns:
        One column per property, called like the property's Arrow column.
    """
    count = int(table["count"])
    columns = {}
    for one in schema.find_class(table["class"]).properties:
        entry = table.get("properties", {}).get(one.id)
        kind = _arrow_type(one)
        columns[one.source] = pa.nulls(count, kind) if entry is None else _decode(one, schema, entry, view, count)
    return pa.table(columns)


def _arrow_type(one: Property) -> pa.DataType:
    element = _ARROW[str(one.component_type)] if one.type == "SCALAR" else pa.bool_() if one.type == "BOOLEAN" else None
    element = element if element is not None else pa.string()
    if not one.array:
        return element
    return pa.list_(element) if one.count is None else pa.list_(element, one.count)


def _decode(
    one: Property, schema: Schema, entry: Mapping[str, Any], view: Callable[[int], bytes], count: int
) -> pa.Array:
    if one.array and one.count is None:
        offsets = _offsets(view(entry["arrayOffsets"]), entry.get("arrayOffsetType", "UINT32"), count)
        inner = _decode(_element(one), schema, entry, view, int(offsets[-1]))
        return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), inner)
    if one.array:
        inner = _decode(_element(one), schema, entry, view, count * int(one.count or 0))
        return pa.FixedSizeListArray.from_arrays(inner, int(one.count or 0))
    if one.type == "STRING":
        return _decode_strings(one, entry, view, count)
    values = view(entry["values"])
    if one.type == "BOOLEAN":
        return pa.array(np.unpackbits(np.frombuffer(values, np.uint8), count=count, bitorder="little").astype(bool))
    if one.type == "ENUM":
        return _decode_enum(schema, one, values, count)
    kind = _ARROW[str(one.component_type)]
    numbers = np.frombuffer(values, kind.to_pandas_dtype(), count)
    absent = None if one.no_data is None else numbers == numbers.dtype.type(one.no_data)
    return pa.array(numbers, kind, mask=absent)


def _offsets(content: bytes, kind: str, count: int) -> NDArray[np.int64]:
    return np.frombuffer(content, _ARROW[kind].to_pandas_dtype(), count + 1).astype(np.int64)


def _decode_strings(one: Property, entry: Mapping[str, Any], view: Callable[[int], bytes], count: int) -> pa.Array:
    offsets = _offsets(view(entry["stringOffsets"]), entry.get("stringOffsetType", "UINT32"), count).astype(np.int32)
    text = pa.StringArray.from_buffers(count, pa.py_buffer(offsets.tobytes()), pa.py_buffer(view(entry["values"])))
    text.validate(full=True)
    if one.no_data is None:
        return text
    return pc.if_else(pc.equal(text, one.no_data), pa.scalar(None, pa.string()), text)


def _decode_enum(schema: Schema, one: Property, values: bytes, count: int) -> pa.Array:
    codes = np.frombuffer(values, np.uint16, count)
    names = pa.array(schema.find_enum(one.enum).values, pa.string())
    return names.take(pa.array(codes.astype(np.int32), mask=codes == ENUM_NO_DATA))
