"""A tileset in one SQLite file (`.3dtiles`): the table other tools expect, plus stored ETags and compressed variants.

`media(key, content)` holds the content, gzipped where that makes it smaller: the custom of this format from its first
tool on, so whatever opens such packs looks for it. `entry` and `variant` are ours, and a reader that does not know them
loses nothing.
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
    key TEXT PRIMARY KEY, media_type TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL, coding TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE main.variant (key TEXT NOT NULL, encoding TEXT NOT NULL, content BLOB NOT NULL);
"""
# Rows of `variant` are looked up through an index made at the end: blobs in a WITHOUT ROWID table would be moved about.
_INDEX = "CREATE UNIQUE INDEX main.variant_key ON variant (key, encoding)"
_COPIES = (
    "INSERT INTO main.media SELECT ?, content FROM old.media WHERE key = ?",
    "INSERT INTO main.variant SELECT ?, encoding, content FROM old.variant WHERE key = ? ORDER BY encoding",
)
_ENTRY = "SELECT media_type, size, etag, coding FROM entry WHERE key = ?"
_ENTRY_1 = "SELECT media_type, size, etag, 'identity' FROM entry WHERE key = ?"
_SIZES = (
    "SELECT encoding, length(content) FROM variant WHERE key = ?1 "
    "UNION ALL SELECT ?2, length(content) FROM media WHERE key = ?1"
)
_APPLICATION_ID = 0x54574E31  # "TWN1": lets `file` tell our packs from other SQLite files
_PAGE_SIZE = 16384  # a tile of 10 kB lies on one page
_MAPPED = 1 << 40  # SQLite clips it to what it can map
_VERSION_OFFSET = 96  # SQLite notes the number of the library that wrote last, which is no part of the content
_VERSION = (3_040_000).to_bytes(4, "big")
_FORMAT = 2  # format 1 kept every content plain in `media` and its gzip variant beside it
_PACKED = "gzip"
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
            (self.format,) = self._database.execute("PRAGMA user_version").fetchone()
        except sqlite3.Error as error:
            raise _damaged(path, error) from error
        if "media" not in tables:
            self._database.close()
            raise StoreError("it has no table `media`", file=path, next_step="name a .3dtiles file")
        self.ours = {"entry", "variant"} <= tables
        self._entries: dict[str, tuple[Entry, str]] = {}

    def get(self, key: str) -> Entry | None:
        """The entry, or None."""
        known = self._known(key)
        return None if known is None else known[0]

    def _known(self, key: str) -> tuple[Entry, str] | None:
        """The entry, and the coding its content has in `media`."""
        if key not in self._entries:
            found = self._find(key)
            if found is None:
                return None  # not remembered: strangers could fill the memory with misses
            self._entries[key] = found
        return self._entries[key]

    def _find(self, key: str) -> tuple[Entry, str] | None:
        if not self.ours:
            content = self._foreign(key)
            return None if content is None else (_entry_of(key, content), IDENTITY)
        row = self._one(_ENTRY if self.format >= _FORMAT else _ENTRY_1, key)
        if row is None:
            return None
        encodings = {encoding for (encoding,) in self._all("SELECT encoding FROM variant WHERE key = ?", key)}
        return Entry(key, row[0], row[1], row[2], tuple(sorted((encodings | {row[3]}) - {IDENTITY}))), row[3]

    def keys(self) -> Iterator[str]:
        """Every key, sorted."""
        return (key for (key,) in self._all("SELECT key FROM media ORDER BY key"))

    def read(self, key: str, encoding: str = IDENTITY) -> bytes:
        """The bytes in a coding; `StoreError` if they are not there."""
        known = self._known(key)
        if known is None or encoding not in (IDENTITY, *known[0].encodings):
            raise missing(self.path, key, encoding)
        entry, coding = known
        if not self.ours:
            return self._foreign(key) or b""
        if encoding in (coding, IDENTITY):
            content = self._blob("SELECT content FROM media WHERE key = ?", key)
            return content if encoding == coding else decompress(content, coding)
        return self._blob("SELECT content FROM variant WHERE key = ? AND encoding = ?", entry.key, encoding)

    def sizes(self, key: str) -> dict[str, int]:
        """Bytes of an entry by content coding, without reading them; `StoreError` if it is not there."""
        known = self._known(key)
        if known is None:
            raise missing(self.path, key)
        entry, coding = known
        if not self.ours:
            return {IDENTITY: entry.size}
        return {**dict(self._all(_SIZES, key, coding)), IDENTITY: entry.size}

    def _blob(self, sql: str, *values: str) -> bytes:
        row = self._one(sql, *values)
        if row is None:
            raise _damaged(self.path, sqlite3.DataError("a content is missing"))
        return bytes(row[0])

    def _foreign(self, key: str) -> bytes | None:
        """Content of a pack of another tool, which may be gzipped as a whole."""
        row = self._one("SELECT content FROM media WHERE key = ?", key)
        content = None if row is None else bytes(row[0])
        return decompress(content, _PACKED) if content and content.startswith(_GZIP_MAGIC) else content

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


def _entry_of(key: str, content: bytes) -> Entry:
    return Entry(key, media_type(key), len(content), quoted(digest(content)))


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
            f"PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {_FORMAT};"
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
        coding = _PACKED if _PACKED in e.encodings else IDENTITY
        row = (e.key, e.media_type, e.size, e.etag, coding)
        database.execute("INSERT INTO main.entry VALUES (?, ?, ?, ?, ?)", row)
        if pack is not None and origin is not None:
            for copy in _COPIES:
                database.execute(copy, (e.key, origin[1]))
            continue
        database.execute("INSERT INTO main.media VALUES (?, ?)", (e.key, piece.read(coding)))
        for encoding in e.encodings:
            if encoding != coding:
                database.execute("INSERT INTO main.variant VALUES (?, ?, ?)", (e.key, encoding, piece.read(encoding)))


def _origin(piece: Piece) -> tuple[Path, str] | None:
    """The pack of this format a piece lies in, and its key there; None where it lies anywhere else."""
    held = piece.held
    store = getattr(held, "store", None)
    alike = isinstance(store, SqliteStore) and store.ours and store.format == _FORMAT
    return (store.path, held.key) if alike else None  # type: ignore[union-attr,attr-defined]


def _patch_version(path: Path) -> None:
    """Two releases of SQLite must write the same bytes; the field is informative only (file format, section 1.3.15)."""
    with path.open("r+b") as file:
        file.seek(_VERSION_OFFSET)
        file.write(_VERSION)
