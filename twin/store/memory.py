"""A store in memory, for tests and for tilesets that are looked at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from twin.closing import Closing
from twin.errors import StoreError
from twin.store.base import (
    IDENTITY,
    Entry,
    Held,
    check_key,
    check_variants,
    etag_of,
    media_type,
    missing,
    put_whole,
)


class MemoryStore(Closing):
    """Reads what a `MemoryWriter` has committed."""

    kind = "memory"

    def __init__(self, entries: Mapping[str, Entry], content: Mapping[tuple[str, str], bytes]) -> None:
        self._entries = dict(sorted(entries.items()))
        self._content = dict(content)

    def get(self, key: str) -> Entry | None:
        """The entry, or None."""
        return self._entries.get(key)

    def keys(self) -> Iterator[str]:
        """Every key, sorted."""
        return iter(self._entries)

    def read(self, key: str, encoding: str = IDENTITY) -> bytes:
        """The bytes in a coding; `StoreError` if they are not there."""
        content = self._content.get((key, encoding))
        if content is None:
            raise missing("memory", key, encoding)
        return content


class MemoryWriter(Closing):
    """Collects content; `store` is there after `commit`."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._content: dict[tuple[str, str], bytes] = {}
        self.store: MemoryStore | None = None

    def put(self, key: str, content: bytes, variants: Mapping[str, bytes] = {}, etag: str | None = None) -> None:
        """Adds content; see `base.StoreWriter`."""
        if check_key(key) in self._entries:
            raise StoreError(f"the key {key!r} is put twice", next_step="give every tile a key of its own")
        check_variants(variants)
        self._entries[key] = Entry(key, media_type(key), len(content), etag_of(content, etag), tuple(sorted(variants)))
        self._content[key, IDENTITY] = bytes(content)
        self._content.update(((key, encoding), bytes(packed)) for encoding, packed in variants.items())

    def put_held(self, key: str, held: Held, etag: str) -> None:
        """Adds held content; see `base.StoreWriter`."""
        put_whole(self, key, held, etag)

    def commit(self) -> None:
        """Makes the store."""
        self.store = MemoryStore(self._entries, self._content)
