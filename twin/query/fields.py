"""The properties of features: which column each of them is, what type it has, and its JSON Schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from twin.entity.index_schema import ATTRIBUTE, GEOMETRY

_TITLES: Mapping[str, str] = {
    "geid": "Identifier of the entity, the id of the feature",
    "layer": "Layer it is drawn in",
    "entity_class": "Class, the collection it stands in",
    "source": "Data set it comes from",
    "source_key": "Its key there",
    "name": "Name",
    "address": "Address",
    "aliases": "Names in other systems, scheme:value",
    "parent": "Identifier of the entity it is part of",
    "height": "Height of the base above the ellipsoid, metres",
    "base_m": "Height of the base in the vertical datum of the project, metres",
    "roof_m": "Height of the roof in the vertical datum of the project, metres",
    "height_m": "Height of the roof above the base, metres",
    "min_height_m": "Height of the lower end above the base, metres; 0 on the ground",
    "storeys": "Number of storeys",
    "height_source": "Where the height comes from",
    "height_confidence": "How far the height can be trusted, 0 to 1",
    "ground_source": "Where the height of the ground comes from",
    "lod": "Level of detail",
    "outcome": "What became of it in the build",
    "reasons": "Reason codes of the build",
    "valid_from": "From when on it was so",
    "valid_to": "Until when it was so; null until further notice",
}
#: Columns that say where something is drawn or are told by the geometry.
_LEFT_OUT = frozenset(
    ("tile", "row", "lon", "lat", "west", "south", "east", "north", GEOMETRY,
     "attributes", "provenance", "present", "edition", "recorded_at")
)  # fmt: skip
TIMES = ("valid_from", "valid_to")


@dataclass(frozen=True, slots=True)
class Field:
    """A property.

    Attributes:
        name: What clients call it.
        column: Its column in the table.
        type: Its Arrow type.
    """

    name: str
    column: str
    type: pa.DataType

    @property
    def is_list(self) -> bool:
        """True where a feature may have several values."""
        return bool(pa.types.is_list(self.type))


def fields_of(schema: pa.Schema) -> dict[str, Field]:
    """Properties by name: the facts, then the attributes of the source.

    An attribute loses its `attr.` unless a fact, the geometry or another attribute has the bare name already.
    """
    facts = [Field(one.name, one.name, one.type) for one in schema if _is_fact(one.name)]
    taken = {one.name for one in facts} | {GEOMETRY, "id", *_TITLES}
    found = {one.name: one for one in facts}
    for one in schema:
        if one.name.startswith(ATTRIBUTE):
            bare = one.name.removeprefix(ATTRIBUTE)
            name = one.name if bare in taken or not bare else bare
            found[name] = Field(name, one.name, one.type)
    return found


def _is_fact(name: str) -> bool:
    return name not in _LEFT_OUT and not name.startswith(ATTRIBUTE)


def schema_of(field: Field) -> dict[str, Any]:
    """JSON Schema of a property."""
    title = _TITLES.get(field.name, field.name)
    if field.is_list:
        return {"title": title, "type": "array", "items": _type(field.type.value_type)}
    return {"title": title, **_type(field.type)}


def _type(kind: pa.DataType) -> dict[str, str]:
    tests: Iterable[tuple[Any, dict[str, str]]] = (
        (pa.types.is_boolean, {"type": "boolean"}),
        (pa.types.is_integer, {"type": "integer"}),
        (pa.types.is_floating, {"type": "number"}),
        (pa.types.is_decimal, {"type": "number"}),
        (pa.types.is_timestamp, {"type": "string", "format": "date-time"}),
        (pa.types.is_date, {"type": "string", "format": "date"}),
    )
    return next((schema for is_kind, schema in tests if is_kind(kind)), {"type": "string"})
