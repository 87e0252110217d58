"""Ragged polygons as four arrays: the form in which footprints travel between stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from twin.geometry import kernels

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Footprints:
    """Polygons of n features; each feature has any number of polygons, each polygon a shell and holes.

    Rings are open (the first point is not repeated), shells run counter-clockwise, holes clockwise.

    Attributes:
        xy: (v, 2) float64 coordinates in the working CRS, metres.
        ring: (r + 1,) int64 offsets of rings into `xy`.
        polygon: (p + 1,) int64 offsets of polygons into rings; the first ring of each is its shell.
        feature: (n + 1,) int64 offsets of features into polygons.
    """

    xy: F64
    ring: I64
    polygon: I64
    feature: I64

    def __len__(self) -> int:
        return len(self.feature) - 1

    def feature_vertex(self) -> I64:
        """(n + 1,) offsets of features into `xy`."""
        return self.ring[self.polygon[self.feature]]

    def vertex_counts(self) -> I64:
        """(n,) corners a feature, holes included."""
        return np.diff(self.feature_vertex())

    def feature_of_vertex(self) -> I64:
        """(v,) feature row of every vertex."""
        return np.repeat(np.arange(len(self)), self.vertex_counts())

    def bounds(self) -> F64:
        """(n, 4) west, south, east, north in metres; NaN for a feature without a polygon."""
        bounds: F64 = kernels.ragged_bounds(self.xy, self.feature_vertex())
        return bounds

    def ring_area(self) -> F64:
        """(r,) signed area of every ring, square metres; positive counter-clockwise."""
        area: F64 = kernels.ring_area(self.xy, self.ring)
        return area

    def area(self) -> F64:
        """(n,) area in square metres, holes taken off."""
        area, _ = self.area_centroid()
        return area

    def centroid(self) -> F64:
        """(n, 2) centre of gravity of the surface, metres."""
        _, centroid = self.area_centroid()
        return centroid

    def area_centroid(self) -> tuple[F64, F64]:
        """(n,) areas and (n, 2) centres of gravity in one pass."""
        area, centroid = kernels.area_centroid(self.xy, self.ring, self.polygon, self.feature)
        return area, centroid

    def take(self, rows: I64) -> Footprints:
        """The features of `rows`, in that order."""
        rows = np.asarray(rows, dtype=np.int64)
        feature, polygons = _take_ragged(self.feature, rows)
        polygon, rings = _take_ragged(self.polygon, polygons)
        ring, vertices = _take_ragged(self.ring, rings)
        return Footprints(np.ascontiguousarray(self.xy[vertices]), ring, polygon, feature)

    def to_shapely(self) -> NDArray[np.object_]:
        """(n,) shapely MultiPolygons."""
        closed, ring = self.closed()
        geometries: NDArray[np.object_] = shapely.from_ragged_array(
            shapely.GeometryType.MULTIPOLYGON, closed, (ring, self.polygon, self.feature)
        )
        return geometries

    def closed(self) -> tuple[F64, I64]:
        """Coordinates and ring offsets with the first point of every ring repeated at its end."""
        counts = np.diff(self.ring)
        ring = self.ring + np.arange(len(self.ring))
        closed = np.empty((len(self.xy) + len(counts), 2))
        last = np.zeros(len(closed), dtype=bool)
        last[ring[1:] - 1] = True
        closed[~last] = self.xy
        closed[last] = self.xy[self.ring[:-1]]
        return closed, ring


def _take_ragged(offsets: I64, rows: I64) -> tuple[I64, I64]:
    """New offsets and the flat indices of the elements of `rows`."""
    start = offsets[rows]
    counts = offsets[rows + 1] - start
    taken = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum(counts, out=taken[1:])
    index = np.arange(taken[-1], dtype=np.int64) + np.repeat(start - taken[:-1], counts)
    return taken, index


def concat(parts: Sequence[Footprints]) -> Footprints:
    """The features of all parts, one after the other."""
    if not parts:
        return empty()
    if len(parts) == 1:
        return parts[0]
    return Footprints(
        np.concatenate([part.xy for part in parts]),
        _concat_offsets([part.ring for part in parts]),
        _concat_offsets([part.polygon for part in parts]),
        _concat_offsets([part.feature for part in parts]),
    )


def _concat_offsets(offsets: Sequence[I64]) -> I64:
    counts = np.concatenate([np.diff(part) for part in offsets])
    joined = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=joined[1:])
    return joined


def empty(features: int = 0) -> Footprints:
    """`features` features without a polygon."""
    zero = np.zeros(1, dtype=np.int64)
    return Footprints(np.empty((0, 2)), zero, zero, np.zeros(features + 1, dtype=np.int64))


def from_shapely(geometry: NDArray[np.object_]) -> Footprints:
    """Polygons and MultiPolygons as footprints, rings opened and turned the right way round.

    Args:
        geometry: (n,) shapely Polygon, MultiPolygon or None (a feature without a polygon).

    Raises:
        ValueError: A geometry of another type.
    """
    # A MultiPolygon among Polygons makes shapely give the three-level form whatever the rest is.
    surfaces = np.empty(len(geometry) + 1, dtype=object)
    surfaces[:-1] = geometry
    surfaces[-1] = shapely.MultiPolygon()
    surfaces[shapely.is_missing(surfaces)] = surfaces[-1]
    kind, xy, offsets = shapely.to_ragged_array(surfaces, include_z=False)
    if kind != shapely.GeometryType.MULTIPOLYGON:
        raise ValueError(f"polygons wanted, got {kind}")
    ring, polygon, feature = (np.asarray(part, dtype=np.int64) for part in offsets)
    keep = np.ones(len(xy), dtype=bool)
    keep[ring[1:] - 1] = False
    opened = Footprints(np.ascontiguousarray(xy[keep]), ring - np.arange(len(ring)), polygon, feature[:-1])
    return oriented(opened)


def oriented(footprints: Footprints) -> Footprints:
    """The same footprints with shells counter-clockwise and holes clockwise."""
    shell = np.zeros(len(footprints.ring) - 1, dtype=bool)
    shell[footprints.polygon[:-1][np.diff(footprints.polygon) > 0]] = True
    wrong = (footprints.ring_area() > 0) != shell
    if not wrong.any():
        return footprints
    xy = footprints.xy.copy()
    kernels.reverse_rings(xy, footprints.ring, wrong)
    return Footprints(xy, footprints.ring, footprints.polygon, footprints.feature)
