"""Many places at once against footprints as they lie in the index: no polygon object, no loop over places."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.entity.level_grid import LevelGrid

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Keep = Callable[[Ints, Ints], NDArray[np.bool_]]
"""(query, row) pairs to those worth a closer look."""

_AT_ONCE = 20_000  # places whose edges are looked at together: bounds the memory


@dataclass(frozen=True, slots=True)
class Hits:
    """What stands at many places.

    Attributes:
        offset: (n + 1,) hits of place i are `offset[i]` to `offset[i + 1]`.
        row: Rows of the index: of each place the nearest first, of equally near ones the smallest.
        distance: Metres from the footprint; 0 inside and on the edge.
    """

    offset: Ints
    row: Ints
    distance: Floats

    def first(self) -> Ints:
        """(n,) the best row of each place; -1 where nothing stands."""
        found = self.offset[1:] > self.offset[:-1]
        best = np.full(len(found), -1, dtype=np.int64)
        best[found] = self.row[self.offset[:-1][found]]
        return best

    def of(self, place: int) -> list[int]:
        """Rows at one place."""
        return [int(row) for row in self.row[self.offset[place] : self.offset[place + 1]]]


@dataclass(frozen=True, slots=True)
class Outlines:
    """Rings of all rows as flat arrays, mapped from the file.

    Attributes:
        xy: (v, 2) vertices, rings closed.
        ring: (r + 1,) first vertex of each ring.
        polygon: (p + 1,) first ring of each polygon.
        row: (n + 1,) first polygon of each row.
    """

    xy: Floats
    ring: NDArray[np.int32]
    polygon: NDArray[np.int32]
    row: NDArray[np.int32]

    @classmethod
    def of(cls, geometry: pa.ChunkedArray) -> Outlines:
        """Outlines of the geometry column of an index."""
        whole = geometry.chunk(0) if geometry.num_chunks == 1 else geometry.combine_chunks()
        whole = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
        polygons = whole.values
        rings = polygons.values
        xy = np.asarray(rings.values.values).reshape(-1, 2)
        return cls(xy, np.asarray(rings.offsets), np.asarray(polygons.offsets), np.asarray(whole.offsets))

    def rings_of(self, rows: Ints) -> tuple[Ints, Ints]:
        """(first ring, past the last ring) of rows."""
        first = self.polygon[self.row[rows]].astype(np.int64)
        return first, self.polygon[self.row[rows + 1]].astype(np.int64)


def find(outlines: Outlines, grid: LevelGrid, xy: Floats, tolerance: float, keep: Keep) -> Hits:
    """Rows that stand at places.

    Args:
        outlines: Footprints, working CRS, metres.
        grid: Their boxes.
        xy: (n, 2) places; one that is not finite hits nothing.
        tolerance: How far outside a footprint still counts, metres.
        keep: Leaves out pairs before their outlines are looked at, for example by height.
    """
    places = np.flatnonzero(np.isfinite(xy).all(axis=1))
    parts = [
        _find(outlines, grid, xy, places[i : i + _AT_ONCE], tolerance, keep) for i in range(0, len(places), _AT_ONCE)
    ]
    query = np.concatenate([part[0] for part in parts]) if parts else np.empty(0, dtype=np.int64)
    row = np.concatenate([part[1] for part in parts]) if parts else np.empty(0, dtype=np.int64)
    distance = np.concatenate([part[2] for part in parts]) if parts else np.empty(0)
    return Hits(np.concatenate([[0], np.cumsum(np.bincount(query, minlength=len(xy)))]), row, distance)


def _find(
    outlines: Outlines, grid: LevelGrid, xy: Floats, places: Ints, tolerance: float, keep: Keep
) -> tuple[Ints, Ints, Floats]:
    """(query, row, distance) of some places, in the order of the answer."""
    at, row = grid.near_many(xy[places, 0], xy[places, 1], tolerance)
    query = places[at]
    kept = keep(query, row)
    query, row = query[kept], row[kept]
    distance = distances(outlines, row, xy[query])
    near = distance <= tolerance
    query, row, distance = query[near], row[near], distance[near]
    order = np.lexsort((row, areas(outlines, row), distance, query))
    return query[order], row[order], distance[order]


def distances(outlines: Outlines, row: Ints, xy: Floats) -> Floats:
    """(m,) metres of places (m, 2) from the footprints of rows (m,); 0 inside and on the edge; inf without a shape."""
    pair, start = _edges(outlines, row)
    a, b, p = outlines.xy[start], outlines.xy[start + 1], xy[pair]
    along, off = b - a, p - a
    inside = np.bincount(pair[_crossed(a, b, p)], minlength=len(row)) % 2 == 1
    length = np.einsum("ij,ij->i", along, along)
    share = np.clip(np.einsum("ij,ij->i", off, along) / np.where(length > 0, length, 1.0), 0.0, 1.0)
    gap = off - share[:, None] * along
    square = np.full(len(row), np.inf)
    first = np.flatnonzero(np.diff(pair, prepend=-1))
    if len(pair):
        square[pair[first]] = np.minimum.reduceat(np.einsum("ij,ij->i", gap, gap), first)
    return np.where(inside, 0.0, np.sqrt(square))


def _crossed(a: Floats, b: Floats, p: Floats) -> NDArray[np.bool_]:
    """Edges that a ray from p to the east crosses; both ends are taken by the same rule, so no corner counts twice."""
    spans = (a[:, 1] > p[:, 1]) != (b[:, 1] > p[:, 1])
    side = (b[:, 0] - a[:, 0]) * (p[:, 1] - a[:, 1]) - (p[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])
    crossed: NDArray[np.bool_] = spans & ((side > 0) == (b[:, 1] > a[:, 1]))
    return crossed


def areas(outlines: Outlines, row: Ints) -> Floats:
    """(m,) square metres of the footprints of rows, courtyards left out."""
    first, past = outlines.rings_of(row)
    owner, ring = _expand(first, past)
    exterior = outlines.polygon[np.searchsorted(outlines.polygon, ring)] == ring  # the first ring of a polygon
    pair, vertex = _expand(outlines.ring[ring].astype(np.int64), outlines.ring[ring + 1].astype(np.int64) - 1)
    origin = outlines.xy[outlines.ring[ring]][pair]  # near by, so that large coordinates cost no digits
    a, b = outlines.xy[vertex] - origin, outlines.xy[vertex + 1] - origin
    twice = np.bincount(pair, a[:, 0] * b[:, 1] - b[:, 0] * a[:, 1], minlength=len(ring))
    return _total(owner, np.abs(twice) / 2 * np.where(exterior, 1.0, -1.0), len(row))


def _total(owner: Ints, values: Floats, count: int) -> Floats:
    """(count,) sums of values by owner; numpy gives integers where there is nothing to add."""
    return np.bincount(owner, values, minlength=count).astype(np.float64)


def _edges(outlines: Outlines, row: Ints) -> tuple[Ints, Ints]:
    """(pair, first vertex) of every edge of the footprints of rows."""
    owner, ring = _expand(*outlines.rings_of(row))
    at, vertex = _expand(outlines.ring[ring].astype(np.int64), outlines.ring[ring + 1].astype(np.int64) - 1)
    return owner[at], vertex


def _expand(first: Ints, past: Ints) -> tuple[Ints, Ints]:
    """(owner, number) of the numbers first[i] to past[i], one range after the other."""
    counts = np.maximum(past - first, 0)
    owner = np.repeat(np.arange(len(first), dtype=np.int64), counts)
    begin = np.cumsum(counts) - counts
    return owner, np.arange(len(owner), dtype=np.int64) - begin[owner] + first[owner]
