"""Opening a store by its path: the rest of the program need not know which kind it is."""

from __future__ import annotations

from pathlib import Path

from twin.errors import MisuseError, StoreError
from twin.store.archive import ArchiveStore, ArchiveWriter
from twin.store.base import StoreWriter, TilesetStore
from twin.store.directory import DirectoryStore, DirectoryWriter
from twin.store.memory import MemoryWriter
from twin.store.sqlite import SqliteStore, SqliteWriter

FILE_NAME = {"sqlite": "{layer}.3dtiles", "3tz": "{layer}.3tz", "directory": "{layer}"}
"""How the store of a layer is named in a release, by kind."""


def open_store(path: Path | str) -> TilesetStore:
    """Opens a tileset for reading: a directory, a `.3dtiles` or a `.3tz`, told by its content.

    Raises:
        StoreError: If it is missing, damaged or something else.
    """
    place = Path(path)
    if place.is_dir():
        return DirectoryStore(place)
    if not place.is_file():
        raise StoreError("there is no such tileset", file=place, next_step="build first, or check the path")
    with place.open("rb") as file:
        magic = file.read(16)
    if magic == b"SQLite format 3\0":
        return SqliteStore(place)
    if magic.startswith(b"PK"):
        return ArchiveStore(place)
    raise StoreError("it is neither a directory, nor a .3dtiles, nor a .3tz", file=place, next_step="name a tileset")


def open_writer(path: Path | str, kind: str) -> StoreWriter:
    """A writer of a kind: `directory`, `sqlite`, `3tz` or `memory` (whose path does not matter)."""
    place = Path(path)
    match kind:
        case "directory":
            return DirectoryWriter(place)
        case "sqlite":
            return SqliteWriter(place)
        case "3tz":
            return ArchiveWriter(place)
        case "memory":
            return MemoryWriter()
    raise MisuseError(f"unknown kind of store {kind!r}", next_step="use directory, sqlite or 3tz")
