"""Vertices as byte planes of small differences: the ATTRIBUTES codec of EXT_meshopt_compression, version 0."""

# ruff: noqa: PLR0912

from __future__ import annotations

import numpy as np
from numba import njit

#: Eight bytes at once: adding these to the low seven bits sets the top bit of each byte from 3, or from 15, upwards.
_FROM_3 = np.uint64(0x7D7D7D7D7D7D7D7D)
_FROM_15 = np.uint64(0x7171717171717171)
_LOW_7 = np.uint64(0x7F7F7F7F7F7F7F7F)
_ONES = np.uint64(0x0101010101010101)


@njit(cache=True, nogil=True)
def _count_from(word, threshold):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """How many of the eight bytes of `word` reach the threshold."""
    reached = (((word & _LOW_7) + threshold) | word) >> np.uint64(7) & _ONES
    return np.int64(reached * _ONES >> np.uint64(56))


@njit(cache=True, nogil=True)
def encode_planes(vertices, block, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Encodes `vertices`, uint8 (n, stride), into `out`; gives the number of bytes."""
    count, stride = vertices.shape
    out[0] = 0xA0
    at = 1
    last = np.zeros(stride, np.uint8)
    if count:
        last[:] = vertices[0]
    planes = np.zeros((stride, 256), np.uint8)
    words = planes.view(np.uint64)
    raw = np.empty((stride, 256), np.uint8)
    for start in range(0, count, block):
        size = min(block, count - start)
        padded = (size + 15) & ~15
        _transpose_deltas(vertices, start, size, padded, last, raw, planes)
        for k in range(stride):
            at = _encode_plane(planes[k], words[k], padded, out, at)
        last[:] = vertices[start + size - 1]
    tail = max(stride, 32)
    out[at : at + tail - stride] = 0
    at += tail - stride
    if count:
        out[at : at + stride] = vertices[0]
    else:
        out[at : at + stride] = 0
    return at + stride


@njit(cache=True, nogil=True)
def _transpose_deltas(vertices, start, size, padded, last, raw, planes):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Per byte plane: the zigzag difference to the vertex before; zero beyond the end of the block.

    First the transpose, then the differences: two loops the compiler can vectorise.
    """
    stride = vertices.shape[1]
    for i in range(size):
        row = vertices[start + i]
        for k in range(stride):
            raw[k, i] = row[k]
    for k in range(stride):
        plane = planes[k]
        values = raw[k]
        plane[0] = _zigzag(np.uint8(values[0] - last[k]))
        for i in range(1, size):
            plane[i] = _zigzag(np.uint8(values[i] - values[i - 1]))
        plane[size:padded] = 0


@njit(cache=True, nogil=True)
def _zigzag(delta):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Sign to the lowest bit: small differences of either sign become small numbers."""
    return np.uint8((delta << 1) ^ (np.uint8(0) - np.uint8(delta >> 7)))


@njit(cache=True, nogil=True)
def _encode_plane(plane, words, padded, out, at):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Two header bits a group of 16, then each group in the cheapest of 0, 2, 4 or 8 bits a value."""
    groups = padded // 16
    header = at
    head_bytes = (groups + 3) // 4
    for i in range(head_bytes):
        out[header + i] = 0
    at += head_bytes
    for g in range(groups):
        base = g * 16
        first = words[2 * g]
        second = words[2 * g + 1]
        if first | second == 0:
            continue
        over2 = _count_from(first, _FROM_3) + _count_from(second, _FROM_3)
        over4 = _count_from(first, _FROM_15) + _count_from(second, _FROM_15)
        size2 = 4 + over2
        size4 = 8 + over4
        if size2 <= size4 and size2 < 16:
            out[header + g // 4] |= np.uint8(1 << (g % 4 * 2))
            spill = at + 4
            for q in range(4):
                packed = 0
                for j in range(4):
                    value = plane[base + q * 4 + j]
                    if value >= 3:
                        out[spill] = value
                        spill += 1
                        packed = packed << 2 | 3
                    else:
                        packed = packed << 2 | value
                out[at + q] = np.uint8(packed)
            at = spill
        elif size4 < 16:
            out[header + g // 4] |= np.uint8(2 << (g % 4 * 2))
            spill = at + 8
            for q in range(8):
                packed = 0
                for j in range(2):
                    value = plane[base + q * 2 + j]
                    if value >= 15:
                        out[spill] = value
                        spill += 1
                        packed = packed << 4 | 15
                    else:
                        packed = packed << 4 | value
                out[at + q] = np.uint8(packed)
            at = spill
        else:
            out[header + g // 4] |= np.uint8(3 << (g % 4 * 2))
            for i in range(16):
                out[at + i] = plane[base + i]
            at += 16
    return at


@njit(cache=True, nogil=True)
def decode_planes(data, block, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Decodes into `out`, uint8 (n, stride); False if the stream is damaged."""
    count, stride = out.shape
    end = len(data) - max(stride, 32)
    last = data[len(data) - stride :].copy()
    plane = np.zeros(256, np.uint8)
    at = 1
    for start in range(0, count, block):
        size = min(block, count - start)
        for k in range(stride):
            at = _decode_plane(data, at, end, (size + 15) // 16, plane)
            if at < 0:
                return False
            before = last[k]
            for i in range(size):
                code = plane[i]
                before = np.uint8(before + (np.uint8(code >> 1) ^ (np.uint8(0) - np.uint8(code & 1))))
                out[start + i, k] = before
            last[k] = before
    return at == end


@njit(cache=True, nogil=True)
def _decode_plane(data, at, end, groups, plane):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    header = at
    at += (groups + 3) // 4
    if at > end:
        return -1
    for g in range(groups):
        mode = data[header + g // 4] >> (g % 4 * 2) & 3
        base = g * 16
        if mode == 0:
            plane[base : base + 16] = 0
        elif mode == 3:
            if at + 16 > end:
                return -1
            plane[base : base + 16] = data[at : at + 16]
            at += 16
        else:
            bits = 2 * mode
            full = (1 << bits) - 1
            each = 8 // bits
            packed = at
            at += 16 // each
            if at > end:
                return -1
            for i in range(16):
                value = data[packed + i // each] >> (8 - bits * (i % each + 1)) & full
                if value == full:
                    if at >= end:
                        return -1
                    value = data[at]
                    at += 1
                plane[base + i] = value
    return at
