"""Unfinished work beside the output: finished tiles survive a kill, so the next run goes on where it stopped."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from isal import isal_zlib

from twin.store.base import IDENTITY, check_key, decompress

FOLDER = ".staging"
_MAGIC = b"twin-piece-2\n"
_NOTE = "note"
_CHECKSUM = 4
_SIZE = "size"
_TELLS_ALL = "gzip"  # where this variant is there, the identity content is not stored beside it: it is the largest part


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished piece of work.

    Attributes:
        content: Identity bytes.
        variants: Bytes by content coding.
        note: Whatever the caller wants to know again, for example the tile's box as JSON.
    """

    content: bytes
    variants: Mapping[str, bytes]
    note: bytes = b""


@dataclass(frozen=True, slots=True)
class StagedPiece:
    """A finished piece that stays in its file until its bytes are asked for; see `base.Held`.

    Attributes:
        path: The file.
        size: Bytes of the identity content.
        places: Offset and size of every part of it.
    """

    path: Path
    size: int
    places: Mapping[str, tuple[int, int]]

    @property
    def sizes(self) -> Mapping[str, int]:
        """Bytes by content coding."""
        return {name: size for name, (_, size) in self.places.items() if name != _NOTE} | {IDENTITY: self.size}

    def read(self, encoding: str) -> bytes:
        """The bytes in a coding."""
        if encoding not in self.places:
            return decompress(self.read(_TELLS_ALL), _TELLS_ALL)
        offset, size = self.places[encoding]
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(size)


@dataclass(frozen=True, slots=True)
class Staging:
    """The staging directory of one build, `out/.staging/<build_key>/`.

    The build key names the input: work staged for other input is thrown away, for the same input it is taken up again.
    Several processes and threads may `put` at once. It can be pickled.

    Attributes:
        path: The directory.
    """

    path: Path

    @classmethod
    def open(cls, out: Path, build_key: str) -> Staging:
        """Takes up or starts the staging of a build; what other builds left behind is removed. Call it under `lock`."""
        check_key(build_key)
        root = out / FOLDER
        if root.is_dir():
            for other in root.iterdir():
                if other.name != build_key:
                    shutil.rmtree(other, ignore_errors=True)
        staging = cls(root / build_key)
        shutil.rmtree(staging.release_path, ignore_errors=True)
        staging.release_path.mkdir(parents=True)
        (staging.path / "pieces").mkdir(exist_ok=True)
        return staging

    @property
    def release_path(self) -> Path:
        """The directory that becomes the release; empty at the start of every run."""
        return self.path / "release"

    def has(self, key: str) -> bool:
        """True if the piece is finished and whole."""
        return self.get(key) is not None

    def get(self, key: str) -> Finished | None:
        """A finished piece, or None; a torn or altered file counts as none."""
        try:
            data = self._file(key).read_bytes()
        except FileNotFoundError:
            return None
        return _decode(data)

    def held(self, key: str) -> StagedPiece | None:
        """A finished piece without reading it, or None; that it is whole is for `get` to say."""
        path = self._file(key)
        try:
            with path.open("rb") as file:
                file.seek(len(_MAGIC) + _CHECKSUM)
                head = file.readline()
                start = file.tell()
        except FileNotFoundError:
            return None
        size, places = _places(head, start)
        return StagedPiece(path, size, places)

    def put(self, key: str, content: bytes, variants: Mapping[str, bytes] = {}, note: bytes = b"") -> None:
        """Records a finished piece; it is there whole or not at all."""
        file = self._file(key)
        staged = file.with_name(f"{file.name}.{os.getpid()}-{threading.get_ident()}")
        staged.write_bytes(_encode(content, variants, note))
        staged.replace(file)

    def _file(self, key: str) -> Path:
        return self.path / "pieces" / sha256(check_key(key).encode()).hexdigest()[:40]

    def remove(self) -> None:
        """Throws the staging away."""
        shutil.rmtree(self.path, ignore_errors=True)


def _encode(content: bytes, variants: Mapping[str, bytes], note: bytes) -> bytes:
    plain = {} if _TELLS_ALL in variants else {IDENTITY: content}
    parts = {**plain, **{name: variants[name] for name in sorted(variants)}, _NOTE: note}
    sizes = {_SIZE: len(content), **{name: len(part) for name, part in parts.items()}}
    body = json.dumps(sizes).encode() + b"\n" + b"".join(parts.values())
    return _MAGIC + _checksum(body) + body


def _places(head: bytes, start: int) -> tuple[int, dict[str, tuple[int, int]]]:
    """Size of the identity content; offset and size of every part by name."""
    sizes: dict[str, int] = json.loads(head)
    plain, places = sizes.pop(_SIZE), {}
    for name, size in sizes.items():
        places[name] = (start, size)
        start += size
    return plain, places


def _checksum(body: bytes | memoryview) -> bytes:
    """Tells a torn file, which is what a kill or a full disk leaves; contents have their own digests."""
    return int(isal_zlib.crc32(body)).to_bytes(_CHECKSUM, "little")


def _decode(data: bytes) -> Finished | None:
    start = len(_MAGIC) + _CHECKSUM
    body = memoryview(data)[start:]
    if not data.startswith(_MAGIC) or _checksum(body) != data[len(_MAGIC) : start]:
        return None
    head_end = data.index(b"\n", start) + 1
    _, places = _places(data[start:head_end], head_end)
    parts = {name: data[at : at + size] for name, (at, size) in places.items()}
    note = parts.pop(_NOTE)
    content = parts.pop(IDENTITY) if IDENTITY in parts else decompress(parts[_TELLS_ALL], _TELLS_ALL)
    return Finished(content, parts, note)
