"""The codecs of EXT_meshopt_compression (ATTRIBUTES version 0, TRIANGLES version 1), compiled from Python by numba."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twin.errors import StoreError
from twin.gltf.index_codec import decode_indices, encode_indices
from twin.gltf.vertex_codec import decode_planes, encode_planes

_VERTEX_HEADER = 0xA0
_INDEX_HEADER = 0xE1
_TAIL = 32
_BLOCK_BYTES = 8192


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
    size = encode_planes(np.ascontiguousarray(vertices), _block_size(stride), out)
    return out[:size].tobytes()


def decode_vertices(content: bytes, count: int, stride: int) -> NDArray[np.uint8]:
    """Decodes a stream of mode ATTRIBUTES into uint8 (count, stride); raises StoreError if it is damaged."""
    data = np.frombuffer(content, np.uint8)
    # A byte of the stream stands for 64 bytes of vertices at most: no short stream may ask for a lot of memory.
    fits = 0 < stride <= 256 and 0 <= count * stride <= 64 * len(data)
    if not fits or len(data) < 1 + max(stride, _TAIL) or data[0] != _VERTEX_HEADER:
        raise StoreError("not a meshopt vertex stream", next_step="build the tiles again")
    out = np.zeros((count, stride), np.uint8)
    if not decode_planes(data, _block_size(stride), out):
        raise StoreError("the meshopt vertex stream is damaged", next_step="build the tiles again")
    return out


def encode_triangles(triangles: NDArray[np.uint32]) -> bytes:
    """Encodes triangles (mode TRIANGLES); order and winding are kept, the first corner of a triangle may change.

    Args:
        triangles: uint32 (m, 3).
    """
    flat = np.ascontiguousarray(triangles, np.uint32).ravel()
    out = np.empty(1 + len(flat) // 3 * 17 + 16, np.uint8)
    return out[: encode_indices(flat, out)].tobytes()


def decode_triangles(content: bytes, count: int) -> NDArray[np.uint32]:
    """Decodes a stream of mode TRIANGLES into uint32 (count / 3, 3); raises StoreError if it is damaged.

    Args:
        content: The stream.
        count: Number of indices.
    """
    data = np.frombuffer(content, np.uint8)
    if count < 0 or count % 3 or len(data) < 1 + count // 3 + 16 or data[0] != _INDEX_HEADER:
        raise StoreError("not a meshopt index stream", next_step="build the tiles again")
    out = np.zeros(count, np.uint32)
    if not decode_indices(data, out):
        raise StoreError("the meshopt index stream is damaged", next_step="build the tiles again")
    return out.reshape(-1, 3)


def _block_size(stride: int) -> int:
    """Vertices a block: what fits in 8 KiB, a multiple of 16, at most 256 (specification, "attributes")."""
    return min(_BLOCK_BYTES // stride & ~15, 256)
