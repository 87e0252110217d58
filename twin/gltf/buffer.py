"""Buffer views of a GLB, plain or under EXT_meshopt_compression: written and read by index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.errors import StoreError
from twin.gltf import meshopt

_EXTENSION = "EXT_meshopt_compression"
_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963

_COMPONENTS: dict[int, np.dtype[Any]] = {
    5120: np.dtype("i1"), 5121: np.dtype("u1"), 5122: np.dtype("<i2"), 5123: np.dtype("<u2"), 5125: np.dtype("<u4"),
    5126: np.dtype("<f4"),
}  # fmt: skip
_WIDTH = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


class BufferWriter:
    """Collects the views of one GLB.

    Attributes:
        views: `bufferViews` so far.
    """

    def __init__(self, compress: bool) -> None:
        self.views: list[dict[str, Any]] = []
        self._parts: list[bytes] = []
        self._size = 0
        self._compress = compress
        self._fallback = 0

    @property
    def extensions(self) -> list[str]:
        """Extensions the views need."""
        return [_EXTENSION] if self._compress else []

    def add_bytes(self, content: bytes) -> int:
        """Adds a plain view at a multiple of 8 bytes; gives its index."""
        self.views.append({"buffer": 0, "byteOffset": self._append(content), "byteLength": len(content)})
        return len(self.views) - 1

    def add_vertices(self, vertices: NDArray[np.uint8]) -> int:
        """Adds interleaved vertices, uint8 (n, stride); gives the index of the view."""
        count, stride = vertices.shape
        base = {"byteStride": stride, "target": _ARRAY_BUFFER}
        if not self._compress:
            return self._add_plain(vertices.tobytes(), base)
        coded = meshopt.encode_vertices(vertices)
        return self._add_coded(coded, base, {"byteStride": stride, "count": count, "mode": "ATTRIBUTES"})

    def add_triangles(self, triangles: NDArray[np.uint32], width: int) -> int:
        """Adds indices of `width` bytes; gives the index of the view."""
        base = {"target": _ELEMENT_ARRAY_BUFFER}
        if not self._compress:
            return self._add_plain(triangles.astype(f"<u{width}").tobytes(), base)
        coded = meshopt.encode_triangles(triangles)
        return self._add_coded(coded, base, {"byteStride": width, "count": triangles.size, "mode": "TRIANGLES"})

    def _add_plain(self, content: bytes, base: Mapping[str, Any]) -> int:
        index = self.add_bytes(content)
        self.views[index].update(base)
        return index

    def _add_coded(self, coded: bytes, base: Mapping[str, Any], how: Mapping[str, Any]) -> int:
        """The view proper lies in buffer 1, which has no bytes; the extension says where the coded ones are."""
        length = how["byteStride"] * how["count"]
        where = {"buffer": 0, "byteOffset": self._append(coded), "byteLength": len(coded), **how}
        view = {"buffer": 1, "byteOffset": self._fallback, "byteLength": length, **base}
        self.views.append({**view, "extensions": {_EXTENSION: where}})
        self._fallback += length + (-length % 8)
        return len(self.views) - 1

    def _append(self, content: bytes) -> int:
        start = self._size
        padding = -len(content) % 8
        self._parts += [content, b"\0" * padding]
        self._size += len(content) + padding
        return start

    def buffers(self) -> list[dict[str, Any]]:
        """The `buffers` of the document."""
        own: dict[str, Any] = {"byteLength": self._size}
        if not self._compress:
            return [own]
        return [own, {"byteLength": self._fallback, "extensions": {_EXTENSION: {"fallback": True}}}]

    def binary(self) -> bytes:
        """Bytes of buffer 0."""
        return b"".join(self._parts)


class BufferReader:
    """Reads the views and accessors of a GLB; raises StoreError where they do not fit the binary chunk."""

    def __init__(self, document: Mapping[str, Any], binary: bytes) -> None:
        self._document = document
        self._binary = binary
        self._cache: dict[int, bytes] = {}

    def view(self, index: int) -> bytes:
        """Bytes of a view, decompressed."""
        if index not in self._cache:
            self._cache[index] = self._read(self._document["bufferViews"][index])
        return self._cache[index]

    def _read(self, view: Mapping[str, Any]) -> bytes:
        coded = view.get("extensions", {}).get(_EXTENSION)
        if coded is None:
            return self._slice(view)
        content = self._slice(coded)
        if coded["mode"] == "ATTRIBUTES":
            return meshopt.decode_vertices(content, coded["count"], coded["byteStride"]).tobytes()
        indices = meshopt.decode_triangles(content, coded["count"])
        return indices.astype(f"<u{coded['byteStride']}").tobytes()

    def _slice(self, view: Mapping[str, Any]) -> bytes:
        start, length = view.get("byteOffset", 0), view["byteLength"]
        if view["buffer"] != 0 or start + length > len(self._binary):
            raise StoreError("a buffer view reaches beyond the binary chunk", next_step="build the tiles again")
        return self._binary[start : start + length]

    def accessor(self, index: int) -> NDArray[Any]:
        """Values of an accessor, (count, width), as stored."""
        one = self._document["accessors"][index]
        kind, width = _COMPONENTS[one["componentType"]], _WIDTH[one["type"]]
        view = self._document["bufferViews"][one["bufferView"]]
        stride = view.get("byteStride", kind.itemsize * width)
        content = self.view(one["bufferView"])
        start = one.get("byteOffset", 0)
        if start + stride * (one["count"] - 1) + kind.itemsize * width > len(content):
            raise StoreError("an accessor reaches beyond its view", next_step="build the tiles again")
        strides = (stride, kind.itemsize)
        return np.ndarray((one["count"], width), kind, content, start, strides)
