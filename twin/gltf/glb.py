"""The GLB container (glTF 2.0, section 4): one JSON chunk, one binary chunk."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

from twin.errors import StoreError

_MAGIC = 0x46546C67
_JSON = 0x4E4F534A
_BIN = 0x004E4942


def pack(document: Mapping[str, Any], binary: bytes) -> bytes:
    """A GLB of a glTF document and its buffer 0; the same input gives the same bytes.

    Both chunks are padded to 8 bytes (4 are asked for): property tables want 8-byte alignment in the file as well.
    """
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-(len(text) + 20) % 8)
    body = binary + b"\0" * (-len(binary) % 8)
    chunks = [struct.pack("<II", len(text), _JSON), text]
    if binary:
        chunks += [struct.pack("<II", len(body), _BIN), body]
    size = 12 + sum(map(len, chunks))
    return b"".join([struct.pack("<III", _MAGIC, 2, size), *chunks])


def unpack(content: bytes) -> tuple[dict[str, Any], bytes]:
    """The glTF document and buffer 0 of a GLB; raises StoreError if it is not one."""
    if len(content) < 20 or struct.unpack_from("<II", content) != (_MAGIC, 2):
        raise StoreError("not a binary glTF 2.0", next_step="build the tiles again")
    size, json_size, kind = struct.unpack_from("<III", content, 8)
    if size != len(content) or kind != _JSON or 20 + json_size > size:
        raise StoreError("the GLB header does not fit its length", next_step="build the tiles again")
    try:
        document = json.loads(content[20 : 20 + json_size])
    except ValueError as error:
        raise StoreError(f"the JSON chunk of the GLB is damaged: {error}", next_step="build the tiles again") from error
    if not isinstance(document, dict):
        raise StoreError("the JSON chunk of the GLB is no object", next_step="build the tiles again")
    start = 20 + json_size
    if start + 8 > size:
        return document, b""
    binary_size, kind = struct.unpack_from("<II", content, start)
    if kind != _BIN or start + 8 + binary_size > size:
        raise StoreError("the binary chunk of the GLB is damaged", next_step="build the tiles again")
    return document, content[start + 8 : start + 8 + binary_size]
