"""Buildings as LoD1.2 solids, or as LoD0 surfaces where no height is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.geometry.extrude import extrude
from twin.geometry.footprints import Footprints
from twin.geometry.mesh import MeshBatch
from twin.geometry.triangulate import triangulate

F64 = NDArray[np.float64]

#: (x, y, h) in the working CRS with ellipsoidal heights → (n, 3) in the layer's east-north-up frame.
Project = Callable[[F64, F64, F64], F64]


@dataclass(frozen=True, slots=True)
class Prisms:
    """n buildings before they have a mesh.

    Attributes:
        footprints: In the working CRS, metres.
        foot_m: (n,) ellipsoidal height of the lower end, the skirt in the ground included.
        eaves_m: (n,) ellipsoidal height of the upper end.
        solid: (n,) False for a flat surface at `foot_m` (LoD0).
    """

    footprints: Footprints
    foot_m: F64
    eaves_m: F64
    solid: NDArray[np.bool_]


def solids(prisms: Prisms, project: Project) -> MeshBatch:
    """Meshes of all buildings in the layer's frame; `feature` are rows of `prisms`.

    Args:
        prisms: The buildings; `untriangulable` footprints have been sorted out.
        project: Places their corners.
    """
    footprints = prisms.footprints
    owner = footprints.feature_of_vertex()
    x, y = footprints.xy[:, 0], footprints.xy[:, 1]
    low = project(x, y, prisms.foot_m[owner])
    high = project(x, y, prisms.eaves_m[owner])
    return extrude(footprints, triangulate(footprints), low, high, prisms.solid)


def untriangulable(footprints: Footprints) -> NDArray[np.int64]:
    """Rows of footprints no closed solid can be made of: a polygon that no triangles cover exactly."""
    failed = triangulate(footprints).failed
    rows: NDArray[np.int64] = np.unique(np.searchsorted(footprints.feature, failed, side="right") - 1)
    return rows
