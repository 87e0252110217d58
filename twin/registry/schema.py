"""The registry's tables, and opening a database that has them."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote

from twin.errors import StoreError

VERSION = 1
APPLICATION_ID = 0x54574E32  # "TWN2"

# An entity that is still there has no `last_release`: a build that changes nothing writes one row, whatever the size of
# the city. The view puts the last build of its layer and source in. `seen.digest` stands for all that was recorded of a
# source, so that the same record need not be compared entity by entity.
TABLES = """
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE release (number INTEGER PRIMARY KEY, id TEXT NOT NULL, time TEXT NOT NULL);
CREATE TABLE entity (
    geid TEXT PRIMARY KEY, layer TEXT NOT NULL, entity_class TEXT, source TEXT NOT NULL, key TEXT,
    first_release INTEGER NOT NULL, last_release INTEGER
) WITHOUT ROWID;
CREATE TABLE source_key (
    source TEXT NOT NULL, key TEXT NOT NULL, geid TEXT NOT NULL, PRIMARY KEY (source, key)
) WITHOUT ROWID;
CREATE TABLE alias (
    scheme TEXT NOT NULL, value TEXT NOT NULL, geid TEXT NOT NULL, PRIMARY KEY (scheme, value, geid)
) WITHOUT ROWID;
CREATE INDEX alias_geid ON alias (geid);
CREATE INDEX alias_value ON alias (value);
CREATE TABLE anchor (
    geid TEXT PRIMARY KEY, layer TEXT NOT NULL, source TEXT NOT NULL, mint_key TEXT NOT NULL,
    x REAL NOT NULL, y REAL NOT NULL, area REAL NOT NULL,
    west REAL NOT NULL, south REAL NOT NULL, east REAL NOT NULL, north REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE lineage (
    geid TEXT NOT NULL, relation TEXT NOT NULL, other TEXT NOT NULL, PRIMARY KEY (geid, relation, other)
) WITHOUT ROWID;
CREATE TABLE seen (
    layer TEXT NOT NULL, source TEXT NOT NULL, release INTEGER NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (layer, source)
) WITHOUT ROWID;
CREATE VIEW entity_seen AS
    SELECT e.geid, e.layer, e.entity_class, e.source, e.key,
           f.time AS first_seen, f.id AS first_release, l.time AS last_seen, l.id AS last_release,
           e.last_release IS NOT NULL AS retired
    FROM entity e
    JOIN release f ON f.number = e.first_release
    LEFT JOIN seen s ON s.layer = e.layer AND s.source = e.source
    LEFT JOIN release l ON l.number = coalesce(e.last_release, s.release);
"""


def connect(path: Path, authority: str, read_only: bool, patience_s: float = 10.0) -> sqlite3.Connection:
    """Opens a registry, makes it if it is missing, and checks that it is one and whose.

    Args:
        path: The database.
        authority: Who mints.
        read_only: Never writes, and takes a missing one as an error.
        patience_s: How long to wait while another process keeps it locked, seconds.

    Raises:
        StoreError: If it is damaged, locked, of a later version, of another authority, or cannot be written.
    """
    try:
        database = _reader(path, patience_s) if read_only else _writer(path, patience_s)
        database.execute("PRAGMA cache_size = -65536")  # the upper pages of every tree, for ten million entities
    except sqlite3.Error as error:
        raise explained(path, error) from error
    try:
        _check(database, path, authority)
    except sqlite3.Error as error:
        database.close()
        raise explained(path, error) from error
    except StoreError:
        database.close()
        raise
    return database


def _reader(path: Path, patience_s: float) -> sqlite3.Connection:
    if not path.is_file():
        raise StoreError("there is no registry yet", file=path, next_step="run `twin build`")
    address = f"file:{quote(str(path.resolve()))}"
    database = sqlite3.connect(
        f"{address}?mode=ro", patience_s, isolation_level=None, check_same_thread=False, uri=True
    )
    try:
        database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            database.close()
            raise
        # A WAL database in a folder that cannot be written can still be read as long as nobody writes it.
        database.close()
        database = sqlite3.connect(f"{address}?immutable=1", uri=True, isolation_level=None, check_same_thread=False)
    return database


def _writer(path: Path, patience_s: float) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path, isolation_level=None, timeout=patience_s, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")  # one commit a build: it may cost a sync
    return database


def _check(database: sqlite3.Connection, path: Path, authority: str) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not tables and not version:
        _create(database, authority)
        return
    if application != APPLICATION_ID:
        raise StoreError("it is a database of something else", file=path, next_step="name another file as registry")
    if version != VERSION:
        what = f"the registry has version {version}, this program knows {VERSION}"
        raise StoreError(what, file=path, next_step="use the program that wrote it, or update this one")
    (owner,) = database.execute("SELECT value FROM setting WHERE name = 'authority'").fetchone() or ("",)
    if owner != authority:
        raise StoreError(
            f"the registry belongs to the authority {owner!r}, the project says {authority!r}",
            file=path,
            next_step=f"set [project] authority = {owner!r}: every identifier rests on it",
        )


def _create(database: sqlite3.Connection, authority: str) -> None:
    database.execute("BEGIN IMMEDIATE")
    for statement in TABLES.split(";\n"):
        if statement.strip():
            database.execute(statement)
    database.execute("INSERT INTO setting VALUES ('authority', ?)", (authority,))
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    database.execute(f"PRAGMA user_version = {VERSION}")
    database.execute("COMMIT")


def explained(path: Path, error: sqlite3.Error) -> StoreError:
    """An SQLite error as one that says what to do next."""
    text = str(error)
    if "locked" in text or "busy" in text:
        return StoreError(
            "the registry is being written by another build", file=path, next_step="wait until it is done"
        )
    if "readonly" in text or "unable to open" in text:
        return StoreError(
            f"the registry cannot be written ({text})", file=path, next_step="check the rights of file and folder"
        )
    if "full" in text:
        return StoreError("the disk is full", file=path, next_step="free space and build again")
    return StoreError(
        f"the registry is damaged ({text})",
        file=path,
        next_step="restore it from a backup, or move it away: features with a source id get the same identifier again",
    )
