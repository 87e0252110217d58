"""The columns of a segment: one schema a layer, whatever its sources call and type their fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.project import Source
from twin.entity.aliases import alias_lists, scheme_of, written
from twin.sources.keys import key_text

ATTRIBUTE = "attr."

_NAMED = pa.dictionary(pa.int8(), pa.string())

#: Columns every segment has, before the source attributes.
CORE = pa.schema(
    [
        ("row", pa.int64()),  # feature of the source file
        ("part", pa.int32()),  # which polygon of it, where multiparts are exploded; else 0
        ("key", pa.string()),  # id in the source, as canonical text
        ("is_part", pa.bool_()),  # a building part
        ("part_of", pa.string()),  # key of the building a part belongs to, where the source says so
        ("name", pa.string()),
        ("address", pa.string()),
        ("aliases", pa.list_(pa.string())),  # further codes, `scheme:value`; null where the source names no such field
        ("storeys", pa.int32()),
        ("base_m", pa.float64()),
        ("height_m", pa.float64()),
        ("roof_m", pa.float64()),
        ("min_height_m", pa.float64()),
        ("height_source", _NAMED),
        ("height_confidence", pa.float32()),
        ("ground_source", _NAMED),
        ("x", pa.float64()),  # centre of gravity, working CRS
        ("y", pa.float64()),
        ("area_m2", pa.float64()),
        ("area_source_m2", pa.float64()),  # before any repair
        ("west", pa.float64()),
        ("south", pa.float64()),
        ("east", pa.float64()),
        ("north", pa.float64()),
        ("corners", pa.int32()),
        ("reasons", pa.uint64()),
    ]
)


def kept_fields(source: Source, fields: pa.Schema, row_id: str | None) -> list[str]:
    """Source fields that ride along as attributes, without those that already stand in a column of their own.

    Args:
        source: Says what to keep.
        fields: Fields of one of its files.
        row_id: Field that is the row number of the file format, no attribute of the thing; kept only if named.
    """
    own = {source.fields.id, source.fields.name, source.fields.address}
    if row_id is not None and row_id not in source.fields.keep:
        own.add(row_id)
    wanted = (
        fields.names if "*" in source.fields.keep else [name for name in fields.names if name in source.fields.keep]
    )
    return [name for name in wanted if name not in own]


def attribute_schema(sources: Iterable[tuple[Source, pa.Schema, str | None]]) -> pa.Schema:
    """One type for every attribute of a layer: the widest its sources use, text where they do not agree."""
    types: dict[str, pa.DataType] = {}
    for source, fields, row_id in sources:
        for name in kept_fields(source, fields, row_id):
            types[name] = _wider(types.get(name), _plain(fields.field(name).type))
    return pa.schema([(ATTRIBUTE + name, kind) for name, kind in sorted(types.items())])


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type an attribute is carried as; dates and the like become ISO text."""
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return kind
    if pa.types.is_floating(kind):
        return pa.float64()
    return pa.string()


def _wider(one: pa.DataType | None, other: pa.DataType) -> pa.DataType:
    if one is None or one == other:
        return other
    numeric = [pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in (one, other)]
    if not all(numeric):
        return pa.string()
    return pa.int64() if pa.types.is_integer(one) and pa.types.is_integer(other) else pa.float64()


def conform(attributes: pa.Table, schema: pa.Schema, count: int) -> list[pa.Array]:
    """Source attributes as the columns of the layer's schema; a field a source does not have is null."""
    columns = []
    for field in schema:
        name = field.name.removeprefix(ATTRIBUTE)
        if name in attributes.column_names:
            column = attributes.column(name)
            column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
            columns.append(_cast(column, field.type))
        else:
            columns.append(pa.nulls(count, field.type))
    return columns


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if column.type == kind:
        return column
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return pa.nulls(len(column), kind)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return pc.cast(column, kind, safe=False)


def text_column(attributes: pa.Table, field: str | None, count: int) -> pa.Array:
    """A field as text, empty text as null."""
    if field is None or field not in attributes.column_names:
        return pa.nulls(count, pa.string())
    text = pc.utf8_trim_whitespace(_cast(attributes.column(field).combine_chunks(), pa.string()))
    return pc.if_else(pc.equal(text, ""), None, text)


def source_aliases(attributes: pa.Table, fields: Sequence[str], count: int) -> pa.Array:
    """(n,) lists of `scheme:value`, one for every alias field that is filled; null where the source names no field."""
    there = [name for name in fields if name in attributes.column_names]
    if not there:
        return pa.nulls(count, pa.list_(pa.string()))
    return alias_lists(*(written(scheme_of(name), key_text(attributes.column(name))) for name in there))


def segment_table(core: Mapping[str, object], attributes: list[pa.Array], schema: pa.Schema) -> pa.Table:
    """A segment's table from its core columns and its attributes."""
    arrays = [
        value if isinstance(value, pa.Array | pa.ChunkedArray) else pa.array(value, type=field.type)
        for field in CORE
        for value in [core[field.name]]
    ]
    cast = [
        array if array.type == field.type else array.cast(field.type) for array, field in zip(arrays, CORE, strict=True)
    ]
    return pa.Table.from_arrays([*cast, *attributes], schema=pa.schema([*CORE, *schema]))
