"""The lower end of an entity above the ground, worked out where only its elevations are kept: in a history."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.layer import undulation_of
from pipelines.project import Project
from twin.crs.vertical import parse_vertical, to_ellipsoid

F64 = NDArray[np.float64]
_ON_THE_GROUND_M = 1e-6  # less is the noise of adding and taking away


def lower_ends(project: Project, rows: pa.Table) -> F64:
    """(n,) metres that the lower end, whose ellipsoidal height a version keeps, lies above the base; 0 if unknown.

    Args:
        project: Says what elevations refer to.
        rows: Versions: `lon`, `lat`, `height`, `base_m`.
    """
    base, height, lon, lat = (
        np.asarray(rows[name].cast(pa.float64()).to_numpy(), dtype=np.float64)
        for name in ("base_m", "height", "lon", "lat")
    )
    known = np.isfinite(base) & np.isfinite(height)
    found = np.zeros(len(rows))
    if known.any():
        datum = parse_vertical(project.project.vertical_datum)
        ground = to_ellipsoid(base[known], lon[known], lat[known], datum, undulation_of(project))
        found[known] = height[known] - ground
    found[~(np.abs(found) > _ON_THE_GROUND_M)] = 0.0
    return found
