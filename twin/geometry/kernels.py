"""Compiled loops over ragged rings, for what numpy cannot do a ring at a time without a Python loop."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_jit: Any = numba.njit(cache=True, nogil=True)


@_jit
def ragged_bounds(xy: F64, start: I64) -> F64:
    """(n, 4) minimum and maximum of each run of coordinates; NaN for an empty run."""
    n = len(start) - 1
    out = np.empty((n, 4))
    for i in range(n):
        if start[i] == start[i + 1]:
            out[i, :] = np.nan
            continue
        west = east = xy[start[i], 0]
        south = north = xy[start[i], 1]
        for j in range(start[i] + 1, start[i + 1]):
            west = min(west, xy[j, 0])
            east = max(east, xy[j, 0])
            south = min(south, xy[j, 1])
            north = max(north, xy[j, 1])
        out[i, 0], out[i, 1], out[i, 2], out[i, 3] = west, south, east, north
    return out


@_jit
def ring_area(xy: F64, ring: I64) -> F64:
    """(r,) signed shoelace area; coordinates are taken relative to the first point to keep digits."""
    out = np.zeros(len(ring) - 1)
    for r in range(len(ring) - 1):
        a, b = ring[r], ring[r + 1]
        total = 0.0
        for j in range(a, b):
            k = j + 1 if j + 1 < b else a
            total += (xy[j, 0] - xy[a, 0]) * (xy[k, 1] - xy[a, 1]) - (xy[k, 0] - xy[a, 0]) * (xy[j, 1] - xy[a, 1])
        out[r] = total / 2
    return out


@_jit
def area_centroid(xy: F64, ring: I64, polygon: I64, feature: I64) -> Any:
    """(n,) areas and (n, 2) centroids of the surfaces; NaN centroid where there is no area."""
    n = len(feature) - 1
    area = np.zeros(n)
    centre = np.full((n, 2), np.nan)
    for i in range(n):
        first, last = ring[polygon[feature[i]]], ring[polygon[feature[i + 1]]]
        if first == last:
            continue
        x0, y0 = xy[first, 0], xy[first, 1]
        total = sum_x = sum_y = 0.0
        for r in range(polygon[feature[i]], polygon[feature[i + 1]]):
            a, b = ring[r], ring[r + 1]
            for j in range(a, b):
                k = j + 1 if j + 1 < b else a
                xj, yj, xk, yk = xy[j, 0] - x0, xy[j, 1] - y0, xy[k, 0] - x0, xy[k, 1] - y0
                cross = xj * yk - xk * yj
                total += cross
                sum_x += (xj + xk) * cross
                sum_y += (yj + yk) * cross
        area[i] = total / 2
        if total != 0:
            centre[i, 0] = x0 + sum_x / (3 * total)
            centre[i, 1] = y0 + sum_y / (3 * total)
    return area, centre


@_jit
def reverse_rings(xy: F64, ring: I64, wrong: NDArray[np.bool_]) -> None:
    """Reverses the marked rings in place."""
    for r in range(len(ring) - 1):
        if wrong[r]:
            a, b = ring[r], ring[r + 1] - 1
            while a < b:
                for c in range(2):
                    xy[a, c], xy[b, c] = xy[b, c], xy[a, c]
                a += 1
                b -= 1


@_jit
def keep_corners(xy: F64, ring: I64, tolerance: float) -> NDArray[np.bool_]:
    """(v,) False for points that make no corner: repeated points, points on a straight line, tips of spikes.

    A point goes when it lies within `tolerance` metres of its kept predecessor, or when its distance from the line
    through its kept neighbours is within `tolerance` (which covers spikes, where the neighbours meet).
    """
    keep = np.ones(len(xy), dtype=np.bool_)
    longest = 0
    for r in range(len(ring) - 1):
        longest = max(longest, ring[r + 1] - ring[r])
    before = np.empty(longest + 1, dtype=np.int64)
    after = np.empty(longest + 1, dtype=np.int64)
    for r in range(len(ring) - 1):
        a = ring[r]
        n = ring[r + 1] - a
        for j in range(n):
            before[j] = j - 1 if j else n - 1
            after[j] = j + 1 if j + 1 < n else 0
        left = n
        at = 0
        calm = 0
        while left >= 3 and calm < left:
            p, q = before[at], after[at]
            ax, ay = xy[a + p, 0], xy[a + p, 1]
            bx, by = xy[a + at, 0] - ax, xy[a + at, 1] - ay
            cx, cy = xy[a + q, 0] - ax, xy[a + q, 1] - ay
            span = np.hypot(cx, cy)
            reach = np.hypot(bx, by)
            next_reach = np.hypot(cx - bx, cy - by)
            flat = reach <= tolerance or next_reach <= tolerance or span <= tolerance
            if not flat:
                flat = abs(cx * by - cy * bx) <= tolerance * max(span, reach)
            if flat:
                keep[a + at] = False
                after[p] = q
                before[q] = p
                left -= 1
                calm = 0
                at = p
            else:
                calm += 1
                at = q
        if left < 3:
            keep[a : a + n] = False
    return keep


@_jit
def _side(ax: float, ay: float, bx: float, by: float, cx: float, cy: float) -> float:
    return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)


@_jit
def simple_shells(xy: F64, ring: I64, polygon: I64, feature: I64, most: int) -> NDArray[np.bool_]:
    """(n,) True where a feature is one ring of at most `most` points no two edges of which touch but at their corners.

    False says nothing: such a feature may be valid all the same (courts, several parts, long rings).
    """
    out = np.zeros(len(feature) - 1, dtype=np.bool_)
    for i in range(len(feature) - 1):
        p = feature[i]
        if feature[i + 1] - p != 1 or polygon[p + 1] - polygon[p] != 1:
            continue
        a = ring[polygon[p]]
        n = ring[polygon[p] + 1] - a
        if n < 3 or n > most:
            continue
        plain = True
        for j in range(n):
            jx, jy = xy[a + j, 0], xy[a + j, 1]
            k = j + 1 if j + 1 < n else 0
            kx, ky = xy[a + k, 0], xy[a + k, 1]
            west, east = min(jx, kx), max(jx, kx)
            south, north = min(jy, ky), max(jy, ky)
            for s in range(j + 2, n):
                if s == n - 1 and j == 0:
                    continue
                t = s + 1 if s + 1 < n else 0
                sx, sy, tx, ty = xy[a + s, 0], xy[a + s, 1], xy[a + t, 0], xy[a + t, 1]
                if max(sx, tx) < west or min(sx, tx) > east or max(sy, ty) < south or min(sy, ty) > north:
                    continue
                across = _side(jx, jy, kx, ky, sx, sy) * _side(jx, jy, kx, ky, tx, ty)
                along = _side(sx, sy, tx, ty, jx, jy) * _side(sx, sy, tx, ty, kx, ky)
                if across <= 0 and along <= 0:
                    plain = False
                    break
            if not plain:
                break
        out[i] = plain
    return out


@_jit
def _inside(px: float, py: float, ax: float, ay: float, bx: float, by: float, cx: float, cy: float) -> bool:
    ab = (bx - ax) * (py - ay) - (by - ay) * (px - ax)
    bc = (cx - bx) * (py - by) - (cy - by) * (px - bx)
    ca = (ax - cx) * (py - cy) - (ay - cy) * (px - cx)
    return bool(ab >= 0 and bc >= 0 and ca >= 0)


@_jit
def _is_ear(xy: F64, a: int, p: int, at: int, q: int, after: I64) -> bool:
    ax, ay = xy[a + p, 0], xy[a + p, 1]
    bx, by = xy[a + at, 0], xy[a + at, 1]
    cx, cy = xy[a + q, 0], xy[a + q, 1]
    if (bx - ax) * (cy - ay) - (by - ay) * (cx - ax) <= 0:
        return False
    j = after[q]
    while j != p:
        x, y = xy[a + j, 0], xy[a + j, 1]
        corner = (x == ax and y == ay) or (x == bx and y == by) or (x == cx and y == cy)
        if not corner and _inside(x, y, ax, ay, bx, by, cx, cy):
            return False
        j = after[j]
    return True


@_jit
def clip_ears(xy: F64, ring: I64, start: I64, out: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Triangulates every ring without holes by ear clipping.

    Args:
        xy: (v, 2) coordinates.
        ring: (r, 2) first and past-last vertex of each ring, counter-clockwise.
        start: (r,) row in `out` where each ring's n - 2 triangles go.
        out: (m, 3) vertex numbers, filled here.

    Returns:
        (r,) False where no ear was found: the ring is not simple.
    """
    done = np.ones(len(ring), dtype=np.bool_)
    longest = 0
    for r in range(len(ring)):
        longest = max(longest, ring[r, 1] - ring[r, 0])
    before = np.empty(longest + 1, dtype=np.int64)
    after = np.empty(longest + 1, dtype=np.int64)
    for r in range(len(ring)):
        a = ring[r, 0]
        n = ring[r, 1] - a
        for j in range(n):
            before[j] = j - 1 if j else n - 1
            after[j] = j + 1 if j + 1 < n else 0
        left, at, tried, row = n, 0, 0, start[r]
        while left > 3 and tried <= left:
            p, q = before[at], after[at]
            if _is_ear(xy, a, p, at, q, after):
                out[row, 0], out[row, 1], out[row, 2] = a + p, a + at, a + q
                row += 1
                after[p] = q
                before[q] = p
                left -= 1
                tried = 0
                at = after[q]
            else:
                tried += 1
                at = q
        if left == 3:
            p, q = before[at], after[at]
            out[row, 0], out[row, 1], out[row, 2] = a + p, a + at, a + q
        else:
            done[r] = False
    return done
