"""Whether a footprint is one we know: same place, like size, one to one (for sources without usable ids)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import shapely
from numpy.typing import NDArray

if TYPE_CHECKING:
    from twin.geometry.footprints import Footprints  # a server needs the registry, but no compiled geometry

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CENTROID_TOLERANCE_M = 3.0
OVERLAP_LEAST = 0.5
"""Least intersection over union of the bounding boxes ..."""
CLOSE_M = 0.2
"""... unless the centroids are this close, as with narrow strips, and the areas alike."""
AREA_RATIO_LEAST = 0.6
"""Smaller area over larger one."""


@dataclass(frozen=True, slots=True)
class Anchors:
    """What is remembered of footprints to know them again; arrays of one length, working CRS.

    Attributes:
        x, y: Centroid, metres.
        area: Square metres.
        west, south, east, north: Bounding box, metres.
        tie: Further numbers or texts that tell apart features of the very same geometry (a digest of the attributes,
            say), or None. Without it, which of two identical features gets which id may depend on their order.
    """

    x: Floats
    y: Floats
    area: Floats
    west: Floats
    south: Floats
    east: Floats
    north: Floats
    tie: NDArray[np.generic] | None = None

    def __post_init__(self) -> None:
        if len({len(column) for column in self.columns()}) != 1:
            raise ValueError("anchor arrays differ in length")

    @classmethod
    def empty(cls) -> Self:
        """No anchors."""
        return cls.of(np.empty((0, 7)))

    @classmethod
    def of(cls, matrix: Floats) -> Self:
        """From the (n, 7) array that `matrix` gives."""
        x, y, area, west, south, east, north = matrix.T
        return cls(x, y, area, west, south, east, north)

    @classmethod
    def from_footprints(cls, footprints: Footprints, tie: NDArray[np.generic] | None = None) -> Self:
        """Of footprints in the working CRS."""
        bounds, (area, centroid) = footprints.bounds(), footprints.area_centroid()
        west, south, east, north = bounds.T
        return cls(centroid[:, 0], centroid[:, 1], area, west, south, east, north, tie)

    def columns(self) -> tuple[Floats, ...]:
        """The seven arrays in the order of their definition."""
        return self.x, self.y, self.area, self.west, self.south, self.east, self.north

    def matrix(self) -> Floats:
        """(n, 7) f64."""
        return np.column_stack(self.columns()).astype(np.float64, copy=False).reshape(-1, 7)

    def take(self, rows: Ints) -> Self:
        """Some of them."""
        tie = None if self.tie is None else self.tie[rows]
        x, y, area, west, south, east, north = (column[rows] for column in self.columns())
        return type(self)(x, y, area, west, south, east, north, tie)

    def __len__(self) -> int:
        return len(self.x)

    def order(self) -> Ints:
        """Rows sorted by geometry (then `tie`): the same for the same features in whatever order they come."""
        by_x = np.argsort(self.x, kind="stable")
        if np.all(np.diff(self.x[by_x]) > 0):  # nearly always, and five times faster
            return by_x
        keys: list[NDArray[np.generic]] = list(reversed(self.columns()))
        if self.tie is not None:
            keys.insert(0, self.tie)
        return np.lexsort(keys)


def match(known: Anchors, fresh: Anchors) -> Ints:
    """Pairs footprints one to one, the best pairs first; rows in another order give the same pairs.

    A pair comes into question if the centroids lie within `CENTROID_TOLERANCE_M`, the areas are alike and the boxes
    overlap. Of all such pairs the closest is taken, then the closest of what is left, and so on.

    Args:
        known: Footprints of earlier builds.
        fresh: Footprints of this build.

    Returns:
        (len(fresh),) row in `known`, or -1.
    """
    partner = np.full(len(fresh), -1, dtype=np.int64)
    if not len(known) or not len(fresh):
        return partner
    known_order, fresh_order = known.order(), fresh.order()
    a, b = known.matrix()[known_order], fresh.matrix()[fresh_order]
    found = np.arange(len(b)) if np.array_equal(a, b) else _identical(a, b)
    rest_a = np.setdiff1d(np.arange(len(a)), found[found >= 0], assume_unique=True)
    rest_b = np.flatnonzero(found < 0)
    if len(rest_a) and len(rest_b):
        pairs = _closest_first(*_candidates(a[rest_a], b[rest_b]), len(rest_a), len(rest_b))
        found[rest_b] = np.where(pairs >= 0, rest_a[pairs], -1)
    partner[fresh_order] = np.where(found >= 0, known_order[found], -1)
    return partner


def _identical(a: Floats, b: Floats) -> Ints:
    """For each row of `b` the row of `a` that is the same in all numbers, one to one; both sorted. -1 if none."""
    both = np.concatenate([a, b])
    order = np.lexsort([*both.T[::-1]])  # stable: rows of `a` come before equal rows of `b`
    ordered = both[order]
    change = np.any(ordered[1:] != ordered[:-1], axis=1)
    group = np.concatenate([[0], np.cumsum(change)])
    of_a = order < len(a)
    rank = _rank_within(group, of_a)
    key = group * (len(both) + 1) + rank
    keys_a, keys_b = key[of_a], key[~of_a]
    at = np.minimum(np.searchsorted(keys_a, keys_b), len(keys_a) - 1)
    same = keys_a[at] == keys_b
    found = np.full(len(b), -1, dtype=np.int64)
    found[order[~of_a][same] - len(a)] = order[of_a][at[same]]
    return found


def _rank_within(group: Ints, of_a: NDArray[np.bool_]) -> Ints:
    """Running number of each row among the rows of its group and side."""
    rank = np.empty(len(group), dtype=np.int64)
    for side in (of_a, ~of_a):
        own = group[side]
        starts = np.concatenate([[True], own[1:] != own[:-1]]) if len(own) else np.empty(0, dtype=bool)
        position = np.arange(len(own))
        rank[side] = position - np.maximum.accumulate(np.where(starts, position, 0)) if len(own) else position
    return rank


def _candidates(a: Floats, b: Floats) -> tuple[Ints, Ints, Floats]:
    """Pairs that come into question and how far apart they are."""
    tree = shapely.STRtree(_points(a))
    j, i = tree.query(_points(b), predicate="dwithin", distance=CENTROID_TOLERANCE_M)
    one, other = a[i], b[j]
    distance = np.hypot(one[:, 0] - other[:, 0], one[:, 1] - other[:, 1])
    ratio = np.minimum(one[:, 2], other[:, 2]) / np.maximum(np.maximum(one[:, 2], other[:, 2]), 1e-9)
    alike = (ratio >= AREA_RATIO_LEAST) & ((_overlap(one, other) >= OVERLAP_LEAST) | (distance <= CLOSE_M))
    corners = np.abs(one[:, 3:] - other[:, 3:]).sum(axis=1)
    return i[alike], j[alike], (distance + corners)[alike]


def _points(anchors: Floats) -> NDArray[np.object_]:
    return np.asarray(shapely.points(anchors[:, :2]), dtype=object)


def _overlap(one: Floats, other: Floats) -> Floats:
    """Intersection over union of the bounding boxes."""
    wide = np.minimum(one[:, 5], other[:, 5]) - np.maximum(one[:, 3], other[:, 3])
    high = np.minimum(one[:, 6], other[:, 6]) - np.maximum(one[:, 4], other[:, 4])
    shared = np.clip(wide, 0, None) * np.clip(high, 0, None)
    areas = [(box[:, 5] - box[:, 3]) * (box[:, 6] - box[:, 4]) for box in (one, other)]
    return np.asarray(shared / np.maximum(areas[0] + areas[1] - shared, 1e-9))


def _closest_first(i: Ints, j: Ints, cost: Floats, count_a: int, count_b: int) -> Ints:
    """Greedy one-to-one assignment in rounds: a pair that is the best of both its rows is taken."""
    partner = np.full(count_b, -1, dtype=np.int64)
    order = np.lexsort([j, i, cost])
    i, j = i[order], j[order]
    while len(i):
        position = np.arange(len(i))
        best_i = np.full(count_a, len(i))
        best_j = np.full(count_b, len(i))
        np.minimum.at(best_i, i, position)
        np.minimum.at(best_j, j, position)
        taken = (best_i[i] == position) & (best_j[j] == position)
        partner[j[taken]] = i[taken]
        used_i, used_j = np.zeros(count_a, dtype=bool), np.zeros(count_b, dtype=bool)
        used_i[i[taken]], used_j[j[taken]] = True, True
        left = ~(used_i[i] | used_j[j])
        i, j = i[left], j[left]
    return partner


def mint_keys(layer: str, anchors: Anchors) -> list[str]:
    """Keys made of the geometry, for minting: centroid and area to a tenth, numbered where several agree.

    A pure function of the set of features: their order does not matter. Tenths, because projections differ in the last
    digits from machine to machine, and the coarser the grid the rarer a value falls to the other side of a line.
    """
    rounded = np.round(anchors.matrix()[:, :3] * 10).astype(np.int64)
    order = anchors.order()
    own = rounded[order]
    by_key = np.lexsort([np.arange(len(own)), *own.T[::-1]])
    change = np.any(own[by_key][1:] != own[by_key][:-1], axis=1)
    group = np.concatenate([[0], np.cumsum(change)]) if len(own) else np.empty(0, dtype=np.int64)
    rank = _rank_within(group, np.ones(len(group), dtype=bool))
    number = np.empty(len(own), dtype=np.int64)
    number[order[by_key]] = rank
    return [mint_key(layer, place, n) for place, n in zip(rounded.tolist(), number.tolist(), strict=True)]


def mint_key(layer: str, place: Sequence[int], number: int) -> str:
    """One key: layer, centroid in decimetres and area in tenths of a square metre, and a number where several agree."""
    x, y, area = place
    return f"{layer}@{x},{y},{area}" + (f"#{number}" if number else "")
