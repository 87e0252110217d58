"""Triangulation of footprints without new points, so that roofs and walls share every corner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from twin.geometry import kernels
from twin.geometry.footprints import Footprints

I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Triangulation:
    """Triangles over the corners of footprints.

    Attributes:
        triangle: (m, 3) uint32 rows of `Footprints.xy`, counter-clockwise.
        polygon: (m,) int64 polygon of each triangle.
        failed: (k,) int64 polygons that could not be triangulated over all their corners.
    """

    triangle: NDArray[np.uint32]
    polygon: I64
    failed: I64


def triangulate(footprints: Footprints) -> Triangulation:
    """Triangulates every polygon: ear clipping for plain rings, constrained Delaunay where there are holes.

    A polygon whose triangles do not cover exactly its area is in `failed`.
    """
    rings = np.diff(footprints.polygon)
    shell = np.stack([footprints.ring[footprints.polygon[:-1]], footprints.ring[footprints.polygon[:-1] + 1]], axis=1)
    plain = np.flatnonzero(rings == 1)
    triangle, polygon, refused = _plain(footprints.xy, shell[plain], plain)
    others = np.union1d(np.flatnonzero(rings != 1), refused)
    if not len(others):
        return Triangulation(triangle, polygon, np.empty(0, dtype=np.int64))
    more, more_polygon, failed = _constrained(footprints, others)
    triangle = np.concatenate([triangle, more])
    polygon = np.concatenate([polygon, more_polygon])
    order = np.argsort(polygon, kind="stable")
    return Triangulation(triangle[order], polygon[order], failed)


def _plain(xy: NDArray[np.float64], ring: I64, polygon: I64) -> tuple[NDArray[np.uint32], I64, I64]:
    counts = ring[:, 1] - ring[:, 0] - 2
    start = np.zeros(len(ring) + 1, dtype=np.int64)
    np.cumsum(counts, out=start[1:])
    triangle = np.empty((start[-1], 3), dtype=np.uint32)
    done = kernels.clip_ears(xy, np.ascontiguousarray(ring), start[:-1], triangle)
    of_triangle = np.repeat(np.arange(len(ring)), counts)
    if done.all():
        return triangle, polygon[of_triangle], np.empty(0, dtype=np.int64)
    good = done[of_triangle]
    return triangle[good], polygon[of_triangle[good]], polygon[~done]


def _constrained(footprints: Footprints, polygons: I64) -> tuple[NDArray[np.uint32], I64, I64]:
    """Constrained Delaunay by GEOS; corners are found again by their coordinates, which GEOS does not change."""
    single = Footprints(footprints.xy, footprints.ring, footprints.polygon, np.arange(len(footprints.polygon)))
    taken = single.take(polygons)
    corner = _corner_numbers(footprints, polygons)
    meshes = _delaunay(taken.to_shapely())
    triangles, owner = shapely.get_parts(meshes, return_index=True)
    points = shapely.get_coordinates(shapely.get_exterior_ring(triangles)).reshape(-1, 4, 2)[:, :3]
    rows = _match(taken, points, owner)
    triangle = corner[rows]
    area = _signed_area(footprints.xy, triangle)
    triangle[area < 0] = triangle[area < 0][:, ::-1]
    covered = np.bincount(owner, np.abs(area), len(polygons))
    unknown = np.bincount(owner, (rows < 0).any(axis=1), len(polygons))
    whole = np.isclose(covered, taken.area(), rtol=1e-9) & (unknown == 0)
    good = whole[owner]
    triangle, owner = triangle[good], owner[good]
    return triangle.astype(np.uint32), polygons[owner], polygons[~whole]


def _delaunay(polygons: NDArray[np.object_]) -> NDArray[np.object_]:
    """Triangles of each polygon; none of one GEOS gives up on, which it tells of by refusing all of them at once."""
    try:
        meshes: NDArray[np.object_] = shapely.constrained_delaunay_triangles(polygons)
    except shapely.errors.GEOSException:
        if len(polygons) == 1:
            return np.array([shapely.GeometryCollection()], dtype=object)
        half = len(polygons) // 2
        return np.concatenate([_delaunay(polygons[:half]), _delaunay(polygons[half:])])
    return meshes


def _corner_numbers(footprints: Footprints, polygons: I64) -> I64:
    first, last = footprints.ring[footprints.polygon[polygons]], footprints.ring[footprints.polygon[polygons + 1]]
    counts = last - first
    offset = np.concatenate([[0], np.cumsum(counts)[:-1]])
    corners: I64 = np.arange(counts.sum()) + np.repeat(first - offset, counts)
    return corners


def _match(taken: Footprints, points: NDArray[np.float64], owner: I64) -> I64:
    """(m, 3) row in `taken.xy` of every triangle corner, -1 where none has its coordinates."""
    table = np.column_stack([taken.feature_of_vertex(), taken.xy])
    asked = np.column_stack([np.repeat(owner, 3), points.reshape(-1, 2)])
    together = np.concatenate([table, asked])
    _, group = np.unique(together, axis=0, return_inverse=True)
    group = group.reshape(-1)
    row_of = np.full(group.max(initial=0) + 1, -1, dtype=np.int64)
    row_of[group[: len(table)][::-1]] = np.arange(len(table))[::-1]
    found: I64 = row_of[group[len(table) :]].reshape(-1, 3)
    return found


def _signed_area(xy: NDArray[np.float64], triangle: NDArray[np.integer]) -> NDArray[np.float64]:
    a, b, c = (xy[triangle[:, k]] for k in range(3))
    ab, ac = b - a, c - a
    return np.asarray((ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]) / 2)
