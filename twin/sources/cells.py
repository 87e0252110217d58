"""Which raster cells lie under which footprint: a scanline fill over ragged arrays, every footprint on its own.

GDAL's rasterize burns one id per cell, so where footprints overlap (a tower on its podium, a part in its outline) the
one drawn last takes the cells of the others and the answer depends on row order. Here no footprint sees another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Outlines:
    """Rings of many polygons as arrays; rings closed (first point repeated).

    Attributes:
        xy: (v, 2) coordinates.
        ring: (v,) ring each vertex belongs to, ascending.
        feature: (v,) row of the polygon each vertex belongs to, ascending.
    """

    xy: Floats
    ring: Ints
    feature: Ints

    def moved(self, transform: Callable[[Floats], Floats]) -> Outlines:
        """The same rings with `transform` applied to the (v, 2) coordinates."""
        return Outlines(transform(self.xy), self.ring, self.feature)

    def of(self, wanted: NDArray[np.bool_]) -> Outlines:
        """The rings of the features where `wanted` (indexed by feature) holds."""
        kept = wanted[self.feature]
        return Outlines(self.xy[kept], self.ring[kept], self.feature[kept])

    def bounds(self, count: int) -> Floats:
        """(count, 4) west, south, east, north per feature; NaN for a feature without vertices."""
        box = np.full((count, 4), np.nan)
        if len(self.feature):
            start = np.flatnonzero(np.r_[True, self.feature[1:] != self.feature[:-1]])
            there = self.feature[start]
            box[there, :2] = np.minimum.reduceat(self.xy, start)
            box[there, 2:] = np.maximum.reduceat(self.xy, start)
        return box


def outlines(polygons: NDArray[np.object_]) -> Outlines:
    """Rings of polygons and multipolygons; anything else, and None, has none.

    Args:
        polygons: (n,) shapely geometries.
    """
    parts, part_feature = shapely.get_parts(polygons, return_index=True)
    rings, ring_part = shapely.get_rings(parts, return_index=True)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    return Outlines(xy, ring, part_feature[ring_part[ring]])


def cells_inside(lines: Outlines, width: int, height: int) -> tuple[Ints, Ints, Ints]:
    """Cells whose centre lies inside a feature (even-odd rule).

    Args:
        lines: Rings in cell units: x in columns from the left edge, y in rows from the top edge.
        width: Columns of the raster.
        height: Rows of the raster.

    Returns:
        feature, row, column of every such cell, ordered by feature, row, column.
    """
    feature, row, x = _crossings(lines, height)
    order = np.lexsort((x, row, feature))
    feature, row, x = feature[order], row[order], x[order]
    first = _cell_after(x[0::2], width)
    return _expand(feature[0::2], row[0::2], first, _cell_after(x[1::2], width) - first)


def cells_touched(lines: Outlines, width: int, height: int) -> tuple[Ints, Ints, Ints]:
    """Cells the outline runs through, found by walking it in quarter-cell steps; for polygons that hold no cell centre.

    Such a polygon has no cell in its interior that its outline does not touch, so this is GDAL's "all touched".

    Args:
        lines: Rings in cell units, as for `cells_inside`.
        width: Columns of the raster.
        height: Rows of the raster.

    Returns:
        feature, row, column, each cell once a feature.
    """
    start, stop, feature = _edges(lines)
    steps = np.ceil(np.abs(stop - start).max(axis=1, initial=0) * 4).astype(np.int64) + 1
    edge = np.repeat(np.arange(len(steps)), steps)
    part = _counter(steps) / steps[edge]
    cell = np.floor(start[edge] + part[:, None] * (stop - start)[edge]).astype(np.int64)
    inside = (cell >= 0).all(axis=1) & (cell[:, 0] < width) & (cell[:, 1] < height)
    found = np.unique(np.column_stack([feature[edge], cell[:, ::-1]])[inside], axis=0)
    return found[:, 0], found[:, 1], found[:, 2]


def _edges(lines: Outlines) -> tuple[Floats, Floats, Ints]:
    joined = lines.ring[1:] == lines.ring[:-1]
    return lines.xy[:-1][joined], lines.xy[1:][joined], lines.feature[1:][joined]


def _crossings(lines: Outlines, height: int) -> tuple[Ints, Ints, Floats]:
    """Where outlines cross the centre lines of rows: an even number per feature and row."""
    start, stop, feature = _edges(lines)
    first = _cell_after(np.minimum(start[:, 1], stop[:, 1]), height)
    count = _cell_after(np.maximum(start[:, 1], stop[:, 1]), height) - first
    edge = np.repeat(np.arange(len(count)), count)
    row = first[edge] + _counter(count)
    slope = (stop[:, 0] - start[:, 0])[edge] / (stop[:, 1] - start[:, 1])[edge]
    return feature[edge], row, start[edge, 0] + (row + 0.5 - start[edge, 1]) * slope


def _cell_after(position: Floats, limit: int) -> Ints:
    """First cell whose centre is at or beyond `position`; half-open, so a shared edge gives a cell to one side only."""
    return np.clip(np.ceil(position - 0.5), 0, limit).astype(np.int64)


def _counter(count: Ints) -> Ints:
    """0, 1, .. count[0]-1, 0, 1, .. count[1]-1, ..."""
    end = np.cumsum(count)
    return np.arange(end[-1] if len(end) else 0) - np.repeat(end - count, count)


def _expand(feature: Ints, row: Ints, first: Ints, count: Ints) -> tuple[Ints, Ints, Ints]:
    return np.repeat(feature, count), np.repeat(row, count), np.repeat(first, count) + _counter(count)
