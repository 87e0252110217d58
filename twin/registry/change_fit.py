"""Whether two outlines are the same one, in place or shifted: corner by corner, else wall by wall."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray

if TYPE_CHECKING:
    from twin.geometry.footprints import Footprints

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

ROUNDING_M = 1e-6
"""What coordinates lose on their way through files and projections."""

_DENSE = 0.25
"""Every wall is measured at its ends and at its quarters."""


@dataclass(frozen=True, slots=True)
class Outlines:
    """Footprints with what is asked of them over and over.

    Attributes:
        footprints: Working CRS, metres.
        bounds: (n, 4) west, south, east, north; NaN without a polygon.
        area: (n,) square metres; 0 without a polygon.
        corners: (n,) number of corners, holes included.
        rings: (n,) number of rings.
    """

    footprints: Footprints
    bounds: Floats
    area: Floats
    corners: Ints
    rings: Ints

    @classmethod
    def of(cls, footprints: Footprints) -> Outlines:
        """Measures them."""
        rings = np.diff(footprints.polygon[footprints.feature])
        return cls(footprints, footprints.bounds(), footprints.area(), footprints.vertex_counts(), rings)

    def centre(self) -> Floats:
        """(n, 2) centres of the bounding boxes."""
        return (self.bounds[:, :2] + self.bounds[:, 2:]) / 2


@dataclass(frozen=True, slots=True)
class Fit:
    """How row i of one edition lies to row i of the other.

    Attributes:
        still: (n,) the same outline in place.
        rigid: (n,) the same outline, shifted by `shift` (also where it is still).
        shift: (n, 2) metres, from the first to the second.
    """

    still: Bools
    rigid: Bools
    shift: Floats


def fit(one: Outlines, other: Outlines, i: Ints, j: Ints, jitter_m: float) -> Fit:
    """Compares outline `i[k]` with outline `j[k]`, for every k.

    Corners are compared in their order first. Where that fails (another first corner, a corner more on a straight
    wall) the distance between the walls decides.

    Args:
        one, other: Outlines of both editions.
        i, j: (p,) rows.
        jitter_m: How far a corner may stray, east and north each.
    """
    tolerance = jitter_m + ROUNDING_M
    shift = (other.centre()[j] - one.centre()[i]).astype(np.float64)
    still, rigid = np.zeros(len(i), dtype=bool), np.zeros(len(i), dtype=bool)
    alike = np.flatnonzero(
        (one.corners[i] == other.corners[j]) & (one.rings[i] == other.rings[j]) & (one.corners[i] > 0)
    )
    if len(alike):
        low, high = _corner_range(one.footprints, other.footprints, i[alike], j[alike])
        still[alike] = np.maximum(np.abs(low), np.abs(high)).max(axis=1) <= tolerance
        rigid[alike] = still[alike] | ((high - low).max(axis=1) <= 2 * tolerance)
        found = rigid[alike]
        shift[alike[found]] = (low + high)[found] / 2
    rest = np.flatnonzero(~rigid & _same_extent(one, other, i, j, tolerance))
    if len(rest):
        still[rest], rigid[rest] = _by_walls(one, other, i[rest], j[rest], shift[rest], tolerance)
    return Fit(still, rigid, shift)


def _corner_range(one: Footprints, other: Footprints, i: Ints, j: Ints) -> tuple[Floats, Floats]:
    """Least and greatest (east, north) difference of corners, pair by pair; as many corners in both."""
    first = one if _is_all(i, len(one)) else one.take(i)
    second = other if _is_all(j, len(other)) else other.take(j)
    difference = second.xy - first.xy
    start = first.feature_vertex()[:-1]
    return np.minimum.reduceat(difference, start, axis=0), np.maximum.reduceat(difference, start, axis=0)


def _is_all(rows: Ints, count: int) -> bool:
    return len(rows) == count and bool(np.array_equal(rows, np.arange(count)))


def _same_extent(one: Outlines, other: Outlines, i: Ints, j: Ints, tolerance: float) -> Bools:
    """Boxes and areas of one size: without that outlines cannot be the same."""
    a, b = one.bounds[i], other.bounds[j]
    size = np.abs((a[:, 2:] - a[:, :2]) - (b[:, 2:] - b[:, :2]))
    # strips along the walls, at most twice as long as the box is round
    strip = 4 * tolerance * (a[:, 2:] - a[:, :2]).sum(axis=1)
    area = np.abs(one.area[i] - other.area[j]) <= strip + 4 * tolerance**2
    return np.asarray(area & (one.rings[i] == other.rings[j]) & (size <= 2 * tolerance).all(axis=1))  # not for NaN


def _by_walls(one: Outlines, other: Outlines, i: Ints, j: Ints, shift: Floats, tolerance: float) -> tuple[Bools, Bools]:
    """Still and rigid by the Hausdorff distance of the boundaries: neither order nor number of corners matters."""
    first = one.footprints.take(i).to_shapely()
    second = other.footprints.take(j)
    moved = shifted(second, -shift).to_shapely()
    diagonal = np.sqrt(2.0) * tolerance
    still = shapely.hausdorff_distance(first, second.to_shapely(), densify=_DENSE) <= diagonal
    # the boxes were laid on each other, which may be out by as much as a corner may stray
    rigid = still | (shapely.hausdorff_distance(first, moved, densify=_DENSE) <= 2 * diagonal)
    return np.asarray(still), np.asarray(rigid)


def shifted(footprints: Footprints, shift: Floats) -> Footprints:
    """Every feature moved by its (n, 2) shift, metres."""
    xy = footprints.xy + np.repeat(shift, footprints.vertex_counts(), axis=0)
    return type(footprints)(xy, footprints.ring, footprints.polygon, footprints.feature)
