"""Plain WKB polygons straight into footprints, without an object a polygon."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.geometry.footprints import Footprints

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]

_POLYGON, _MULTIPOLYGON = 3, 6
_POINT = 16


def read_rings(column: pa.Array) -> Footprints | None:
    """Reads a WKB column (OGC 06-103r4, table 7) that holds nothing but little-endian 2D polygons and multipolygons.

    Args:
        column: (n,) binary array; null gives a feature without polygon.

    Returns:
        The rings opened, as they stand, not turned; None if any record is of another kind, has a ring that is not
        closed, or is cut short: those are for a reader that can say what is wrong.
    """
    wide = pa.types.is_large_binary(column.type)
    _, offsets_buffer, data_buffer = column.buffers()
    if data_buffer is None:
        return None
    offsets = np.frombuffer(offsets_buffer, dtype=np.int64 if wide else np.int32)
    start = offsets[column.offset : column.offset + len(column) + 1].astype(np.int64)
    present = column.is_valid().to_numpy(zero_copy_only=False)
    data = np.frombuffer(data_buffer, dtype=np.uint8)
    counts = _count(data, start, present)
    if counts[0] < 0:
        return None
    polygons, rings, points = counts
    out = np.empty(points * _POINT, dtype=np.uint8)
    ring, polygon = np.zeros(rings + 1, dtype=np.int64), np.zeros(polygons + 1, dtype=np.int64)
    feature = np.zeros(len(column) + 1, dtype=np.int64)
    if not _copy(data, start, present, (out, ring, polygon, feature)):
        return None
    return Footprints(out.view("<f8").reshape(-1, 2), ring, polygon, feature)


@numba.njit(cache=True, nogil=True)
def _u32(data: U8, at: int) -> int:
    return int(data[at]) | int(data[at + 1]) << 8 | int(data[at + 2]) << 16 | int(data[at + 3]) << 24


@numba.njit(cache=True, nogil=True)
def _count(data: U8, start: I64, present: NDArray[np.bool_]) -> Any:
    """Polygons, rings and open points of all records; -1 where one is not plain."""
    bad = (-1, -1, -1)
    polygons = rings = points = 0
    for i in range(len(start) - 1):
        if not present[i]:
            continue
        at, end = start[i], start[i + 1]
        if end - at < 9 or data[at] != 1:
            return bad
        kind = _u32(data, at + 1)
        parts = 1
        if kind == _MULTIPOLYGON:
            parts = _u32(data, at + 5)
            at += 9
        elif kind != _POLYGON:
            return bad
        for _ in range(parts):
            if end - at < 9 or data[at] != 1 or _u32(data, at + 1) != _POLYGON:
                return bad
            inner = _u32(data, at + 5)
            at += 9
            polygons += inner > 0
            for _ in range(inner):
                if end - at < 4:
                    return bad
                count = _u32(data, at)
                at += 4
                if count < 4 or end - at < count * _POINT:
                    return bad
                for k in range(_POINT):
                    if data[at + k] != data[at + (count - 1) * _POINT + k]:
                        return bad
                rings += 1
                points += count - 1
                at += count * _POINT
        if at != end:
            return bad
    return polygons, rings, points


@numba.njit(cache=True, nogil=True)
def _copy(data: U8, start: I64, present: NDArray[np.bool_], out: Any) -> bool:
    """Fills the arrays `_count` has measured."""
    points, ring, polygon, feature = out
    p = r = v = 0
    for i in range(len(start) - 1):
        if present[i]:
            at = start[i]
            parts = 1
            if _u32(data, at + 1) == _MULTIPOLYGON:
                parts = _u32(data, at + 5)
                at += 9
            for _ in range(parts):
                inner = _u32(data, at + 5)
                at += 9
                for _ in range(inner):
                    count = _u32(data, at)
                    at += 4
                    size = (count - 1) * _POINT
                    points[v * _POINT : v * _POINT + size] = data[at : at + size]
                    v += count - 1
                    r += 1
                    ring[r] = v
                    at += count * _POINT
                if inner:
                    p += 1
                    polygon[p] = r
        feature[i + 1] = p
    return True
