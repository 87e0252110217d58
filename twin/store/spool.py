"""Content on its way into a store: taken in any order, given back sorted, so the order of work never shows in bytes."""

from __future__ import annotations

import tempfile
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from twin.closing import Closing
from twin.errors import StoreError
from twin.store.base import IDENTITY, Entry, Held, check_key, check_variants, etag_of, media_type, quoted

_IN_MEMORY = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """One entry and where its bytes are."""

    entry: Entry
    held: Held

    def read(self, encoding: str = IDENTITY) -> bytes:
        """The bytes of the entry in one coding."""
        return self.held.read(encoding)


@dataclass(frozen=True, slots=True)
class _Spooled:
    """Content in the spool's file: offset and size by coding."""

    file: IO[bytes]
    places: Mapping[str, tuple[int, int]]

    @property
    def sizes(self) -> Mapping[str, int]:
        return {encoding: size for encoding, (_, size) in self.places.items()}

    def read(self, encoding: str) -> bytes:
        offset, size = self.places[encoding]
        self.file.seek(offset)
        return self.file.read(size)


class Spool(Closing):
    """Bytes in a temporary file without a name; a killed process leaves nothing behind.

    Args:
        folder: Where the file lies once it outgrows memory; the disk of the store that is being written.
    """

    def __init__(self, folder: str) -> None:
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY, dir=folder)  # noqa: SIM115
        self._pieces: dict[str, Piece] = {}
        self._end = 0

    def add(self, key: str, content: bytes, variants: Mapping[str, bytes], etag: str | None) -> None:
        """Takes an entry in; refuses hostile and repeated keys and unknown codings with `StoreError`."""
        self._check(key, variants)
        places = {IDENTITY: self._append(content)}
        places.update((encoding, self._append(packed)) for encoding, packed in variants.items())
        self._hold(key, _Spooled(self._file, places), etag_of(content, etag))

    def add_held(self, key: str, held: Held, etag: str) -> None:
        """Notes an entry whose bytes stay where they are until they are asked for; refuses as `add` does."""
        self._check(key, set(held.sizes) - {IDENTITY})
        self._hold(key, held, quoted(etag))

    def _check(self, key: str, variants: Iterable[str]) -> None:
        if check_key(key) in self._pieces:
            raise StoreError(f"the key {key!r} is put twice", next_step="give every tile a key of its own")
        check_variants(variants)

    def _hold(self, key: str, held: Held, etag: str) -> None:
        sizes = held.sizes
        encodings = tuple(sorted(set(sizes) - {IDENTITY}))
        self._pieces[key] = Piece(Entry(key, media_type(key), sizes[IDENTITY], etag, encodings), held)

    def _append(self, content: bytes) -> tuple[int, int]:
        place = (self._end, len(content))
        self._file.seek(self._end)
        self._file.write(content)
        self._end += len(content)
        return place

    def sorted(self) -> Iterator[Piece]:
        """Every entry by key."""
        for key in sorted(self._pieces):
            yield self._pieces[key]

    def close(self) -> None:
        """Throws the bytes away."""
        self._file.close()


class PackWriter(Closing):
    """Writes one file beside the final one and renames it on `commit`: same content, same bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._spool = Spool(str(path.parent))

    def put(self, key: str, content: bytes, variants: Mapping[str, bytes] = {}, etag: str | None = None) -> None:
        """Adds content; see `base.StoreWriter`."""
        self._check(key, len(content))
        self._spool.add(key, content, variants, etag)

    def put_held(self, key: str, held: Held, etag: str) -> None:
        """Adds held content; see `base.StoreWriter`."""
        self._check(key, held.sizes[IDENTITY])
        self._spool.add_held(key, held, etag)

    def _check(self, key: str, size: int) -> None:
        """Refuses what the kind of pack cannot hold, with `StoreError`."""

    def commit(self) -> None:
        """Writes the file, in the order of the keys; see `base.StoreWriter`."""
        pieces = list(self._spool.sorted())
        self._check_all(pieces)
        staged = self.path.with_name(self.path.name + ".writing")
        try:
            self._write(staged, pieces)
        except self._failures as error:
            staged.unlink(missing_ok=True)
            raise StoreError(
                f"cannot be written ({error})", file=staged, next_step="free disk space, check rights"
            ) from error
        staged.replace(self.path)

    _failures: tuple[type[Exception], ...] = (OSError,)

    def _check_all(self, pieces: list[Piece]) -> None:
        """Refuses a pack its format does not allow, with `StoreError`."""

    @abstractmethod
    def _write(self, staged: Path, pieces: list[Piece]) -> None:
        """Writes the file of the pack."""

    def close(self) -> None:
        """Throws away what was not committed."""
        self._spool.close()
