"""Footprints as paths of an SVG drawing, many at once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from twin.geometry.footprints import Footprints

DECIMETRES = 10.0
"""Units of the drawing in a metre."""


def paths(footprints: Footprints, origin: NDArray[np.float64]) -> list[str]:
    """(n,) path of each feature: rings in whole decimetres, each a start and steps from corner to corner.

    Args:
        footprints: Working CRS, metres.
        origin: (2,) upper left corner of the drawing, metres; y runs down from it.
    """
    grid = np.rint((footprints.xy - origin) * [DECIMETRES, -DECIMETRES]).astype(np.int64)
    steps = np.diff(grid, axis=0, prepend=0)
    starts = footprints.ring[:-1]
    steps[starts] = grid[starts]
    texts = [f"{x} {y}" for x, y in steps.tolist()]
    edges = pairwise(footprints.ring.tolist())
    rings = [f"M{texts[start]}l{' '.join(texts[start + 1 : end])}z" for start, end in edges]
    return ["".join(rings[first:last]) for first, last in pairwise(footprints.polygon[footprints.feature].tolist())]


def extent(*drawn: Footprints) -> NDArray[np.float64] | None:
    """(4,) west, south, east, north of everything, metres; None where there is no corner."""
    corners = [one.xy for one in drawn if len(one.xy)]
    if not corners:
        return None
    low = np.min([xy.min(axis=0) for xy in corners], axis=0)
    return np.concatenate([low, np.max([xy.max(axis=0) for xy in corners], axis=0)])
