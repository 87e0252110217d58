"""One entity at a pair of times, wherever it is read: from the served index, or from a version in the history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import shapely

from server.releases import OpenRelease
from twin.entity.index_schema import GEOMETRY
from twin.entity.rows import json_value

Polygons = list[list[np.ndarray]]
"""Polygons of rings (k, 2), closed, exterior first: working CRS, metres."""

_SPAN = ("valid_from", "valid_to", "edition", "recorded_at")
_PARSED = ("attributes", "provenance")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be shown.

    Attributes:
        record: As `EntityIndex.record` gives it.
        polygons: The footprint; empty where there is none.
        span: `valid_from`, `valid_to`, `edition`, `recorded_at` of a version; None for the present.
        sources: What each attribute rests on, where the history knows it.
    """

    record: Mapping[str, Any]
    polygons: Polygons
    span: Mapping[str, Any] | None = None
    sources: Mapping[str, Any] | None = None

    @property
    def geid(self) -> str:
        """Its identifier."""
        return str(self.record["geid"])


def present(release: OpenRelease, row: int) -> Subject:
    """A row of the served index."""
    nested = release.index.table[GEOMETRY][row].as_py() or []
    return Subject(release.index.record(row), [[np.asarray(ring) for ring in polygon] for polygon in nested])


def recorded(versions: pa.Table, row: int = 0) -> Subject:
    """A version of the history.

    Args:
        versions: `RECORDED_FIELDS`.
        row: Which of them.
    """
    (values,) = versions.slice(row, 1).to_pylist()
    shape = values.pop(GEOMETRY)
    attributes, sources = (orjson.loads(values.pop(name) or b"{}") for name in _PARSED)
    span = {name: json_value(values.pop(name)) for name in _SPAN}
    record = {name: json_value(value) for name, value in values.items()}
    return Subject({**record, "attributes": attributes}, rings(shape), span, sources)


def rings(wkb: bytes | None) -> Polygons:
    """Rings of a WKB polygon or multipolygon; none of anything else."""
    if wkb is None:
        return []
    parts = shapely.get_parts(shapely.from_wkb(wkb))
    return [
        [np.asarray(shapely.get_coordinates(ring)) for ring in (part.exterior, *part.interiors)]
        for part in parts
        if isinstance(part, shapely.Polygon) and not part.is_empty
    ]
