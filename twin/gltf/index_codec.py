"""Triangles as references to recent edges and corners: the TRIANGLES codec of EXT_meshopt_compression, version 1."""

# The two index coders are state machines over five variables; numba makes every call that returns them a tuple,
# so they are written as one loop each.
# ruff: noqa: PLR0912, PLR0915, PLR1714

from __future__ import annotations

import numpy as np
from numba import njit

#: Codes for (feb, fec) pairs that fit in half a byte; the encoder chooses the table and appends it to the stream.
_PAIRS = np.array([0, 0x76, 0x87, 0x56, 0x67, 0x78, 0xA9, 0x86, 0x65, 0x89, 0x68, 0x98, 0x01, 0x69, 0, 0], np.uint8)


@njit(cache=True, nogil=True)
def _find_edge(edges, a, b, c, at):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    for i in range(16):
        row = (at - 1 - i) & 15
        first = edges[row, 0]
        second = edges[row, 1]
        if first == a and second == b:
            return i << 2
        if first == b and second == c:
            return i << 2 | 1
        if first == c and second == a:
            return i << 2 | 2
    return -1


@njit(cache=True, nogil=True)
def _find_vertex(recent, vertex, at):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    for i in range(16):
        if recent[(at - 1 - i) & 15] == vertex:
            return i
    return -1


@njit(cache=True, nogil=True)
def _push_edge(edges, a, b, at):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    edges[at, 0] = a
    edges[at, 1] = b
    return (at + 1) & 15


@njit(cache=True, nogil=True)
def _push_vertex(recent, vertex, at):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    recent[at] = vertex
    return (at + 1) & 15


@njit(cache=True, nogil=True)
def _write_index(out, at, index, last):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Zigzag difference to the last explicit index, 7 bits a byte, low bits first."""
    delta = index - last
    rest = (delta << 1) ^ (delta >> 63)
    while rest > 127:
        out[at] = np.uint8(rest & 127 | 128)
        at += 1
        rest >>= 7
    out[at] = np.uint8(rest)
    return at + 1


@njit(cache=True, nogil=True)
def encode_indices(flat, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Encodes `flat`, uint32 (3 m,), into `out`; gives the number of bytes."""
    edges = np.full((16, 2), -1, np.int64)
    recent = np.full(16, -1, np.int64)
    edge_at = 0
    recent_at = 0
    following = np.int64(0)
    last = np.int64(0)
    out[0] = 0xE1
    code = 1
    data = 1 + len(flat) // 3
    for i in range(0, len(flat), 3):
        a = np.int64(flat[i])
        b = np.int64(flat[i + 1])
        c = np.int64(flat[i + 2])
        found = _find_edge(edges, a, b, c, edge_at)
        if found >= 0 and found >> 2 < 15:
            if found & 3 == 1:
                a, b, c = b, c, a
            elif found & 3 == 2:
                a, b, c = c, a, b
            place = _find_vertex(recent, c, recent_at)
            if 1 <= place < 13:
                third = place
            elif c == following:
                following += 1
                third = 0
            elif c + 1 == last:
                third = 13
                last = c
            elif c == last + 1:
                third = 14
                last = c
            else:
                third = 15
                data = _write_index(out, data, c, last)
                last = c
            out[code] = np.uint8(found >> 2 << 4 | third)
            if third == 0 or third >= 13:
                recent_at = _push_vertex(recent, c, recent_at)
            edge_at = _push_edge(edges, c, b, edge_at)
            edge_at = _push_edge(edges, a, c, edge_at)
        else:
            if b == following:
                a, b, c = b, c, a
            elif c == following:
                a, b, c = c, a, b
            reset = a == 0 and b == 1 and c == 2 and following > 0
            if reset:
                following = np.int64(0)
                recent[:] = -1
            place_b = _find_vertex(recent, b, recent_at)
            place_c = _find_vertex(recent, c, recent_at)
            first = 15
            if a == following:
                first = 0
                following += 1
            second = 15
            if 0 <= place_b < 14:
                second = place_b + 1
            elif b == following:
                second = 0
                following += 1
            third = 15
            if 0 <= place_c < 14:
                third = place_c + 1
            elif c == following:
                third = 0
                following += 1
            pair = second << 4 | third
            short = -1
            if first == 0 and not reset:
                for k in range(14):
                    if _PAIRS[k] == pair:
                        short = k
                        break
            if short >= 0:
                out[code] = np.uint8(0xF0 | short)
            else:
                out[code] = np.uint8(0xFE if first == 0 else 0xFF)
                out[data] = np.uint8(pair)
                data += 1
            if first == 15:
                data = _write_index(out, data, a, last)
                last = a
            if second == 15:
                data = _write_index(out, data, b, last)
                last = b
            if third == 15:
                data = _write_index(out, data, c, last)
                last = c
            recent_at = _push_vertex(recent, a, recent_at)
            if second == 0 or second == 15:
                recent_at = _push_vertex(recent, b, recent_at)
            if third == 0 or third == 15:
                recent_at = _push_vertex(recent, c, recent_at)
            edge_at = _push_edge(edges, b, a, edge_at)
            edge_at = _push_edge(edges, c, b, edge_at)
            edge_at = _push_edge(edges, a, c, edge_at)
        code += 1
    out[data : data + 16] = _PAIRS
    return data + 16


@njit(cache=True, nogil=True)
def _read_index(data, at, end, last):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    rest = np.int64(0)
    shift = np.int64(0)
    while True:
        if at >= end or shift > 28:
            return np.int64(0), -1
        byte = np.int64(data[at])
        at += 1
        rest |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    return last + ((rest >> 1) ^ -(rest & 1)), at


@njit(cache=True, nogil=True)
def decode_indices(data, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Decodes into `out`, uint32 (3 m,); False if the stream is damaged."""
    edges = np.full((16, 2), -1, np.int64)
    recent = np.full(16, -1, np.int64)
    edge_at = 0
    recent_at = 0
    following = np.int64(0)
    last = np.int64(0)
    at = 1 + len(out) // 3
    end = len(data) - 16
    for i in range(len(out) // 3):
        code = np.int64(data[1 + i])
        if code < 0xF0:
            row = (edge_at - 1 - (code >> 4)) & 15
            a = edges[row, 0]
            b = edges[row, 1]
            third = code & 15
            if third == 0:
                c = following
                following += 1
            elif third < 13:
                c = recent[(recent_at - 1 - third) & 15]
            elif third == 15:
                c, at = _read_index(data, at, end, last)
                last = c
            else:
                c = last + np.int64(1 if third == 14 else -1)
                last = c
            if third == 0 or third >= 13:
                recent_at = _push_vertex(recent, c, recent_at)
            edge_at = _push_edge(edges, c, b, edge_at)
            edge_at = _push_edge(edges, a, c, edge_at)
        else:
            first = 15 if code == 0xFF else 0
            if code < 0xFE:
                pair = np.int64(data[end + (code & 15)])
            else:
                if at >= end:
                    return False
                pair = np.int64(data[at])
                at += 1
                if pair == 0:
                    following = np.int64(0)
            second = pair >> 4
            third = pair & 15
            a = np.int64(0)
            if first == 0:
                a = following
                following += 1
            b = recent[(recent_at - second) & 15]
            if second == 0:
                b = following
                following += 1
            c = recent[(recent_at - third) & 15]
            if third == 0:
                c = following
                following += 1
            if first == 15:
                a, at = _read_index(data, at, end, last)
                last = a
            if second == 15 and at >= 0:
                b, at = _read_index(data, at, end, last)
                last = b
            if third == 15 and at >= 0:
                c, at = _read_index(data, at, end, last)
                last = c
            recent_at = _push_vertex(recent, a, recent_at)
            if second == 0 or second == 15:
                recent_at = _push_vertex(recent, b, recent_at)
            if third == 0 or third == 15:
                recent_at = _push_vertex(recent, c, recent_at)
            edge_at = _push_edge(edges, b, a, edge_at)
            edge_at = _push_edge(edges, c, b, edge_at)
            edge_at = _push_edge(edges, a, c, edge_at)
        if at < 0:
            return False
        out[3 * i] = np.uint32(a)
        out[3 * i + 1] = np.uint32(b)
        out[3 * i + 2] = np.uint32(c)
    return at == end
