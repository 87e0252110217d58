"""Compiled passes over the vertices of a tile: what is in them, how they are stored, how they are put in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from twin.geometry.mesh import MeshBatch


@dataclass(frozen=True, slots=True)
class Facts:
    """What has to be known of a mesh before it is written.

    Attributes:
        low, high: (3,) corners of its box, metres; NaN where a position is no finite number.
        features, surfaces: How many different ones its vertices name.
        last_feature, last_vertex: The largest number of a feature, and of a vertex in a triangle.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    features: int
    surfaces: int
    last_feature: int
    last_vertex: int


def facts_of(mesh: MeshBatch) -> Facts:
    """Looks at everything once; the mesh has at least one vertex and one triangle."""
    low, high = mesh.bounds()
    last = int(mesh.feature.max())
    features = int(_distinct(mesh.feature, last + 1))
    surfaces = int(_distinct(mesh.surface, int(mesh.surface.max()) + 1))
    return Facts(low, high, features, surfaces, last, int(mesh.triangle.max()))


@njit(cache=True, nogil=True)
def _distinct(values, size):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """How many different values, all of them below `size`."""
    seen = np.zeros(size, np.bool_)
    count = 0
    for value in values:
        if not seen[value]:
            seen[value] = True
            count += 1
    return count


@njit(cache=True, nogil=True)
def fill_positions(position, centre, step, out, low, high):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Writes z-up metres, float64 (n, 3), as y-up positions about the centre into `out` (n, 3), float32 or int16.

    With a step they are rounded to its multiples; integers count steps. `low` and `high`, (3,), become the least and
    the largest stored values. Never a negative zero.
    """
    integer = out.itemsize == 2
    inverse = 1 / step if step else 1.0
    for stored in range(3):
        column = 0 if stored == 0 else 3 - stored
        sign = -1.0 if stored == 2 else 1.0
        middle = centre[column]
        for i in range(len(position)):
            value = (position[i, column] - middle) * sign
            if step:
                value = np.rint(value * inverse)
                if not integer:
                    value *= step
            out[i, stored] = value + 0.0
        least, most = out[0, stored], out[0, stored]
        for i in range(len(position)):
            least, most = min(least, out[i, stored]), max(most, out[i, stored])
        low[stored], high[stored] = least, most


@njit(cache=True, nogil=True)
def fill_normals(normal, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Writes z-up unit vectors, float32 (n, 3), as y-up ones into `out` (n, 3): int8 in steps of 1/127, or float32."""
    integer = out.itemsize == 1
    for i in range(len(normal)):
        x, y, z = normal[i, 0], normal[i, 2], -normal[i, 1]
        if integer:
            scale = np.float32(127)
            x, y, z = np.rint(x * scale), np.rint(y * scale), np.rint(z * scale)
        zero = np.float32(0)  # added, so that no zero is negative
        out[i, 0], out[i, 1], out[i, 2] = x + zero, y + zero, z + zero


@njit(cache=True, nogil=True)
def renumbered(triangle, order):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Triangles, uint32 (m, 3), whose vertices now stand in another order."""
    place = np.empty(len(order), np.uint32)
    for i in range(len(order)):
        place[order[i]] = i
    out = np.empty_like(triangle)
    for t in range(len(triangle)):
        for c in range(3):
            out[t, c] = place[triangle[t, c]]
    return out


def columns(rows: NDArray[np.uint8], offset: int, kind: Any, count: int) -> NDArray[Any]:
    """A view of `count` neighbouring fields of interleaved vertices, (n, count)."""
    size = np.dtype(kind).itemsize
    return rows[:, offset : offset + size * count].view(kind)
