"""Triangles of many features in one set of arrays: what modellers give and encoders take."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Surface(IntEnum):
    """Semantic surface a vertex belongs to (CityGML GroundSurface, RoofSurface, WallSurface)."""

    GROUND = 0
    ROOF = 1
    WALL = 2


@dataclass(frozen=True, slots=True)
class MeshBatch:
    """Meshes of many features.

    Attributes:
        position: float64 (n, 3), metres in the layer's east-north-up frame.
        normal: float32 (n, 3), unit vectors, the same frame.
        triangle: uint32 (m, 3), rows of `position`, counter-clockwise seen from outside.
        feature: uint32 (n,), row of the entity table each vertex belongs to.
        surface: uint8 (n,), `Surface` of each vertex.
    """

    position: NDArray[np.float64]
    normal: NDArray[np.float32]
    triangle: NDArray[np.uint32]
    feature: NDArray[np.uint32]
    surface: NDArray[np.uint8]

    @property
    def vertices(self) -> int:
        """Number of vertices."""
        return len(self.position)

    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lowest and highest corner, (3,) each; raises ValueError on an empty mesh."""
        columns = [self.position[:, axis] for axis in range(3)]  # several times quicker than along axis 0
        return np.array([one.min() for one in columns]), np.array([one.max() for one in columns])
