"""A store of plain files that any static web server can serve, with `.gz`, `.br` and `.zst` files beside them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from twin.closing import Closing
from twin.errors import StoreError
from twin.store.base import (
    IDENTITY,
    SUFFIX,
    Entry,
    Held,
    check_key,
    check_variants,
    digest,
    etag_of,
    key_problem,
    media_type,
    missing,
    put_whole,
    quoted,
)

ENTRIES = "entries.json"
_FORMAT = 1


class DirectoryStore(Closing):
    """Reads a directory written by `DirectoryWriter`, or any directory with a `tileset.json`.

    Keys are looked up in the list of entries, never in the file system: a hostile key touches no file.
    """

    kind = "directory"

    def __init__(self, path: Path) -> None:
        self.path = path
        listing = path / ENTRIES
        self._entries = _read_entries(listing) if listing.is_file() else _scan(path)

    def get(self, key: str) -> Entry | None:
        """The entry, or None."""
        entry = self._entries.get(key)
        if entry is None or entry.etag:
            return entry
        entry = Entry(entry.key, entry.media_type, entry.size, quoted(digest(self.read(key))), entry.encodings)
        self._entries[key] = entry
        return entry

    def keys(self) -> Iterator[str]:
        """Every key, sorted."""
        return iter(self._entries)

    def read(self, key: str, encoding: str = IDENTITY) -> bytes:
        """The bytes in a coding; `StoreError` if they are not there or the file is gone."""
        entry = self._entries.get(key)
        if entry is None or (encoding != IDENTITY and encoding not in entry.encodings):
            raise missing(self.path, key, encoding)
        file = self.path / (key + SUFFIX.get(encoding, ""))
        try:
            return file.read_bytes()
        except OSError as error:
            raise StoreError(
                f"a listed file cannot be read ({error.strerror})", file=file, next_step="build again"
            ) from error

    def sizes(self, key: str) -> dict[str, int]:
        """Bytes of an entry by content coding, without reading them; `StoreError` if it is not there."""
        entry = self._entries.get(key)
        if entry is None:
            raise missing(self.path, key)
        try:
            files = {encoding: self.path / (key + SUFFIX[encoding]) for encoding in entry.encodings}
            return {IDENTITY: entry.size, **{encoding: file.stat().st_size for encoding, file in files.items()}}
        except OSError as error:
            raise missing(self.path, key) from error


def _read_entries(listing: Path) -> dict[str, Entry]:
    try:
        document = json.loads(listing.read_bytes())
        if document["format"] != _FORMAT:
            raise StoreError(f"format {document['format']!r} is unknown", file=listing, next_step="update this program")
        rows = document["entries"]
        entries = {
            key: Entry(key, row["media_type"], int(row["size"]), row["etag"], tuple(row["encodings"]))
            for key, row in rows.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"the list of entries is damaged ({error!r})", file=listing, next_step="build again"
        ) from error
    hostile = next((key for key in entries if key_problem(key)), None)
    if hostile is not None:
        raise StoreError(
            f"the key {hostile[:80]!r} is not a plain path", file=listing, next_step="do not trust this directory"
        )
    return dict(sorted(entries.items()))


def _scan(path: Path) -> dict[str, Entry]:
    """Entries of a directory written by another tool; ETags are computed when asked for. Links are not followed."""
    if not (path / "tileset.json").is_file():
        raise StoreError("there is no tileset.json in it", file=path, next_step="name the directory of a tileset")
    found: dict[str, Entry] = {}
    for folder, _, names in os.walk(path):
        for name in names:
            file = Path(folder) / name
            key = file.relative_to(path).as_posix()
            if key_problem(key) is None and not file.is_symlink():
                found[key] = Entry(key, media_type(key), file.stat().st_size, "")
    return dict(sorted(found.items()))


class DirectoryWriter(Closing):
    """Writes files into a directory beside the final one and renames it on `commit`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._staged = path.with_name(path.name + ".writing")
        shutil.rmtree(self._staged, ignore_errors=True)
        self._staged.mkdir(parents=True)
        self._entries: dict[str, Entry] = {}

    def put(self, key: str, content: bytes, variants: Mapping[str, bytes] = {}, etag: str | None = None) -> None:
        """Adds content; see `base.StoreWriter`."""
        if check_key(key) in self._entries:
            raise StoreError(f"the key {key!r} is put twice", next_step="give every tile a key of its own")
        check_variants(variants)
        file = self._staged / key
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            for encoding, packed in variants.items():
                (self._staged / (key + SUFFIX[encoding])).write_bytes(packed)
        except OSError as error:
            raise StoreError(
                f"cannot be written ({error})", file=file, next_step="free disk space, check rights"
            ) from error
        self._entries[key] = Entry(key, media_type(key), len(content), etag_of(content, etag), tuple(sorted(variants)))

    def put_held(self, key: str, held: Held, etag: str) -> None:
        """Adds held content; see `base.StoreWriter`. Files of a directory of ours are linked."""
        source = getattr(held, "store", None)
        if not (isinstance(source, DirectoryStore) and self._link(key, source, held.key, etag)):  # type: ignore[attr-defined]
            put_whole(self, key, held, etag)

    def _link(self, key: str, source: DirectoryStore, old: str, etag: str) -> bool:
        """Links the files of an entry; False where the disk has no links, or they lie on another one."""
        entry = source.get(old)
        if entry is None or check_key(key) in self._entries:
            return False
        file = self._staged / key
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            for ending in ("", *(SUFFIX[encoding] for encoding in entry.encodings)):
                (self._staged / (key + ending)).unlink(missing_ok=True)
                os.link(source.path / (old + ending), self._staged / (key + ending))
        except OSError:
            return False
        self._entries[key] = Entry(key, media_type(key), entry.size, quoted(etag), entry.encodings)
        return True

    def commit(self) -> None:
        """Writes the list of entries and puts the directory in place, over an older one."""
        (self._staged / ENTRIES).write_bytes(_entries_json(self._entries))
        old = self.path.with_name(self.path.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        if self.path.exists():
            self.path.rename(old)
        self._staged.rename(self.path)
        shutil.rmtree(old, ignore_errors=True)

    def close(self) -> None:
        """Throws away what was not committed."""
        shutil.rmtree(self._staged, ignore_errors=True)


def _entries_json(entries: Mapping[str, Entry]) -> bytes:
    rows = {
        key: {"encodings": list(e.encodings), "etag": e.etag, "media_type": e.media_type, "size": e.size}
        for key, e in sorted(entries.items())
    }
    text = json.dumps({"format": _FORMAT, "entries": rows}, ensure_ascii=False, separators=(",", ":"))
    return text.encode()
