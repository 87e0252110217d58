"""A selection of entities, read a block at a time from a table that may be larger than memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from twin.crs.reference import Crs, horizontal
from twin.entity.index_schema import GEOMETRY
from twin.errors import MisuseError
from twin.geometry.footprints import Footprints, empty, from_shapely

I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

BLOCK = 20_000
"""Entities held in memory at once."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which entities are wanted; None means all.

    Attributes:
        bbox: West, south, east, north in degrees; every entity whose box touches it. West greater than east crosses the
            antimeridian.
        classes: Entity classes, for example `("Building",)`.
        layers: Layers.
        geids: Identifiers in their written form.
    """

    bbox: tuple[float, float, float, float] | None = None
    classes: tuple[str, ...] | None = None
    layers: tuple[str, ...] | None = None
    geids: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.bbox is None:
            return
        west, south, east, north = self.bbox
        inside = all(-180 <= lon <= 180 for lon in (west, east)) and -90 <= south <= north <= 90
        if not inside:
            raise MisuseError(
                f"{','.join(f'{value:g}' for value in self.bbox)} is no box in degrees",
                next_step="write west,south,east,north, for example 121.41,31.21,121.43,31.22",
            )


def select(table: pa.Table, selection: Selection) -> I64:
    """Rows of a table of entities that are wanted, in the order of the table.

    Args:
        table: Columns of the entity index; `west`, `south`, `east`, `north` in degrees.
        selection: What is wanted.
    """
    keep = np.ones(table.num_rows, dtype=bool)
    for name, wanted in (("entity_class", selection.classes), ("layer", selection.layers), ("geid", selection.geids)):
        if wanted is not None:
            keep &= _bools(pc.is_in(table[name], value_set=pa.array(list(wanted), pa.string())))
    if selection.bbox is not None:
        keep &= _touches(table, selection.bbox)
    return np.flatnonzero(keep).astype(np.int64)


def _bools(column: pa.ChunkedArray) -> Bools:
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=bool) if len(column) else np.zeros(0, dtype=bool)


def _touches(table: pa.Table, bbox: tuple[float, float, float, float]) -> Bools:
    """Boxes of rows that touch a box; a row without box touches none."""
    west, south, east, north = bbox
    w, s, e, n = (numbers(table, name) for name in ("west", "south", "east", "north"))
    across = (e >= west) & (w <= east) if west <= east else (e >= west) | (w <= east)
    return np.asarray(across & (n >= south) & (s <= north), dtype=bool)


def numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    """A column as (n,) float64, NaN where it is null or not there."""
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    column = table[name].cast(pa.float64())
    return np.array(pc.fill_null(column, float("nan")).to_numpy(), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Block:
    """n entities.

    Attributes:
        table: Their columns without the geometry.
        footprints: Their polygons in the CRS asked for; x = east or longitude.
    """

    table: pa.Table
    footprints: Footprints


@dataclass(frozen=True, slots=True)
class Entities:
    """Chosen rows of a table of entities.

    Attributes:
        table: Columns of the entity index or of a history, sorted by geid; mapped from a file, so that it need not fit
            into memory.
        rows: Chosen rows, in the order in which they are written.
        crs: CRS of the geometry, the working CRS.
    """

    table: pa.Table
    rows: I64
    crs: Crs

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def columns(self) -> pa.Table:
        """The table without the geometry; all rows, nothing copied."""
        return self.table.drop_columns([GEOMETRY])

    def blocks(self, crs: Crs, size: int = BLOCK) -> Iterator[Block]:
        """The entities, `size` at a time, polygons in another CRS.

        Raises:
            CrsError: The two datums have no link that is good enough for buildings.
        """
        for start in range(0, len(self.rows), size):
            yield self.block(self.rows[start : start + size], crs)

    def block(self, rows: I64, crs: Crs) -> Block:
        """Some rows of the table."""
        taken = self.table.take(pa.array(rows)).combine_chunks()
        footprints = footprints_of(taken[GEOMETRY])
        moved = Footprints(
            horizontal(self.crs, crs)(footprints.xy) if len(footprints.xy) else footprints.xy,
            footprints.ring,
            footprints.polygon,
            footprints.feature,
        )
        return Block(taken.drop_columns([GEOMETRY]), moved)


def footprints_of(column: pa.ChunkedArray) -> Footprints:
    """Polygons of a column: nested lists as in the entity index, or WKB as in a history; null is an entity without."""
    if not len(column):
        return empty()
    array = column.combine_chunks()
    array = pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array
    if pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type):
        return from_shapely(shapely.from_wkb(array.to_numpy(zero_copy_only=False)))
    return _from_lists(array)


def _from_lists(array: pa.ListArray) -> Footprints:
    """Nested lists of closed rings as footprints with open rings."""
    feature = _offsets(array, array.is_valid().to_numpy(zero_copy_only=False))
    shells = array.values.slice(array.offsets[0].as_py(), int(feature[-1]))
    polygon = _offsets(shells)
    rings = shells.values.slice(shells.offsets[0].as_py(), int(polygon[-1]))
    ring = _offsets(rings)
    points = rings.values.slice(rings.offsets[0].as_py(), int(ring[-1]))
    xy = np.asarray(points.flatten()).reshape(-1, 2)
    keep = np.ones(len(xy), dtype=bool)
    keep[ring[1:] - 1] = False
    return Footprints(np.ascontiguousarray(xy[keep]), ring - np.arange(len(ring)), polygon, feature)


def _offsets(array: pa.ListArray, valid: Bools | None = None) -> I64:
    offsets = np.asarray(array.offsets, dtype=np.int64)
    if valid is not None and not valid.all() and (np.diff(offsets)[~valid] != 0).any():
        raise ValueError("a null list with values under it")
    started: I64 = offsets - offsets[0]
    return started
