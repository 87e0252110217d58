"""Content on its way into a store: taken in any order, given back sorted, so the order of work never shows in bytes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO

from twin.errors import StoreError
from twin.store.base import ENCODINGS, IDENTITY, Closing, Entry, check_key, etag_of, media_type

_IN_MEMORY = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """One spooled entry with the place of its bytes in the spool."""

    entry: Entry
    places: Mapping[str, tuple[int, int]] = field(default_factory=dict)


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
        if check_key(key) in self._pieces:
            raise StoreError(f"the key {key!r} is put twice", next_step="give every tile a key of its own")
        unknown = set(variants) - set(ENCODINGS)
        if unknown:
            raise StoreError(f"unknown content codings {sorted(unknown)}", next_step=f"use {', '.join(ENCODINGS)}")
        entry = Entry(key, media_type(key), len(content), etag_of(content, etag), tuple(sorted(variants)))
        places = {IDENTITY: self._append(content)}
        places.update((encoding, self._append(packed)) for encoding, packed in variants.items())
        self._pieces[key] = Piece(entry, places)

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

    def bytes_of(self, piece: Piece, encoding: str = IDENTITY) -> bytes:
        """The bytes of an entry in one coding."""
        offset, size = piece.places[encoding]
        self._file.seek(offset)
        return self._file.read(size)

    def close(self) -> None:
        """Throws the bytes away."""
        self._file.close()
