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
    standing = solid[owner]
    corners, tall = len(owner), int(standing.sum())
    upright = int(standing[triangles.triangle[:, 0]].sum())
    mesh = MeshBatch(
        np.empty((corners + 5 * tall, 3)),
        np.empty((corners + 5 * tall, 3), dtype=np.float32),
        np.empty((len(triangles.triangle) + upright + 2 * tall, 3), dtype=np.uint32),
        np.empty(corners + 5 * tall, dtype=np.uint32),
        np.empty(corners + 5 * tall, dtype=np.uint8),
    )
    parts = (mesh.position, mesh.normal, mesh.triangle, mesh.feature, mesh.surface)
    places = (np.ascontiguousarray(low), np.ascontiguousarray(high), owner, standing)
    _caps(places, triangles.triangle, parts)
    _walls(places, footprints.ring, parts, (corners + tall, len(triangles.triangle) + upright))
    return mesh


@numba.njit(cache=True, nogil=True)
def _up(x: float, y: float) -> tuple[float, float, float]:
    """The vertical at a place of an east-north-up frame: it leans outwards away from the origin."""
    east, north = x / EARTH_RADIUS_M, y / EARTH_RADIUS_M
    length = np.sqrt(east * east + north * north + 1.0)
    return east / length, north / length, 1.0 / length


@numba.njit(cache=True, nogil=True)
def _outward(low: F64, high: F64, i: int, j: int) -> tuple[float, float, float]:
    """Unit normal of the wall from corner i to corner j."""
    ex, ey, ez = low[j, 0] - low[i, 0], low[j, 1] - low[i, 1], low[j, 2] - low[i, 2]
    ux, uy, uz = high[i, 0] - low[i, 0], high[i, 1] - low[i, 1], high[i, 2] - low[i, 2]
    nx, ny, nz = ey * uz - ez * uy, ez * ux - ex * uz, ex * uy - ey * ux
    length = np.sqrt(nx * nx + ny * ny + nz * nz)
    if length == 0:
        return 0.0, 0.0, 1.0
    return nx / length, ny / length, nz / length


@numba.njit(cache=True, nogil=True)
def _caps(places: Any, roof: NDArray[np.uint32], parts: Any) -> None:
    """Roofs of all corners in their order, then the grounds of those that stand; triangles likewise."""
    low, high, owner, standing = places
    position, normal, triangle, feature, surface = parts
    below = np.cumsum(standing) + (len(owner) - 1)
    for i in range(len(owner)):
        up = _up(low[i, 0], low[i, 1])
        feature[i] = owner[i]
        surface[i] = _ROOF if standing[i] else _GROUND
        for c in range(3):
            position[i, c] = high[i, c] if standing[i] else low[i, c]
            normal[i, c] = up[c]
        if standing[i]:
            g = below[i]
            feature[g] = owner[i]
            surface[g] = _GROUND
            for c in range(3):
                position[g, c] = low[i, c]
                normal[g, c] = -up[c]
    row = len(roof)
    for t in range(len(roof)):
        triangle[t] = roof[t]
        if standing[roof[t, 0]]:
            for c in range(3):
                triangle[row, c] = below[roof[t, 2 - c]]
            row += 1


@numba.njit(cache=True, nogil=True)
def _walls(places: Any, ring: I64, parts: Any, start: tuple[int, int]) -> None:
    """A quad on every edge of what stands, from vertex `start[0]` and triangle `start[1]` on."""
    low, high, owner, standing = places
    position, normal, triangle, feature, surface = parts
    at, row = start
    for r in range(len(ring) - 1):
        for i in range(ring[r], ring[r + 1]):
            if not standing[i]:
                continue
            j = i + 1 if i + 1 < ring[r + 1] else ring[r]
            out = _outward(low, high, i, j)
            for c in range(3):
                position[at, c], position[at + 1, c] = low[i, c], low[j, c]
                position[at + 2, c], position[at + 3, c] = high[j, c], high[i, c]
            for k in range(4):
                feature[at + k] = owner[i]
                surface[at + k] = _WALL
                for c in range(3):
                    normal[at + k, c] = out[c]
            triangle[row, 0], triangle[row, 1], triangle[row, 2] = at, at + 1, at + 2
            triangle[row + 1, 0], triangle[row + 1, 1], triangle[row + 1, 2] = at, at + 2, at + 3
            row += 2
            at += 4
