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
def _u32(data: U8, at: int) -> Any:
    value = np.int64(0)
    for k in range(4):
        value |= np.int64(data[at + k]) << (8 * k)
    return value


@numba.njit(cache=True, nogil=True)
def _polygon(data: U8, at: int, end: int) -> Any:
    """Rings and open points of the polygon record at an offset, and the offset behind it; -1 if it is not plain."""
    bad = (-1, 0, 0)
    if end - at < 9 or data[at] != 1 or _u32(data, at + 1) != _POLYGON:
        return bad
    rings = _u32(data, at + 5)
    at += 9
    points = 0
    for _ in range(rings):
        count = _u32(data, at) if end - at >= 4 else 0
        at += 4
        last = at + (count - 1) * _POINT
        if count < 4 or end - at < count * _POINT or not (data[at : at + _POINT] == data[last : last + _POINT]).all():
            return bad
        points += count - 1
        at += count * _POINT
    return rings, points, at


@numba.njit(cache=True, nogil=True)
def _count(data: U8, start: I64, present: NDArray[np.bool_]) -> Any:
    """Polygons, rings and open points of all records; -1 where one is not plain."""
    polygons = rings = points = 0
    for i in range(len(start) - 1):
        if not present[i]:
            continue
        at, end = start[i], start[i + 1]
        parts = 1
        if end - at >= 9 and data[at] == 1 and _u32(data, at + 1) == _MULTIPOLYGON:
            parts = _u32(data, at + 5)
            at += 9
        for _ in range(parts):
            more, inner, at = _polygon(data, at, end)
            if more < 0:
                return -1, 0, 0
            polygons += more > 0
            rings += more
            points += inner
        if at != end:
            return -1, 0, 0
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
