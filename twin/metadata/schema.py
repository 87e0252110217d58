"""What the properties of a feature are called and how they are typed, in the words of the 3D Metadata Specification."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from twin.errors import MisuseError

#: Every identifier of a schema must look like this (3D Metadata Specification, "Identifiers").
IDENTIFIER = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")

#: Stands for null in every float property: the lowest float32, exact in JSON, float32 and float64. (NaN is not JSON.)
FLOAT_NO_DATA = -3.4028234663852886e38

#: Stored for null in every enum.
ENUM_NO_DATA = 65535

#: Largest magnitude up to which a double, hence a JavaScript number, holds every integer.
EXACT_INTEGER = 2**53


@dataclass(frozen=True, slots=True)
class Enum:
    """A closed list of values; a value is stored as its position in the list.

    Attributes:
        id: Identifier of the enum.
        values: Names, in stored order.
        no_data: Name of the value that stands for null, or None if there are no nulls.
        name: For people.
    """

    id: str
    values: tuple[str, ...]
    no_data: str | None = None
    name: str = ""

    def to_json(self) -> dict[str, Any]:
        """The enum as the specification writes it."""
        rows = [{"name": value, "value": code} for code, value in enumerate(self.values)]
        null = [] if self.no_data is None else [{"name": self.no_data, "value": ENUM_NO_DATA}]
        return {**({"name": self.name} if self.name else {}), "valueType": "UINT16", "values": rows + null}


@dataclass(frozen=True, slots=True)
class Property:
    """One property of a class.

    Attributes:
        id: ASCII identifier.
        name: For people; any script.
        type: SCALAR, STRING, BOOLEAN or ENUM.
        component_type: INT8 ... UINT64, FLOAT32, FLOAT64 of a SCALAR.
        array: True for a list of values.
        enum: Id of the enum of an ENUM.
        no_data: What is stored for null, or None if there is no null.
        description: One sentence for people.
        semantic: Meaning agreed on elsewhere, such as TILE_BOUNDING_BOX.
        count: Length of a fixed-length array; None where each row has its own length.
        column: Arrow column the values come from; empty where it is called like `id`.
    """

    id: str
    name: str
    type: str
    component_type: str | None = None
    array: bool = False
    enum: str | None = None
    no_data: Any = None
    description: str = ""
    semantic: str | None = None
    count: int | None = None
    column: str = ""

    @property
    def source(self) -> str:
        """Arrow column of the values."""
        return self.column or self.id

    def to_json(self) -> dict[str, Any]:
        """The property as the specification writes it."""
        rows = {
            "name": self.name if self.name and self.name != self.id else None,
            "description": self.description or None,
            "type": self.type,
            "componentType": self.component_type,
            "enumType": self.enum,
            "array": True if self.array else None,
            "count": self.count,
            "noData": self.no_data,
            "semantic": self.semantic,
        }
        return {key: value for key, value in rows.items() if value is not None}


@dataclass(frozen=True, slots=True)
class ClassSchema:
    """A class: the properties each of its features may have."""

    id: str
    properties: tuple[Property, ...]
    name: str = ""
    description: str = ""

    def to_json(self) -> dict[str, Any]:
        """The class as the specification writes it."""
        return {
            **({"name": self.name} if self.name else {}),
            **({"description": self.description} if self.description else {}),
            "properties": {one.id: one.to_json() for one in self.properties},
        }


@dataclass(frozen=True, slots=True)
class Schema:
    """The classes and enums of one tileset."""

    id: str
    classes: tuple[ClassSchema, ...]
    enums: tuple[Enum, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """The schema as the specification writes it."""
        enums = {one.id: one.to_json() for one in self.enums}
        return {
            "id": self.id,
            "classes": {one.id: one.to_json() for one in self.classes},
            **({"enums": enums} if enums else {}),
        }

    def find_class(self, class_id: str) -> ClassSchema:
        """The class called `class_id`; raises MisuseError if there is none."""
        for one in self.classes:
            if one.id == class_id:
                return one
        raise MisuseError(f"the schema {self.id} has no class {class_id}", next_step="use one of its classes")

    def find_enum(self, enum_id: str | None) -> Enum:
        """The enum called `enum_id`; raises MisuseError if there is none."""
        for one in self.enums:
            if one.id == enum_id:
                return one
        raise MisuseError(f"the schema {self.id} has no enum {enum_id}", next_step="use one of its enums")


def schema_from_json(document: Mapping[str, Any]) -> Schema:
    """Reads a schema back; column names are the property ids."""
    classes = tuple(
        ClassSchema(
            class_id,
            tuple(_property_from_json(key, value) for key, value in one.get("properties", {}).items()),
            one.get("name", ""),
            one.get("description", ""),
        )
        for class_id, one in document["classes"].items()
    )
    enums = tuple(_enum_from_json(key, value) for key, value in document.get("enums", {}).items())
    return Schema(document["id"], classes, enums)


def _property_from_json(property_id: str, row: Mapping[str, Any]) -> Property:
    return Property(
        property_id,
        row.get("name", property_id),
        row["type"],
        row.get("componentType"),
        row.get("array", False),
        row.get("enumType"),
        row.get("noData"),
        row.get("description", ""),
        row.get("semantic"),
        row.get("count"),
    )


def _enum_from_json(enum_id: str, row: Mapping[str, Any]) -> Enum:
    values = sorted((one["value"], one["name"]) for one in row["values"])
    null = next((name for code, name in values if code == ENUM_NO_DATA), None)
    return Enum(enum_id, tuple(name for code, name in values if code != ENUM_NO_DATA), null, row.get("name", ""))


def identifier(text: str) -> str:
    """An ASCII identifier for any text, the same one every time.

    Letters of other scripts become `u` and their code point (`楼层` → `u697c_u5c42`), everything else becomes `_`.
    """
    parts = []
    for char in text:
        if char.isascii():
            parts.append(char if char.isalnum() else "_")
        else:
            parts.append(f"_u{ord(char):x}_")
    joined = re.sub(r"_{2,}", "_", "".join(parts)) if not text.isascii() else "".join(parts)
    joined = joined.strip("_") if not text.isascii() else joined
    return joined if IDENTIFIER.fullmatch(joined) else f"_{joined}"


def identifiers(texts: Iterable[str]) -> list[str]:
    """Unique identifiers for texts, in their order; a later twin gets `_2`, `_3`, ...."""
    taken: set[str] = set()
    chosen = []
    for text in texts:
        base = identifier(text)
        candidate, turn = base, 1
        while candidate in taken:
            turn += 1
            candidate = f"{base}_{turn}"
        taken.add(candidate)
        chosen.append(candidate)
    return chosen


def expressible(kind: pa.DataType) -> bool:
    """True if a column of this Arrow type can become a property (all but binary, struct, map and nested lists)."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return not _is_list(kind.value_type) and expressible(kind.value_type) and not pa.types.is_null(kind.value_type)
    if pa.types.is_dictionary(kind):
        return expressible(kind.value_type)
    binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
    return not (binary or pa.types.is_nested(kind) or pa.types.is_duration(kind) or pa.types.is_interval(kind))


def integer_ranges(table: pa.Table) -> dict[str, tuple[int, int]]:
    """Lowest and highest value of each 64-bit integer column: what `class_from_arrow` needs to store them exactly."""
    ranges = {}
    for column in table.schema.names:
        if table.schema.field(column).type in (pa.int64(), pa.uint64()):
            found = pc.min_max(table[column]).as_py()
            ranges[column] = (found["min"] or 0, found["max"] or 0)
    return ranges


def class_from_arrow(
    class_id: str,
    columns: pa.Schema,
    names: Mapping[str, str],
    enums: Mapping[str, Sequence[str]] | None = None,
    ranges: Mapping[str, tuple[int, int]] | None = None,
) -> tuple[ClassSchema, tuple[Enum, ...]]:
    """Derives a class from Arrow columns: from their types, never from the values of one tile, so that tiles share it.

    How a type is stored, and what stands for its null, is told in `docs/tiles.md`. A field that is not nullable has no
    null value. 64-bit integers that may be null are stored as the narrowest type that is exact *and* that JavaScript
    reads as a plain number; `ranges` says what the whole layer holds (without it: float64, and `encode_table` refuses
    integers beyond 2**53).

    Args:
        class_id: Identifier of the class.
        columns: Arrow schema of the entity table.
        names: Column → name for people; a column that is not in it is called like itself.
        enums: Column of strings (dictionary or not) → every value it may take; other dictionaries become strings.
        ranges: Column → lowest and highest integer over the whole layer.

    Returns:
        The class, and the enums its properties refer to.

    Raises:
        MisuseError: A column has a type no property can hold (see `expressible`).
    """
    made: list[Enum] = []
    properties = []
    for column, property_id in zip(columns, identifiers(columns.names), strict=True):
        base = Property(property_id, names.get(column.name, column.name), "STRING", column=column.name)
        if enums is not None and column.name in enums:
            one = _enum_of(property_id, enums[column.name], column.nullable)
        elif pa.types.is_boolean(column.type) and column.nullable:
            one = Enum(property_id, ("no", "yes"), "unknown")
        else:
            properties.append(_typed(base, column, (ranges or {}).get(column.name)))
            continue
        made.append(one)
        properties.append(replace(base, type="ENUM", enum=one.id, no_data=one.no_data))
    return ClassSchema(class_id, tuple(properties)), tuple(made)


def _enum_of(enum_id: str, values: Sequence[str], nullable: bool) -> Enum:
    ordered = tuple(sorted({value for value in values if value}))
    if len(ordered) >= ENUM_NO_DATA:
        raise MisuseError(f"{enum_id} has {len(ordered)} values, too many for an enum", next_step="keep it a string")
    null = "unknown"
    while null in ordered:
        null += "_"
    return Enum(enum_id, ordered, null if nullable or not ordered else None)


def _typed(base: Property, column: pa.Field, bounds: tuple[int, int] | None) -> Property:
    kind = column.type
    if not expressible(kind):
        raise MisuseError(
            f"column {column.name} of type {kind} cannot become a tile property",
            next_step="leave it out of `keep`",
        )
    if _is_list(kind):
        return replace(_typed(base, pa.field(column.name, kind.value_type, nullable=False), None), array=True)
    if pa.types.is_boolean(kind):
        return replace(base, type="BOOLEAN")
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        width = "FLOAT32" if kind in (pa.float16(), pa.float32()) else "FLOAT64"
        return replace(base, type="SCALAR", component_type=width, no_data=FLOAT_NO_DATA)
    if pa.types.is_integer(kind):
        return _integer(base, kind, column.nullable, bounds)
    return replace(base, no_data="" if column.nullable else None)


#: Nullable integer types: stored type and what stands for null. Where a whole-range value could be meant, one size up.
_NULLABLE_INTEGERS = {
    "int8": ("INT16", -(2**15)),
    "uint8": ("INT16", -(2**15)),
    "int16": ("INT16", -(2**15)),
    "uint16": ("INT32", -(2**31)),
    "int32": ("INT32", -(2**31)),
    "uint32": ("UINT32", 2**32 - 1),
}


def _integer(base: Property, kind: pa.DataType, nullable: bool, bounds: tuple[int, int] | None) -> Property:
    if not nullable:
        return replace(base, type="SCALAR", component_type=str(kind).upper())
    if str(kind) in _NULLABLE_INTEGERS:
        stored, null = _NULLABLE_INTEGERS[str(kind)]
        return replace(base, type="SCALAR", component_type=stored, no_data=null)
    # CesiumJS reads INT64 as BigInt and never finds it equal to the JSON number in noData, so null would be a value.
    low, high = bounds if bounds is not None else (-EXACT_INTEGER, EXACT_INTEGER)
    if low > -(2**31) and high < 2**31:
        return replace(base, type="SCALAR", component_type="INT32", no_data=-(2**31))
    if low >= -EXACT_INTEGER and high <= EXACT_INTEGER:
        return replace(base, type="SCALAR", component_type="FLOAT64", no_data=FLOAT_NO_DATA)
    return replace(base, no_data="")


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))
