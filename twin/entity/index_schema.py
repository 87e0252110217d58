"""The columns of the entity index, and tables brought into the one form in which they are written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from twin.entity import geid as geids
from twin.errors import StoreError

ATTRIBUTE = "attr."
"""Beginning of the names of columns that hold attributes of the source."""

GEOMETRY = "geometry"
POLYGONS = pa.list_(pa.list_(pa.list_(pa.list_(pa.float64(), 2))))
"""Polygons of rings of (x, y): working CRS, metres, rings closed, the exterior first."""

_TEXT, _NUMBER = pa.string(), pa.float64()

INDEX_FIELDS: tuple[pa.Field, ...] = (
    pa.field("geid", _TEXT),
    pa.field("layer", _TEXT),
    pa.field("entity_class", _TEXT),
    pa.field("source", _TEXT),
    pa.field("source_key", _TEXT),
    pa.field("name", _TEXT),
    pa.field("address", _TEXT),
    pa.field("aliases", pa.list_(_TEXT)),  # `scheme:value`
    pa.field("parent", _TEXT),  # geid of the entity it is part of
    pa.field("tile", _TEXT),  # content key; null: not drawn
    pa.field("row", pa.int32()),  # feature row in the tile; -1: not drawn
    pa.field("lon", _NUMBER),  # degrees
    pa.field("lat", _NUMBER),
    pa.field("height", _NUMBER),  # ellipsoidal, metres, of the base
    pa.field("west", _NUMBER),  # degrees
    pa.field("south", _NUMBER),
    pa.field("east", _NUMBER),
    pa.field("north", _NUMBER),
    pa.field("base_m", _NUMBER),  # in the project's vertical datum
    pa.field("roof_m", _NUMBER),
    pa.field("height_m", _NUMBER),  # above the base
    pa.field("min_height_m", _NUMBER),  # of the lower end above the base: a passage, an arcade; 0 on the ground
    pa.field("storeys", _NUMBER),
    pa.field("height_source", _TEXT),
    pa.field("height_confidence", pa.float32()),  # 0 to 1
    pa.field("ground_source", _TEXT),
    pa.field("lod", _TEXT),
    pa.field("outcome", _TEXT),
    pa.field("reasons", pa.list_(_TEXT)),
    pa.field(GEOMETRY, POLYGONS),
)
"""The columns every index has, in this order."""

_REQUIRED = ("geid", "layer")


def index_schema(attributes: Iterable[pa.Field] = ()) -> pa.Schema:
    """Schema of an index.

    Args:
        attributes: Fields of the source, carried along as `attr.<name>`; dictionaries are written decoded.
    """
    own = [pa.field(ATTRIBUTE + field.name.removeprefix(ATTRIBUTE), _plain(field.type)) for field in attributes]
    return pa.schema([*INDEX_FIELDS, *own])


def _plain(kind: pa.DataType) -> pa.DataType:
    """Dictionaries would show the order of work in their values, so they are decoded."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    return _TEXT if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) else kind


def sorted_table(table: pa.Table, path: Path) -> pa.Table:
    """A table sorted by geid, in one chunk, with nothing left of how it came about.

    Raises:
        StoreError: If a geid is missing, malformed or repeated, or a column is unknown or of a wrong type.
    """
    schema = index_schema(table.schema.field(name) for name in table.column_names if name.startswith(ATTRIBUTE))
    unknown = sorted(set(table.column_names) - set(schema.names))
    lacking = [name for name in _REQUIRED if name not in table.column_names]
    if unknown or lacking:
        what = f"unknown columns {unknown}" if unknown else f"missing columns {lacking}"
        raise StoreError(f"the table is no entity index: {what}", file=path, next_step="see `index_schema`")
    order = None if _is_sorted(table["geid"]) else pc.sort_indices(table["geid"])
    columns = [_settled(table, field, order, path) for field in schema]
    _check_geids(columns[0], path)
    return pa.Table.from_arrays(columns, schema=schema)


def _is_sorted(column: pa.ChunkedArray) -> bool:
    """True if a copy in another order can be spared."""
    flat = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return len(flat) < 2 or bool(pc.all(pc.less(flat[:-1], flat[1:])).as_py())


def _settled(table: pa.Table, field: pa.Field, order: pa.Array | None, path: Path) -> pa.Array:
    if field.name not in table.column_names:
        return pa.nulls(table.num_rows, field.type)
    try:
        column = table[field.name]
        column = column if column.type == field.type else column.cast(field.type)
        column = column if order is None else column.take(order)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        what = f"the column {field.name!r} does not fit {field.type} ({error})"
        raise StoreError(what, file=path, next_step="see `index_schema`") from error
    chunks = column.chunks or [pa.array([], field.type)]
    # A single chunk is used as it is: putting it together would copy it.
    return _without_leftovers(chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks))


def _without_leftovers(array: pa.Array) -> pa.Array:
    """Zeroes what lies under nulls, which would otherwise depend on where the column comes from."""
    if array.null_count == 0 or not (pa.types.is_primitive(array.type) and array.type.bit_width >= 8):
        return array
    width = array.type.bit_width // 8
    data = np.frombuffer(array.buffers()[1], dtype=np.uint8)[array.offset * width :][: len(array) * width].copy()
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    data.reshape(-1, width)[~valid] = 0
    bits = pa.py_buffer(np.packbits(valid, bitorder="little").tobytes())
    return pa.Array.from_buffers(array.type, len(array), [bits, pa.py_buffer(data)])


def _check_geids(column: pa.Array, path: Path) -> None:
    if column.null_count:
        raise StoreError("an entity has no geid", file=path, next_step="mint one for every entity")
    wrong = pc.not_equal(pc.binary_length(column), geids.TEXT_LENGTH)
    if pc.any(wrong).as_py():
        bad = column.filter(wrong)[0].as_py()
        raise StoreError(f"{bad[:40]!r} is no geid", file=path, feature=bad[:40], next_step="write the form of `mint`")
    repeated = pc.equal(column[1:], column[:-1])
    if pc.any(repeated).as_py():
        twice = column[1:].filter(repeated)[0].as_py()
        raise StoreError(
            f"two entities have the geid {twice}",
            file=path,
            feature=twice,
            next_step='look for a repeated source key; set `duplicates = "union"` if they are pieces of one thing',
        )
