"""Prisms over footprints: closed solids with roof, walls and ground, and flat surfaces where no height is known."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from twin.geometry.footprints import Footprints
from twin.geometry.mesh import MeshBatch, Surface
from twin.geometry.triangulate import Triangulation

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Mean radius of the Earth, metres: enough for the vertical of a place near the origin of a frame.
EARTH_RADIUS_M = 6_371_000.0

_GROUND, _ROOF, _WALL = int(Surface.GROUND), int(Surface.ROOF), int(Surface.WALL)


def extrude(
    footprints: Footprints, triangles: Triangulation, low: F64, high: F64, solid: NDArray[np.bool_]
) -> MeshBatch:
    """Builds LoD1.2 solids, and LoD0 surfaces for the features that are not `solid`.

    Every face has corners of its own, so that normals are flat; the corners of neighbouring faces have bit-equal
    positions, so that each edge of a solid is used exactly twice, once in each direction.

    Args:
        footprints: n features, v corners.
        triangles: Their triangulation.
        low, high: (v, 3) every corner at the foot and at the eaves, metres, in a frame whose z is up at its origin
            (east-north-up, or a plane projected CRS).
        solid: (n,) False for features drawn as one flat surface at `low`.

    Returns:
        The mesh; `feature` are rows of `footprints`.
    """
    owner = footprints.feature_of_vertex()
    position, normal, triangle, feature, surface = _prisms(
        np.ascontiguousarray(low), np.ascontiguousarray(high), owner, footprints.ring, solid, triangles.triangle
    )
    return MeshBatch(position, normal, triangle, feature, surface)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _up(x: float, y: float) -> tuple[float, float, float]:
    """The vertical at a place of an east-north-up frame: it leans outwards away from the origin."""
    east, north = x / EARTH_RADIUS_M, y / EARTH_RADIUS_M
    length = np.sqrt(east * east + north * north + 1.0)
    return east / length, north / length, 1.0 / length


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _outward(low: F64, high: F64, i: int, j: int) -> tuple[float, float, float]:
    """Unit normal of the wall from corner i to corner j."""
    ex, ey, ez = low[j, 0] - low[i, 0], low[j, 1] - low[i, 1], low[j, 2] - low[i, 2]
    ux, uy, uz = high[i, 0] - low[i, 0], high[i, 1] - low[i, 1], high[i, 2] - low[i, 2]
    nx, ny, nz = ey * uz - ez * uy, ez * ux - ex * uz, ex * uy - ey * ux
    length = np.sqrt(nx * nx + ny * ny + nz * nz)
    if length == 0:
        return 0.0, 0.0, 1.0
    return nx / length, ny / length, nz / length


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _prisms(low: F64, high: F64, owner: I64, ring: I64, solid: NDArray[np.bool_], roof: NDArray[np.uint32]) -> Any:
    """Roofs of all corners, then grounds, then walls, each in the order of the corners."""
    corners = len(low)
    ground_row = np.empty(corners, dtype=np.int64)
    standing = 0
    for i in range(corners):
        ground_row[i] = corners + standing
        if solid[owner[i]]:
            standing += 1
    ground_triangles = 0
    for t in range(len(roof)):
        if solid[owner[roof[t, 0]]]:
            ground_triangles += 1
    vertices = corners + 5 * standing
    position = np.empty((vertices, 3))
    normal = np.empty((vertices, 3), dtype=np.float32)
    feature = np.empty(vertices, dtype=np.uint32)
    surface = np.empty(vertices, dtype=np.uint8)
    triangle = np.empty((len(roof) + ground_triangles + 2 * standing, 3), dtype=np.uint32)
    for i in range(corners):
        up = _up(low[i, 0], low[i, 1])
        tall = solid[owner[i]]
        for c in range(3):
            position[i, c] = high[i, c] if tall else low[i, c]
            normal[i, c] = up[c]
        feature[i] = owner[i]
        surface[i] = _ROOF if tall else _GROUND
        if tall:
            g = ground_row[i]
            for c in range(3):
                position[g, c] = low[i, c]
                normal[g, c] = -up[c]
            feature[g] = owner[i]
            surface[g] = _GROUND
    row = len(roof)
    for t in range(len(roof)):
        triangle[t] = roof[t]
        if solid[owner[roof[t, 0]]]:
            for c in range(3):
                triangle[row, c] = ground_row[roof[t, 2 - c]]
            row += 1
    at = corners + standing
    for r in range(len(ring) - 1):
        for i in range(ring[r], ring[r + 1]):
            if not solid[owner[i]]:
                continue
            j = i + 1 if i + 1 < ring[r + 1] else ring[r]
            out = _outward(low, high, i, j)
            for c in range(3):
                position[at, c], position[at + 1, c] = low[i, c], low[j, c]
                position[at + 2, c], position[at + 3, c] = high[j, c], high[i, c]
            for k in range(4):
                for c in range(3):
                    normal[at + k, c] = out[c]
                feature[at + k] = owner[i]
                surface[at + k] = _WALL
            triangle[row, 0], triangle[row, 1], triangle[row, 2] = at, at + 1, at + 2
            triangle[row + 1, 0], triangle[row + 1, 1], triangle[row + 1, 2] = at, at + 2, at + 3
            row += 2
            at += 4
    return position, normal, triangle, feature, surface
