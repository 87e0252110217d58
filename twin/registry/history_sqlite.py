"""A history in an SQLite file: WAL, one writer, R*Tree."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from sqlalchemy import BindParameter, ColumnElement, Connection, Engine, Table, bindparam, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from twin.errors import StoreError
from twin.registry import schema
from twin.registry.history_dialect import Box
from twin.registry.history_tables import SCHEMA_VERSION, TABLES, metadata, version_table

_VERSION_NAME = "history_schema"
_BOX = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS history_box USING rtree(id, west, east, south, north)"  # degrees, rounded out
)
_FIXED = """CREATE TRIGGER IF NOT EXISTS {table}_{verb} BEFORE {verb} ON {table}
BEGIN SELECT RAISE(ABORT, 'a history is only added to'); END"""


class SqliteDialect:
    """A file.

    Args:
        path: The database; that of the identity registry.
        authority: Who mints.
        read_only: Never writes.
        patience_s: How long a second writer waits, seconds.
    """

    errors: tuple[type[Exception], ...] = (DBAPIError, sqlite3.Error)

    def __init__(self, path: Path, authority: str, read_only: bool = False, patience_s: float = 10.0) -> None:
        self._path = path
        self._authority = authority
        self._read_only = read_only
        self._patience_s = patience_s

    def engine(self) -> Engine:
        """One connection a thread at work."""
        return create_engine("sqlite://", creator=self._connect, poolclass=QueuePool, max_overflow=60)

    def _connect(self) -> sqlite3.Connection:
        if self._read_only:
            return schema.connect(self._path, self._authority, read_only=True, patience_s=self._patience_s)
        mode = f"file:{quote(str(self._path.resolve()))}?mode=rw"
        database = sqlite3.connect(mode, self._patience_s, isolation_level=None, check_same_thread=False, uri=True)
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA cache_size = -65536")
        return database

    def prepare(self) -> None:
        """Makes the registry if there is none, then the history's tables beside its own."""
        if self._read_only:
            return
        schema.connect(self._path, self._authority, read_only=False, patience_s=self._patience_s).close()
        engine = self.engine()
        try:
            with engine.connect() as connection:
                self._make(connection)
        except DBAPIError as error:
            raise self.explained(error) from error
        finally:
            engine.dispose()

    def _make(self, connection: Connection) -> None:
        sql = "SELECT value FROM setting WHERE name = ?"
        found = connection.exec_driver_sql(sql, (_VERSION_NAME,)).scalar()
        if found is None:
            self.begin(connection)
            metadata.create_all(connection, checkfirst=True)
            connection.exec_driver_sql(_BOX)
            for table in TABLES:
                for verb in ("UPDATE", "DELETE"):
                    connection.exec_driver_sql(_FIXED.format(table=table.name, verb=verb))
            connection.exec_driver_sql(
                "INSERT OR REPLACE INTO setting VALUES (?, ?)", (_VERSION_NAME, str(SCHEMA_VERSION))
            )
            connection.commit()
        elif found != str(SCHEMA_VERSION):
            what = f"the history has version {found}, this program knows {SCHEMA_VERSION}"
            raise StoreError(what, file=self._path, next_step="use the program that wrote it, or update this one")

    def is_there(self) -> bool:
        """True if the file has the tables of a history."""
        if not self._path.is_file():
            return False
        try:
            database = self._connect()
            try:
                sql = "SELECT count(*) FROM sqlite_master WHERE name = 'history_edition'"
                return bool(database.execute(sql).fetchone()[0])
            finally:
                database.close()
        except sqlite3.Error as error:
            raise schema.explained(self._path, error) from error

    def begin(self, connection: Connection) -> None:
        """Takes the lock of the writer at once, so that two never meet halfway."""
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def insert(self, connection: Connection, table: Table, columns: Sequence[Sequence[Any]]) -> None:
        """One prepared statement for all rows."""
        if columns and len(columns[0]):
            marks = ", ".join("?" * len(columns))
            sql = f"INSERT INTO {table.name} VALUES ({marks})"  # noqa: S608
            connection.exec_driver_sql(sql, list(zip(*columns, strict=True)))

    def insert_boxes(self, connection: Connection, ids: Sequence[int], boxes: Sequence[Sequence[float | None]]) -> None:
        """Into the R*Tree."""
        west, south, east, north = boxes
        rows = [row for row in zip(ids, west, east, south, north, strict=True) if None not in row]
        if rows:
            connection.exec_driver_sql("INSERT INTO history_box VALUES (?, ?, ?, ?, ?)", rows)

    def within(self, box: Box) -> ColumnElement[bool]:
        """By the R*Tree; its single precision is rounded outwards."""
        west, south, east, north = box
        sql = (
            "history_version.id IN (SELECT id FROM history_box"
            " WHERE east >= :west AND west <= :east AND north >= :south AND south <= :north)"
        )
        return text(sql).bindparams(west=west, south=south, east=east, north=north)  # type: ignore[return-value]

    def among(self, column: ColumnElement[str], values: Sequence[str]) -> ColumnElement[bool]:
        """By a JSON list: one parameter, however many there are."""
        listed: BindParameter[str] = bindparam("among", orjson.dumps(list(values)).decode())
        return column.in_(text("SELECT value FROM json_each(:among)").bindparams(listed))

    def damage(self, connection: Connection) -> list[str]:
        """SQLite's own checks, and every version against its entry in the R*Tree."""
        checks = connection.exec_driver_sql("PRAGMA integrity_check(20)").scalars().all()
        found = [f"SQLite finds: {line}" for line in checks if line != "ok"]
        tree = connection.exec_driver_sql("SELECT rtreecheck('history_box')").scalar()
        found += [] if tree == "ok" else [f"the R*Tree is damaged: {tree}"]
        return found + self._box_damage(connection)

    def _box_damage(self, connection: Connection) -> list[str]:
        v = version_table.name
        placed = "v.west IS NOT NULL AND v.south IS NOT NULL AND v.east IS NOT NULL AND v.north IS NOT NULL"
        outside = "b.west > v.west OR b.east < v.east OR b.south > v.south OR b.north < v.north"
        lost = f"SELECT v.id FROM {v} v LEFT JOIN history_box b ON b.id = v.id WHERE {placed} AND b.id IS NULL"  # noqa: S608
        wrong = f"SELECT v.id FROM {v} v JOIN history_box b ON b.id = v.id WHERE {outside}"  # noqa: S608
        extra = f"SELECT b.id FROM history_box b LEFT JOIN {v} v ON v.id = b.id WHERE NOT ({placed}) OR v.id IS NULL"  # noqa: S608
        told = (
            (lost, "version {} has a place that the R*Tree does not know"),
            (wrong, "version {} lies outside its box in the R*Tree"),
            (extra, "the R*Tree has a box for version {}, which has no place"),
        )
        rows = [(sentence, connection.exec_driver_sql(sql + " LIMIT 5").scalars().all()) for sql, sentence in told]
        return [sentence.format(row) for sentence, ids in rows for row in ids]

    def explained(self, error: Exception) -> StoreError:
        """As the registry explains them."""
        cause = error.orig if isinstance(error, DBAPIError) else error
        return schema.explained(self._path, cause if isinstance(cause, sqlite3.Error) else sqlite3.Error(str(error)))
