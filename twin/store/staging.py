"""Unfinished work beside the output: finished tiles survive a kill, so the next run goes on where it stopped."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from zlib_ng import zlib_ng

from twin.store.base import IDENTITY, check_key

FOLDER = ".staging"
_MAGIC = b"twin-piece-1\n"
_NOTE = "note"
_CHECKSUM = 4


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
class Staging:
    """The staging directory of one build, `out/.staging/<build_key>/`.

    The build key names the input: work staged for other input is thrown away, for the same input it is taken up again.
    Several processes may `put` at once. It can be pickled.

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

    def put(self, key: str, content: bytes, variants: Mapping[str, bytes] = {}, note: bytes = b"") -> None:
        """Records a finished piece; it is there whole or not at all."""
        file = self._file(key)
        staged = file.with_name(f"{file.name}.{os.getpid()}")
        staged.write_bytes(_encode(content, variants, note))
        staged.replace(file)

    def _file(self, key: str) -> Path:
        return self.path / "pieces" / sha256(check_key(key).encode()).hexdigest()[:40]

    def remove(self) -> None:
        """Throws the staging away."""
        shutil.rmtree(self.path, ignore_errors=True)


def _encode(content: bytes, variants: Mapping[str, bytes], note: bytes) -> bytes:
    parts = {IDENTITY: content, **{name: variants[name] for name in sorted(variants)}, _NOTE: note}
    head = json.dumps({name: len(part) for name, part in parts.items()}).encode() + b"\n"
    body = head + b"".join(parts.values())
    return _MAGIC + _checksum(body) + body


def _checksum(body: bytes | memoryview) -> bytes:
    """Tells a torn file, which is what a kill or a full disk leaves; contents have their own digests."""
    return int(zlib_ng.crc32(body)).to_bytes(_CHECKSUM, "little")


def _decode(data: bytes) -> Finished | None:
    start = len(_MAGIC) + _CHECKSUM
    body = memoryview(data)[start:]
    if not data.startswith(_MAGIC) or _checksum(body) != data[len(_MAGIC) : start]:
        return None
    head_end = data.index(b"\n", start) + 1
    parts: dict[str, bytes] = {}
    at = head_end
    for name, size in json.loads(data[start:head_end]).items():
        parts[name] = data[at : at + size]
        at += size
    content, note = parts.pop(IDENTITY), parts.pop(_NOTE)
    return Finished(content, parts, note)
