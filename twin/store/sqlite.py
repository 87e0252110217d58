"""A tileset in one SQLite file (`.3dtiles`): the table other tools expect, plus stored ETags and compressed variants.

`media(key, content)` holds the identity content, as 3d-tiles-tools and CesiumJS offline readers expect; `entry` and
`variant` are ours, and a reader that does not know them loses nothing.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from twin.closing import Closing
from twin.errors import StoreError
from twin.store.base import IDENTITY, Entry, decompress, digest, media_type, missing, quoted
from twin.store.spool import PackWriter, Piece

_SCHEMA = """
CREATE TABLE main.media (key TEXT PRIMARY KEY, content BLOB);
CREATE TABLE main.entry (
    key TEXT PRIMARY KEY, media_type TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE main.variant (key TEXT NOT NULL, encoding TEXT NOT NULL, content BLOB NOT NULL);
"""
# Rows of `variant` are looked up through an index made at the end: blobs in a WITHOUT ROWID table would be moved about.
_INDEX = "CREATE UNIQUE INDEX main.variant_key ON variant (key, encoding)"
_COPIES = (
    "INSERT INTO main.media SELECT ?, content FROM old.media WHERE key = ?",
    "INSERT INTO main.variant SELECT ?, encoding, content FROM old.variant WHERE key = ? ORDER BY encoding",
)
_VARIANT_SIZES = "SELECT encoding, length(content) FROM variant WHERE key = ?"
_APPLICATION_ID = 0x54574E31  # "TWN1": lets `file` tell our packs from other SQLite files
_PAGE_SIZE = 16384  # a tile of 10 kB lies on one page
_MAPPED = 1 << 40  # SQLite clips it to what it can map
_VERSION_OFFSET = 96  # SQLite notes the number of the library that wrote last, which is no part of the content
_VERSION = (3_040_000).to_bytes(4, "big")
_GZIP_MAGIC = b"\x1f\x8b"


class SqliteStore(Closing):
    """Reads a `.3dtiles` file, ours or one that has the `media` table alone.

    The file counts as unchanging while it is open (`immutable=1`): no lock is taken, any number of processes read it.
    """

    kind = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        if not path.is_file():
            raise StoreError("there is no such file", file=path, next_step="build first, or check the path")
        try:
            self._database = _open_reader(path)
            tables = {name for (name,) in self._database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        except sqlite3.Error as error:
            raise _damaged(path, error) from error
        if "media" not in tables:
            self._database.close()
            raise StoreError("it has no table `media`", file=path, next_step="name a .3dtiles file")
        self.ours = {"entry", "variant"} <= tables
        self._entries: dict[str, Entry | None] = {}

    def get(self, key: str) -> Entry | None:
        """The entry, or None."""
        if key not in self._entries:
            entry = self._find(key)
            if entry is None:
                return None  # not remembered: strangers could fill the memory with misses
            self._entries[key] = entry
        return self._entries[key]

    def _find(self, key: str) -> Entry | None:
        if not self.ours:
            content = self._foreign(key)
            return None if content is None else Entry(key, media_type(key), len(content), quoted(digest(content)))
        row = self._one("SELECT media_type, size, etag FROM entry WHERE key = ?", key)
        if row is None:
            return None
        encodings = self._all("SELECT encoding FROM variant WHERE key = ? ORDER BY encoding", key)
        return Entry(key, row[0], row[1], row[2], tuple(encoding for (encoding,) in encodings))

    def keys(self) -> Iterator[str]:
        """Every key, sorted."""
        return (key for (key,) in self._all("SELECT key FROM media ORDER BY key"))

    def read(self, key: str, encoding: str = IDENTITY) -> bytes:
        """The bytes in a coding; `StoreError` if they are not there."""
        if not self.ours:
            content = self._foreign(key) if encoding == IDENTITY else None
        elif encoding == IDENTITY:
            content = _blob(self._one("SELECT content FROM media WHERE key = ?", key))
        else:
            content = _blob(self._one("SELECT content FROM variant WHERE key = ? AND encoding = ?", key, encoding))
        if content is None:
            raise missing(self.path, key, encoding)
        return content

    def sizes(self, key: str) -> dict[str, int]:
        """Bytes of an entry by content coding, without reading them; `StoreError` if it is not there."""
        entry = self.get(key)
        if entry is None:
            raise missing(self.path, key)
        if not self.ours:
            return {IDENTITY: entry.size}
        return {IDENTITY: entry.size, **dict(self._all(_VARIANT_SIZES, key))}

    def _foreign(self, key: str) -> bytes | None:
        """Content of a pack of another tool, which may be gzipped as a whole."""
        content = _blob(self._one("SELECT content FROM media WHERE key = ?", key))
        return decompress(content, "gzip") if content and content.startswith(_GZIP_MAGIC) else content

    def _one(self, sql: str, *values: str) -> tuple[Any, ...] | None:
        rows = self._all(sql, *values)
        return rows[0] if rows else None

    def _all(self, sql: str, *values: str) -> list[tuple[Any, ...]]:
        try:
            with self._lock:
                return self._database.execute(sql, values).fetchall()
        except UnicodeEncodeError:  # a lone surrogate can be no key
            return []
        except sqlite3.Error as error:
            raise _damaged(self.path, error) from error

    def close(self) -> None:
        """Closes the file."""
        self._database.close()


def _blob(row: tuple[Any, ...] | None) -> bytes | None:
    return None if row is None else bytes(row[0])


def _open_reader(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(_address(path), uri=True, check_same_thread=False, isolation_level=None)
    database.execute(f"PRAGMA mmap_size = {_MAPPED}")
    return database


def _address(path: Path) -> str:
    return f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"


def _damaged(path: Path, error: sqlite3.Error) -> StoreError:
    return StoreError(f"it is no sound SQLite file ({error})", file=path, next_step="build again or restore it")


class SqliteWriter(PackWriter):
    """Writes a `.3dtiles` file in one transaction; see `PackWriter`."""

    _failures = (sqlite3.Error, OSError)

    def _write(self, staged: Path, pieces: list[Piece]) -> None:
        staged.unlink(missing_ok=True)
        _write(staged, pieces)
        _patch_version(staged)


def _write(path: Path, pieces: list[Piece]) -> None:
    database = sqlite3.connect(f"file:{quote(str(path.resolve()))}", uri=True, isolation_level=None)
    try:
        # A killed writer leaves a staging file nobody reads, so neither journal nor sync is needed.
        database.executescript(
            f"PRAGMA page_size = {_PAGE_SIZE}; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            f"PRAGMA cache_size = 64;"
            f"PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = 1;"
        )
        _insert(database, pieces)
        database.execute(_INDEX)
        database.execute("COMMIT")
    finally:
        database.close()


def _insert(database: sqlite3.Connection, pieces: list[Piece]) -> None:
    """Puts the pieces in; those that lie in one other pack of ours go from file to file, not through this program."""
    packs = {origin[0] for piece in pieces if (origin := _origin(piece)) is not None}
    pack = packs.pop() if len(packs) == 1 else None
    if pack is not None:
        database.execute("ATTACH ? AS old", (_address(pack),))
        database.execute(f"PRAGMA old.mmap_size = {_MAPPED}")
    database.executescript(f"BEGIN; {_SCHEMA}")
    for piece in pieces:
        e, origin = piece.entry, _origin(piece)
        database.execute("INSERT INTO main.entry VALUES (?, ?, ?, ?)", (e.key, e.media_type, e.size, e.etag))
        if pack is not None and origin is not None:
            database.execute(
                "INSERT INTO main.media SELECT ?, content FROM old.media WHERE key = ?", (e.key, origin[1])
            )
            copy = (
                "INSERT INTO main.variant SELECT ?, encoding, content FROM old.variant WHERE key = ? ORDER BY encoding"
            )
            database.execute(copy, (e.key, origin[1]))
            continue
        database.execute("INSERT INTO main.media VALUES (?, ?)", (e.key, piece.read()))
        for encoding in e.encodings:
            database.execute("INSERT INTO main.variant VALUES (?, ?, ?)", (e.key, encoding, piece.read(encoding)))


def _origin(piece: Piece) -> tuple[Path, str] | None:
    """The pack a piece lies in, and its key there; None where it lies anywhere else."""
    held = piece.held
    store = getattr(held, "store", None)
    return (store.path, held.key) if isinstance(store, SqliteStore) and store.ours else None  # type: ignore[attr-defined]


def _patch_version(path: Path) -> None:
    """Two releases of SQLite must write the same bytes; the field is informative only (file format, section 1.3.15)."""
    with path.open("r+b") as file:
        file.seek(_VERSION_OFFSET)
        file.write(_VERSION)
