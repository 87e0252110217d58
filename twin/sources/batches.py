"""Puts footprints that lie together into one batch: each part of a raster is read once, and memory is bounded."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def batches(box: Floats, cells: Floats, most: int) -> Iterator[Ints]:
    """Rows in batches of neighbours.

    Args:
        box: (n, 4) bounding boxes.
        cells: (n,) cells in each.
        most: Cells a batch may hold together; a row with more comes on its own.
    """
    order = np.argsort(_morton(box), kind="stable")
    large = cells[order] > most  # each on its own: it may have to be thinned, its neighbours not
    for row in order[large]:
        yield np.array([row])
    order = order[~large]
    batch = np.floor_divide(np.cumsum(cells[order]) + np.arange(len(order)) * 16, most)
    if len(order):
        yield from np.split(order, np.flatnonzero(np.diff(batch)) + 1)


def _morton(box: Floats) -> NDArray[np.uint64]:
    """Position of box centres along a Z-curve over all of them."""
    centre = (box[:, :2] + box[:, 2:]) / 2
    known = centre[np.isfinite(centre).all(axis=1)]
    low, span = (known.min(axis=0), np.ptp(known, axis=0).max() + 1e-9) if len(known) else (0.0, 1.0)
    step = np.nan_to_num(np.clip((centre - low) / span, 0, 1) * 65535).astype(np.uint64)
    code = np.zeros(len(box), np.uint64)
    for bit in range(16):
        for axis in (0, 1):
            code |= ((step[:, axis] >> np.uint64(bit)) & np.uint64(1)) << np.uint64(2 * bit + axis)
    return code
