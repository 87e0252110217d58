"""What changed from one version of an entity to the next, by the names of the fields."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from twin.registry.versions import RECORDED_FIELDS

_BOOKKEEPING = frozenset({"geid", "valid_from", "valid_to", "edition", "recorded_at"})
_OF_THE_SHAPE = frozenset({"lon", "lat", "west", "south", "east", "north"})
_OBJECTS = frozenset({"attributes", "provenance"})


def changed_fields(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[str]:
    """Names of the fields that differ between two versions of an entity, in the order of `RECORDED_FIELDS`.

    Spans, editions and times are not told. A field of a JSON object is told by itself: `attributes.owner`. Where the
    geometry differs, what follows from it (box and position in degrees) is not told again.

    Args:
        before: A row of `History.versions` as a dictionary; None: there was nothing before, so nothing changed.
        after: The row after it.
    """
    if before is None:
        return []
    names = [field.name for field in RECORDED_FIELDS if field.name not in _BOOKKEEPING]
    found = [name for field in names for name in _differences(field, before.get(field), after.get(field))]
    return [name for name in found if name not in _OF_THE_SHAPE] if "geometry" in found else found


def _differences(field: str, before: Any, after: Any) -> Iterator[str]:
    if field in _OBJECTS:
        one, other = _object(before), _object(after)
        yield from (f"{field}.{key}" for key in sorted(one.keys() | other.keys()) if one.get(key) != other.get(key))
    elif (before or None if field == "aliases" else before) != (after or None if field == "aliases" else after):
        yield field


def _object(text: str | None) -> dict[str, Any]:
    return dict(json.loads(text)) if text else {}
