"""Whole tables out of a registry's database and into an empty one, each side in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from twin.errors import StoreError
from twin.registry.open import is_database_url
from twin.registry.schema import connect, explained
from twin.registry.transfer_tables import FOREVER, HISTORY, TABLES, StoredTable

if TYPE_CHECKING:
    import psycopg

_AT_ONCE = 32_768  # rows held at a time
# In strips of 500 m: neighbours come one after the other, which keeps the pages at work in memory, however many boxes
# there are, and gives a tree that is asked three times as fast as one filled in the order of identifiers.
_BOXES = (
    "INSERT INTO history_box SELECT id, west, east, south, north FROM history_version"
    " WHERE west IS NOT NULL AND east IS NOT NULL AND south IS NOT NULL AND north IS NOT NULL"
    " ORDER BY CAST(west * 200 AS INTEGER), south, id"
)


class Side(Protocol):
    """Something tables are read from: a database or the open form."""

    authority: str

    def tables(self) -> tuple[StoredTable, ...]:
        """Those it has; a registry without history has only identities."""

    def read(self, table: StoredTable) -> Iterator[pa.RecordBatch]:
        """The rows of a table in its order, as one moment has them."""


class Target(Protocol):
    """A database tables are written into; nothing is kept until the block of `writing` ends well."""

    def is_empty(self) -> bool:
        """True if no table has a row."""

    def without_indexes(self) -> None:
        """Lets the indexes wait until `finish`, which makes them."""

    def write(self, table: StoredTable, rows: pa.RecordBatch) -> None:
        """Adds rows."""

    def finish(self) -> None:
        """Makes what is derived from the tables."""


@contextmanager
def reading(where: Path | str, authority: str) -> Iterator[Side]:
    """Opens a registry to copy it, as it is at this moment, whatever others write meanwhile.

    Raises:
        StoreError: It is missing, damaged, of another authority or version, or cannot be reached.
    """
    if is_database_url(where):
        with _postgres(str(where), authority, read_only=True) as postgres:
            yield postgres
        return
    path = Path(where)
    database = connect(path, authority, read_only=True)
    try:
        database.execute("BEGIN")
        yield SqliteSide(path, database, authority)
    except sqlite3.Error as error:
        raise explained(path, error) from error
    finally:
        database.close()


@contextmanager
def writing(where: Path | str, authority: str, with_history: bool) -> Iterator[Target]:
    """Opens a registry to fill it, and makes it if it is missing; leaving by an error leaves it as it was.

    Raises:
        StoreError: It cannot be written, or is of another authority or version.
    """
    if with_history or is_database_url(where):
        from twin.registry.open import open_history

        open_history(where, authority).close()
    if is_database_url(where):
        with _postgres(str(where), authority, read_only=False) as postgres:
            yield postgres
        return
    path = Path(where)
    database = connect(path, authority, read_only=False)
    try:
        database.execute("BEGIN IMMEDIATE")
        yield SqliteSide(path, database, authority)
        database.execute("COMMIT")
    except sqlite3.Error as error:
        raise explained(path, error) from error
    finally:
        database.close()


def _sorted_select(table: StoredTable) -> str:
    columns = ", ".join(f'"{name}"' for name in table.columns.names)
    order = ", ".join(f'"{name}"' for name in table.order)
    return f'SELECT {columns} FROM "{table.name}" ORDER BY {order}'  # noqa: S608


def _batch(table: StoredTable, rows: Sequence[Sequence[Any]]) -> pa.RecordBatch:
    columns = [
        # SQLite holds truth as 0 and 1.
        pa.array(column).cast(pa.bool_()) if field.type == pa.bool_() else pa.array(column, field.type)
        for field, column in zip(table.columns, zip(*rows, strict=True), strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=table.columns)


class SqliteSide:
    """An SQLite registry inside a transaction.

    Args:
        path: The file.
        database: Its connection.
        authority: Who mints.
    """

    def __init__(self, path: Path, database: sqlite3.Connection, authority: str) -> None:
        self.authority = authority
        self._path = path
        self._database = database
        self._indexes: dict[str, str] = {}

    def tables(self) -> tuple[StoredTable, ...]:
        """Those the file has."""
        names = {name for (name,) in self._database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        return tuple(table for table in TABLES if table.name in names)

    def read(self, table: StoredTable) -> Iterator[pa.RecordBatch]:
        """The rows of a table in its order."""
        cursor = self._database.execute(_sorted_select(table))
        while rows := cursor.fetchmany(_AT_ONCE):
            yield _batch(table, rows)

    def is_empty(self) -> bool:
        """True if no table has a row."""
        sql = 'SELECT EXISTS (SELECT 1 FROM "{}")'
        return not any(self._database.execute(sql.format(table.name)).fetchone()[0] for table in self.tables())

    def without_indexes(self) -> None:
        """Drops them until `finish`: one made of all rows is sorted once, not searched for every row."""
        sql = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name"
        self._indexes = dict(self._database.execute(sql).fetchall())
        for name in self._indexes:
            self._database.execute(f'DROP INDEX "{name}"')

    def write(self, table: StoredTable, rows: pa.RecordBatch) -> None:
        """Adds rows."""
        names = ", ".join(f'"{name}"' for name in table.columns.names)
        marks = ", ".join("?" * len(table.columns))
        sql = f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})'  # noqa: S608
        self._database.executemany(sql, zip(*(column.to_pylist() for column in rows.columns), strict=True))

    def finish(self) -> None:
        """Makes the indexes, and fills the R*Tree."""
        for statement in self._indexes.values():
            self._database.execute(statement)
        if HISTORY[0] in self.tables():
            self._database.execute(_BOXES)


class PostgresSide:
    """A registry in PostgreSQL inside a transaction.

    Args:
        connection: To it.
        authority: Who mints.
    """

    def __init__(self, connection: psycopg.Connection[Any], authority: str) -> None:
        self.authority = authority
        self._connection = connection
        self._indexes: dict[str, str] = {}

    def tables(self) -> tuple[StoredTable, ...]:
        """Those of the database: the migrations make all of them."""
        return TABLES

    def read(self, table: StoredTable) -> Iterator[pa.RecordBatch]:
        """The rows of a table in its order; the server keeps those that wait."""
        with self._connection.cursor(name=f"copy_{table.name}") as cursor:
            cursor.execute(_sorted_select(table))
            while rows := cursor.fetchmany(_AT_ONCE):
                yield _batch(table, rows)

    def is_empty(self) -> bool:
        """True if no table has a row."""
        sql = 'SELECT EXISTS (SELECT FROM "{}")'
        found = (self._connection.execute(sql.format(table.name).encode()).fetchone() for table in TABLES)
        return not any(row and row[0] for row in found)

    def without_indexes(self) -> None:
        """Drops those that no constraint rests on until `finish`."""
        sql = (
            "SELECT c.relname, pg_get_indexdef(c.oid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
            " WHERE i.indrelid = ANY(%s::regclass[]) AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = c.oid)"
            " ORDER BY c.relname"
        )
        self._indexes = dict(self._connection.execute(sql, ([table.name for table in TABLES],)).fetchall())
        for name in self._indexes:
            self._connection.execute(f'DROP INDEX "{name}"'.encode())

    def write(self, table: StoredTable, rows: pa.RecordBatch) -> None:
        """Adds rows by COPY."""
        from twin.registry.postgres_record import copy_in

        columns = [_hexadecimal(column) if column.type == pa.binary() else column for column in rows.columns]
        copy_in(self._connection, table.name, pa.table(columns, names=rows.schema.names))

    def finish(self) -> None:
        """Makes the indexes, and lets the planner know how much there is."""
        for statement in self._indexes.values():
            self._connection.execute(statement.encode())
        for table in TABLES:
            self._connection.execute(f'ANALYZE "{table.name}"'.encode())

    def settle(self) -> None:
        """Marks rows as seen by everybody: else the first to read each page would have to write it."""
        for table in TABLES:
            self._connection.execute(f'VACUUM "{table.name}"'.encode())


def _hexadecimal(column: pa.Array) -> pa.Array:
    """Binary values as PostgreSQL reads them in text."""
    return pa.array([None if value is None else "\\x" + value.hex() for value in column.to_pylist()], pa.string())


@contextmanager
def _postgres(url: str, authority: str, read_only: bool) -> Iterator[PostgresSide]:
    from twin.registry import postgres_address, postgres_schema

    connection, address = postgres_schema.connect(url, authority, read_only)
    failure: type[Exception] = postgres_address.driver().Error
    try:
        if read_only:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        else:
            connection.execute("BEGIN")
            connection.execute("LOCK TABLE release, history_edition IN SHARE ROW EXCLUSIVE MODE")
        side = PostgresSide(connection, authority)
        yield side
        connection.execute("COMMIT")
        if not read_only:
            side.settle()
    except failure as error:
        raise postgres_address.explained(address, error) from error
    finally:
        connection.close()


def copy_tables(source: Side, target: Target) -> dict[str, int]:
    """Copies every table; gives the number of rows of each.

    Raises:
        StoreError: The target is not empty.
    """
    if not target.is_empty():
        raise StoreError(
            "the registry to import into is not empty",
            next_step="import into an empty database, or move registry.sqlite away first: two are never mixed",
        )
    target.without_indexes()
    counts: dict[str, int] = {}
    for table in source.tables():
        counts[table.name] = 0
        for rows in source.read(table):
            target.write(table, rows)
            counts[table.name] += len(rows)
    target.finish()
    return counts


def to_open(table: StoredTable, rows: pa.RecordBatch) -> pa.RecordBatch:
    """Rows as the open form writes them: moments as times, no end as null."""
    return pa.RecordBatch.from_arrays(
        [_as_time(column) if name in table.moments else column for name, column in _named(rows)], schema=table.written
    )


def from_open(table: StoredTable, rows: pa.RecordBatch) -> pa.RecordBatch:
    """The way back."""
    columns = [column.cast(pa.int64()) if name in table.moments else column for name, column in _named(rows)]
    filled = [
        pc.fill_null(column, FOREVER) if name == "valid_to" else column
        for name, column in zip(rows.schema.names, columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(filled, schema=table.columns)


def _named(rows: pa.RecordBatch) -> list[tuple[str, pa.Array]]:
    return list(zip(rows.schema.names, rows.columns, strict=True))


def _as_time(column: pa.Array) -> pa.Array:
    ends = pc.if_else(pc.equal(column, FOREVER), pa.scalar(None, pa.int64()), column)
    return ends.cast(pa.timestamp("us", tz="UTC"))
