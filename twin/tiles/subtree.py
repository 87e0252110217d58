"""Subtrees of implicit tiling: which tiles, contents and further subtrees there are, and the tiles' metadata."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.errors import MisuseError, StoreError
from twin.metadata.table import EncodedTable, pad8

_MAGIC = 0x74627573
_VERSION = 1
_HEADER = struct.Struct("<IIQQ")


def morton(x: int, y: int) -> int:
    """Place of (x, y) on the Z-order curve: bits interleaved, x in the even ones."""
    code = 0
    for bit in range(max(x.bit_length(), y.bit_length())):
        code |= (x >> bit & 1) << 2 * bit | (y >> bit & 1) << 2 * bit + 1
    return code


def level_offset(level: int) -> int:
    """Tiles of a quadtree above `level`; also the bit in a subtree at which the level begins."""
    return int((4**level - 1) // 3)


def tile_bit(level: int, x: int, y: int) -> int:
    """Bit of the tile `level`, x, y counted from the subtree's root."""
    return level_offset(level) + morton(x, y)


@dataclass(frozen=True, slots=True)
class Subtree:
    """One subtree of a quadtree.

    Attributes:
        tiles: bool ((4**levels - 1) / 3,), True where a tile exists; levels from the root, Morton order in a level.
        contents: The same for contents.
        children: bool (4**levels,), True where a subtree hangs below the last level.
        metadata: Property tables by number, for writing; row i belongs to the i-th existing tile.
        document: The JSON as read, for metadata that is looked up by index; empty when made for writing.
        binary: Binary chunk as read.
    """

    tiles: NDArray[np.bool_]
    contents: NDArray[np.bool_]
    children: NDArray[np.bool_]
    metadata: EncodedTable | None = None
    document: Mapping[str, Any] = field(default_factory=dict)
    binary: bytes = b""

    @property
    def levels(self) -> int:
        """Levels of tiles."""
        return (len(self.children).bit_length() - 1) // 2

    def view(self, index: int) -> bytes:
        """Bytes of a buffer view of a subtree that was read."""
        one = self.document["bufferViews"][index]
        start = one.get("byteOffset", 0)
        if start + one["byteLength"] > len(self.binary):
            raise StoreError("a buffer view of the subtree reaches beyond its buffer", next_step="build again")
        return self.binary[start : start + one["byteLength"]]


def encode(subtree: Subtree) -> bytes:
    """Writes a subtree (3D Tiles 1.1, "Subtree Binary Format"): constants where all bits agree, trailing bits 0."""
    expected = level_offset(subtree.levels)
    if not len(subtree.tiles) == len(subtree.contents) == expected or len(subtree.children) != 4**subtree.levels:
        raise MisuseError("the availability arrays do not fit a subtree", next_step="give (4**n - 1) / 3 and 4**n bits")
    views: list[bytes] = []
    availability = {
        "tileAvailability": _availability(subtree.tiles, views),
        "contentAvailability": [_availability(subtree.contents, views)],
        "childSubtreeAvailability": _availability(subtree.children, views),
    }
    table = {}
    if subtree.metadata is not None:
        table = {"tileMetadata": 0, "propertyTables": [subtree.metadata.shifted(len(views))]}
        views += subtree.metadata.views
    binary = b"".join(pad8(view) for view in views)
    offset, places = 0, []
    for view in views:
        places.append({"buffer": 0, "byteOffset": offset, "byteLength": len(view)})
        offset += len(view) + (-len(view) % 8)
    buffers = {"buffers": [{"byteLength": len(binary)}], "bufferViews": places} if views else {}
    text = pad8(json.dumps({**buffers, **availability, **table}, separators=(",", ":")).encode(), b" ")
    return _HEADER.pack(_MAGIC, _VERSION, len(text), len(binary)) + text + binary


def _availability(bits: NDArray[np.bool_], views: list[bytes]) -> dict[str, int]:
    count = int(bits.sum())
    if count in (0, len(bits)):
        return {"constant": int(count > 0)}
    views.append(np.packbits(bits, bitorder="little").tobytes())
    return {"bitstream": len(views) - 1, "availableCount": count}


def decode(content: bytes, levels: int) -> Subtree:
    """Reads a subtree of `levels` levels.

    Raises:
        StoreError: It is no subtree, its lengths or its `availableCount` do not fit, or bits past the end are set.
    """
    if len(content) < _HEADER.size:
        raise StoreError("the subtree is too short", next_step="build the tiles again")
    magic, version, text_size, binary_size = _HEADER.unpack_from(content)
    if (magic, version) != (_MAGIC, _VERSION) or _HEADER.size + text_size + binary_size != len(content):
        raise StoreError("the subtree header does not fit", next_step="build the tiles again")
    document = json.loads(content[_HEADER.size : _HEADER.size + text_size])
    empty = np.zeros(0, bool)
    raw = Subtree(empty, empty, empty, document=document, binary=content[_HEADER.size + text_size :])
    size = level_offset(levels)
    contents = document.get("contentAvailability", [{"constant": 0}])
    return Subtree(
        _bits(raw, document["tileAvailability"], size),
        _bits(raw, contents[0], size),
        _bits(raw, document["childSubtreeAvailability"], 4**levels),
        document=document,
        binary=raw.binary,
    )


def _bits(raw: Subtree, availability: Mapping[str, int], size: int) -> NDArray[np.bool_]:
    if "constant" in availability:
        return np.full(size, bool(availability["constant"]))
    stream = np.frombuffer(raw.view(availability["bitstream"]), np.uint8)
    if len(stream) != (size + 7) // 8:
        raise StoreError(f"{len(stream)} bytes of availability for {size} bits", next_step="build the tiles again")
    bits = np.unpackbits(stream, bitorder="little").astype(bool)
    if bits[size:].any():
        raise StoreError("availability bits past the end are set", next_step="build the tiles again")
    if availability.get("availableCount", int(bits[:size].sum())) != bits[:size].sum():
        raise StoreError("availableCount does not count the bits", next_step="build the tiles again")
    return bits[:size]
