"""Polygons of the entity index as WKB, the form in which a history keeps them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.entity.rows import ragged

I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

_POLYGON, _MULTIPOLYGON = 3, 6
_HEADER = np.dtype([("little_endian", "u1"), ("kind", "<u4"), ("count", "<u4")])
_COUNT, _POINT = 4, 16  # bytes


def wkb(geometry: pa.ChunkedArray) -> pa.Array:
    """Nested lists of the index -> WKB: `Polygon` where there is one polygon, `MultiPolygon` where there are several.

    The bytes are put together by numpy (OGC 06-103r4, table 7, little-endian): no object is made for a polygon.

    Args:
        geometry: (n,) polygons of closed rings of (x, y), working CRS; null or empty: none.

    Returns:
        (n,) binary, null where there is no corner.
    """
    xy, (ring, polygon, feature) = ragged(geometry)
    there = np.diff(ring[polygon[feature]]) > 0
    several = there & (np.diff(feature) > 1)
    alive = np.repeat(there, np.diff(feature))
    filled = np.repeat(alive, np.diff(polygon))
    # bytes that come before: of rings, of polygons with their rings, of everything
    rings = _POINT * ring + _running(filled, _COUNT)
    headers = _running(alive, _HEADER.itemsize)
    polygons = rings[polygon] + headers
    wholes = _running(several, _HEADER.itemsize)
    start = polygons[feature] + wholes
    own = np.repeat(wholes[1:], np.diff(feature))
    at_ring = rings[:-1] + np.repeat(headers[1:] + own, np.diff(polygon))
    at_point = np.repeat(at_ring + _COUNT - _POINT * ring[:-1], np.diff(ring)) + _POINT * np.arange(ring[-1])
    out = np.zeros(int(start[-1]), dtype=np.uint8)
    _put(out, start[:-1][several], _headers(_MULTIPOLYGON, np.diff(feature)[several]))
    _put(out, (polygons[:-1] + own)[alive], _headers(_POLYGON, np.diff(polygon)[alive]))
    _put(out, at_ring[filled], np.diff(ring)[filled].astype("<u4"))
    _put(out, at_point, np.ascontiguousarray(xy, dtype="<f8").view(f"V{_POINT}").reshape(-1))
    return _binary(out, start, there)


def _running(flags: Bools, size: int) -> I64:
    """(n + 1,) how many bytes come before each, where those that are flagged take so many."""
    return np.concatenate([[0], np.cumsum(size * flags, dtype=np.int64)])


def _headers(kind: int, counts: I64) -> NDArray[Any]:
    made = np.empty(len(counts), dtype=_HEADER)
    made["little_endian"], made["kind"], made["count"] = 1, kind, counts
    return made


def _put(out: NDArray[np.uint8], at: I64, records: NDArray[Any]) -> None:
    """Writes records of one size at any bytes: through a view whose items overlap, one for each byte."""
    size = records.dtype.itemsize
    if len(at):
        windows = np.ndarray(len(out) - size + 1, dtype=f"V{size}", buffer=out, strides=(1,))
        windows[at] = records.view(f"V{size}")


def _binary(data: NDArray[np.uint8], start: I64, there: Bools) -> pa.Array:
    bits = pa.py_buffer(np.packbits(there, bitorder="little").tobytes())
    wide = pa.Array.from_buffers(
        pa.large_binary(), len(there), [bits, pa.py_buffer(start.astype(np.int64)), pa.py_buffer(data)]
    )
    return wide.cast(pa.binary())
