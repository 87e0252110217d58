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


def solids(prisms: Prisms, project: Project) -> tuple[MeshBatch, NDArray[np.int64]]:
    """Meshes of all buildings in the layer's frame.

    Args:
        prisms: The buildings.
        project: Places their corners.

    Returns:
        The mesh, and the rows of features with a polygon that could not be triangulated; they are left out whole.
    """
    footprints = prisms.footprints
    triangles = triangulate(footprints)
    failed = np.empty(0, dtype=np.int64)
    if len(triangles.failed):
        failed = np.unique(np.searchsorted(footprints.feature, triangles.failed, side="right") - 1)
        keep = np.setdiff1d(np.arange(len(footprints)), failed)
        whole = Prisms(footprints.take(keep), prisms.foot_m[keep], prisms.eaves_m[keep], prisms.solid[keep])
        mesh, _ = solids(whole, project)
        renumbered = keep.astype(np.uint32)[mesh.feature]
        return MeshBatch(mesh.position, mesh.normal, mesh.triangle, renumbered, mesh.surface), failed
    owner = footprints.feature_of_vertex()
    x, y = footprints.xy[:, 0], footprints.xy[:, 1]
    low = project(x, y, prisms.foot_m[owner])
    high = project(x, y, prisms.eaves_m[owner])
    return extrude(footprints, triangles, low, high, prisms.solid), failed
