"""Which entity is which kind of city object, which parts belong to which building, and at what height they stand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from twin.export.entities import Entities, numbers

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: First-level city objects whose geometry may be surfaces and solids; what is none of them is a GenericCityObject.
FIRST_LEVEL = frozenset(
    {
        "Bridge", "Building", "CityFurniture", "GenericCityObject", "LandUse", "OtherConstruction", "PlantCover",
        "Railway", "Road", "SolitaryVegetationObject", "TransportSquare", "Tunnel", "WaterBody", "Waterway",
    }
)  # fmt: skip
#: City objects that CityJSON lets have no solid.
FLAT = frozenset({"LandUse", "Railway", "Road", "TransportSquare", "Waterway"})

_BUILDING, _PART = "Building", "BuildingPart"


@dataclass(frozen=True, slots=True)
class Families:
    """n entities in the order of writing: families by the geid of their building, in each the building first.

    Attributes:
        rows: (n,) rows of the table.
        number: (n,) number of the family, rising.
        kind: (n,) type of city object.
        parent: (n,) place of its building, -1: none.
        base: (n,) elevation of the lower end (over a passage above the ground); NaN: unknown, it cannot be placed.
        roof: (n,) elevation of the upper end; NaN: written flat.
        orphans: Building parts whose building was not chosen.
    """

    rows: I64
    number: I64
    kind: NDArray[np.object_]
    parent: I64
    base: F64
    roof: F64
    orphans: int

    def end_of_family(self, place: int) -> int:
        """The first place at or after another where a family begins, so that none is cut."""
        if place >= len(self.rows):
            return len(self.rows)
        return int(np.searchsorted(self.number, self.number[place - 1], side="right"))


def find_families(entities: Entities) -> Families:
    """Orders entities by family.

    A building whose own elevation is unknown (an outline that only holds parts together) stands at the lowest of its
    parts; a building with parts has no solid of its own, since the parts are its body.
    """
    names = ["geid", "parent", "entity_class", "base_m", "roof_m", "height_m", "min_height_m", "lod"]
    there = [name for name in names if name in entities.table.column_names]
    table = entities.table.select(there).take(pa.array(entities.rows))
    kind = _kinds(table["entity_class"])
    place = pc.fill_null(pc.index_in(table["parent"], value_set=table["geid"].combine_chunks()), -1)
    parent = np.array(place.to_numpy(), dtype=np.int64) if len(place) else np.zeros(0, dtype=np.int64)
    linked = (parent >= 0) & (kind == _PART) & (kind[parent] == _BUILDING) if len(kind) else parent >= 0
    orphan = (kind == _PART) & ~linked
    kind[orphan] = _BUILDING
    base, roof = _elevations(table, kind)
    _place_outlines(base, roof, parent, linked)
    head = np.where(linked, parent, np.arange(len(parent)))
    order = np.lexsort((linked, head))
    new_place = np.empty(len(order), dtype=np.int64)
    new_place[order] = np.arange(len(order))
    moved = np.where(linked, new_place[parent], -1)[order] if len(order) else parent
    number = np.unique(head, return_inverse=True)[1].astype(np.int64)[order]
    return Families(entities.rows[order], number, kind[order], moved, base[order], roof[order], int(orphan.sum()))


def _kinds(column: pa.ChunkedArray) -> NDArray[np.object_]:
    """(n,) type of city object of every entity class."""
    known = {name: name if name in FIRST_LEVEL or name == _PART else "GenericCityObject" for name in _words(column)}
    return np.array([known[word] for word in column.to_pylist()], dtype=object)


def _words(column: pa.ChunkedArray) -> list[str | None]:
    return list(pc.unique(column).to_pylist())


def _elevations(table: pa.Table, kind: NDArray[np.object_]) -> tuple[F64, F64]:
    """Lower and upper end of every entity; no upper end where it is drawn flat."""
    base, roof, height = (numbers(table, name) for name in ("base_m", "roof_m", "height_m"))
    roof = np.where(np.isnan(roof), base + height, roof)
    flat = np.isin(kind.astype(str), sorted(FLAT))
    if "lod" in table.column_names:
        flat |= ~np.asarray(pc.fill_null(pc.equal(table["lod"], "1.2"), False).to_numpy(), dtype=bool)
    lower = base + np.nan_to_num(numbers(table, "min_height_m"))
    flat |= ~(roof > lower)
    return np.where(flat, base, lower), np.where(flat, np.nan, roof)


def _place_outlines(base: F64, roof: F64, parent: I64, linked: Bools) -> None:
    """Puts buildings without elevation at their lowest part, and takes the solid from buildings with parts."""
    lowest = np.full(len(base), np.inf)
    members = np.flatnonzero(linked & ~np.isnan(base))
    np.minimum.at(lowest, parent[members], base[members])
    unknown = np.isnan(base) & np.isfinite(lowest)
    base[unknown] = lowest[unknown]
    roof[parent[linked]] = np.nan
