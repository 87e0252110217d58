"""The codecs of EXT_meshopt_compression (ATTRIBUTES version 0, TRIANGLES version 1), compiled from Python by numba."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from twin.errors import StoreError

_VERTEX_HEADER = 0xA0
_INDEX_HEADER = 0xE1
_TAIL = 32
_BLOCK_BYTES = 8192

#: Codes for (feb, fec) pairs that fit in half a byte; the encoder chooses the table and appends it to the stream.
_PAIRS = np.array([0, 0x76, 0x87, 0x56, 0x67, 0x78, 0xA9, 0x86, 0x65, 0x89, 0x68, 0x98, 0x01, 0x69, 0, 0], np.uint8)


def encode_vertices(vertices: NDArray[np.uint8]) -> bytes:
    """Encodes vertices losslessly (mode ATTRIBUTES).

    Args:
        vertices: uint8 (n, stride); the stride is a multiple of 4, at most 256.

    Raises:
        ValueError: The stride is none the format knows.
    """
    count, stride = vertices.shape
    if stride % 4 or not 0 < stride <= 256:
        raise ValueError(f"stride {stride}: must be a multiple of 4 up to 256")
    groups = count // 16 + 1 + count // _block_size(stride)
    out = np.empty(1 + stride * (groups * 17 + groups) + max(stride, _TAIL), np.uint8)
    size = _encode_vertices(np.ascontiguousarray(vertices), _block_size(stride), out)
    return out[:size].tobytes()


def decode_vertices(content: bytes, count: int, stride: int) -> NDArray[np.uint8]:
    """Decodes a stream of mode ATTRIBUTES into uint8 (count, stride); raises StoreError if it is damaged."""
    out = np.zeros((count, stride), np.uint8)
    data = np.frombuffer(content, np.uint8)
    if len(data) < 1 + max(stride, _TAIL) or data[0] != _VERTEX_HEADER:
        raise StoreError("not a meshopt vertex stream", next_step="build the tiles again")
    if not _decode_vertices(data, _block_size(stride), out):
        raise StoreError("the meshopt vertex stream is damaged", next_step="build the tiles again")
    return out


def encode_triangles(triangles: NDArray[np.uint32]) -> bytes:
    """Encodes triangles (mode TRIANGLES); order and winding are kept, the first corner of a triangle may change.

    Args:
        triangles: uint32 (m, 3).
    """
    flat = np.ascontiguousarray(triangles, np.uint32).ravel()
    out = np.empty(1 + len(flat) // 3 * 17 + 16, np.uint8)
    return out[: _encode_triangles(flat, _PAIRS, out)].tobytes()


def decode_triangles(content: bytes, count: int) -> NDArray[np.uint32]:
    """Decodes a stream of mode TRIANGLES into uint32 (count / 3, 3); raises StoreError if it is damaged.

    Args:
        content: The stream.
        count: Number of indices.
    """
    data = np.frombuffer(content, np.uint8)
    out = np.zeros(count, np.uint32)
    if len(data) < 1 + count // 3 + 16 or data[0] != _INDEX_HEADER or not _decode_triangles(data, out):
        raise StoreError("the meshopt index stream is damaged", next_step="build the tiles again")
    return out.reshape(-1, 3)


def _block_size(stride: int) -> int:
    """Vertices a block: what fits in 8 KiB, a multiple of 16, at most 256 (specification, "attributes")."""
    return min(_BLOCK_BYTES // stride & ~15, 256)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _encode_vertices(vertices, block, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    count, stride = vertices.shape
    out[0] = 0xA0
    at = 1
    last = np.zeros(stride, np.uint8)
    if count:
        last[:] = vertices[0]
    planes = np.zeros((stride, 256), np.uint8)
    for start in range(0, count, block):
        size = min(block, count - start)
        padded = (size + 15) & ~15
        _transpose_deltas(vertices, start, size, padded, last, planes)
        for k in range(stride):
            at = _encode_plane(planes[k], padded, out, at)
        last[:] = vertices[start + size - 1]
    tail = max(stride, 32)
    out[at : at + tail - stride] = 0
    at += tail - stride
    if count:
        out[at : at + stride] = vertices[0]
    else:
        out[at : at + stride] = 0
    return at + stride


@njit(cache=True)  # type: ignore[untyped-decorator]
def _transpose_deltas(vertices, start, size, padded, last, planes):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Per byte plane: the zigzag difference to the vertex before; zero beyond the end of the block."""
    stride = vertices.shape[1]
    for k in range(stride):
        plane = planes[k]
        before = last[k]
        for i in range(size):
            value = vertices[start + i, k]
            delta = np.uint8(value - before)
            plane[i] = np.uint8((delta << 1) ^ (np.uint8(0) - np.uint8(delta >> 7)))
            before = value
        for i in range(size, padded):
            plane[i] = 0


@njit(cache=True)  # type: ignore[untyped-decorator]
def _encode_plane(plane, padded, out, at):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Two header bits a group of 16, then each group in the cheapest of 0, 2, 4 or 8 bits a value."""
    groups = padded // 16
    header = at
    head_bytes = (groups + 3) // 4
    for i in range(head_bytes):
        out[header + i] = 0
    at += head_bytes
    for g in range(groups):
        base = g * 16
        high = np.uint8(0)
        over2 = 0
        over4 = 0
        for i in range(16):
            value = plane[base + i]
            high |= value
            over2 += value >= 3
            over4 += value >= 15
        if high == 0:
            continue
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


@njit(cache=True)  # type: ignore[untyped-decorator]
def _decode_vertices(data, block, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
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


@njit(cache=True)  # type: ignore[untyped-decorator]
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


@njit(cache=True)  # type: ignore[untyped-decorator]
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


@njit(cache=True)  # type: ignore[untyped-decorator]
def _find_vertex(recent, vertex, at):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    for i in range(16):
        if recent[(at - 1 - i) & 15] == vertex:
            return i
    return -1


@njit(cache=True)  # type: ignore[untyped-decorator]
def _push_edge(edges, a, b, at):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    edges[at, 0] = a
    edges[at, 1] = b
    return (at + 1) & 15


@njit(cache=True)  # type: ignore[untyped-decorator]
def _push_vertex(recent, vertex, at):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    recent[at] = vertex
    return (at + 1) & 15


@njit(cache=True)  # type: ignore[untyped-decorator]
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


@njit(cache=True)  # type: ignore[untyped-decorator]
def _encode_triangles(flat, pairs, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    edges = np.full((16, 2), -1, np.int64)
    recent = np.full(16, -1, np.int64)
    edge_at = 0
    recent_at = 0
    following = 0
    last = 0
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
                following = 0
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
                    if pairs[k] == pair:
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
    out[data : data + 16] = pairs
    return data + 16


@njit(cache=True)  # type: ignore[untyped-decorator]
def _read_index(data, at, end, last):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    rest = 0
    shift = 0
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


@njit(cache=True)  # type: ignore[untyped-decorator]
def _decode_triangles(data, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
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
                c = last + (1 if third == 14 else -1)
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
                    following = 0
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
