"""A history in PostgreSQL with PostGIS: one writer by a lock, bulk by COPY, places by a GiST index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Table, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from twin.errors import StoreError
from twin.registry import postgres_schema
from twin.registry.history_dialect import Box
from twin.registry.postgres_address import Address, driver, explained

BOX = "ST_MakeEnvelope(west, south, east, north, 4326)"
"""The expression the GiST index of `history_version` is made of (migration)."""


class PostgresDialect:
    """A database; its tables are made by the migrations of `twin.registry.postgres_schema`.

    Args:
        url: `postgresql://...`.
        authority: Who mints.
        read_only: Never writes.
        patience_s: How long a second writer waits, seconds.
    """

    def __init__(self, url: str, authority: str, read_only: bool = False, patience_s: float = 10.0) -> None:
        self._url = url
        self._address = Address.of(url)
        self.errors: tuple[type[Exception], ...] = (DBAPIError, driver().Error)
        self._authority = authority
        self._read_only = read_only
        self._patience_s = patience_s

    def engine(self) -> Engine:
        """One connection a thread at work; one that the server has closed is replaced."""
        return create_engine(
            "postgresql+psycopg://", creator=self._connect, poolclass=QueuePool, max_overflow=20, pool_pre_ping=True
        )

    def _connect(self) -> Any:
        connection, _ = postgres_schema.connect(self._url, self._authority, self._read_only, self._patience_s)
        connection.autocommit = False
        return connection

    def prepare(self) -> None:
        """Brings the database up to date; raises `StoreError` where it cannot be used."""
        if not self._read_only:
            self._connect().close()

    def is_there(self) -> bool:
        """True if the database has the tables of a history."""
        connection = self._connect()
        try:
            found = connection.execute("SELECT to_regclass('history_edition')").fetchone()
        finally:
            connection.close()
        return bool(found != (None,))

    def begin(self, connection: Connection) -> None:
        """Locks out other writers, not readers.

        Identities first, as every other writer does (`PostgresRegistry`, moving a database): two that took the locks in
        different orders would wait for each other. What an edition says of identities is written under both.
        """
        connection.exec_driver_sql("LOCK TABLE release IN SHARE ROW EXCLUSIVE MODE")
        connection.exec_driver_sql("LOCK TABLE history_edition IN EXCLUSIVE MODE")

    def insert(self, connection: Connection, table: Table, columns: Sequence[Sequence[Any]]) -> None:
        """By COPY."""
        if not columns or not len(columns[0]):
            return
        names = ", ".join(f'"{column.name}"' for column in table.columns)
        cursor = connection.connection.cursor()
        with cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:
            for row in zip(*columns, strict=True):
                copy.write_row(row)
        cursor.close()

    def insert_boxes(self, connection: Connection, ids: Sequence[int], boxes: Sequence[Sequence[float | None]]) -> None:
        """The index is made of the columns themselves."""

    def within(self, box: Box) -> ColumnElement[bool]:
        """By the GiST index over the boxes."""
        west, south, east, north = box
        columns = ", ".join(f"history_version.{name}" for name in ("west", "south", "east", "north"))
        sql = f"ST_MakeEnvelope({columns}, 4326) && ST_MakeEnvelope(:west, :south, :east, :north, 4326)"
        return text(sql).bindparams(west=west, south=south, east=east, north=north)  # type: ignore[return-value]

    def among(self, column: ColumnElement[str], values: Sequence[str]) -> ColumnElement[bool]:
        """By an array: one parameter, however many there are."""
        return text(f"{column} = ANY(:among)").bindparams(among=list(values))  # type: ignore[return-value]

    def damage(self, connection: Connection) -> list[str]:
        """Indexes the database itself calls unusable; pages are covered by its checksums."""
        sql = (
            "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
            " WHERE c.relname LIKE 'history\\_%%' AND NOT (i.indisvalid AND i.indisready)"
        )
        return [f"the index {name} is unusable" for name in connection.exec_driver_sql(sql).scalars()]

    def explained(self, error: Exception) -> StoreError:
        """As the registry explains them."""
        cause = error.orig if isinstance(error, DBAPIError) else error
        return explained(self._address, cause if isinstance(cause, Exception) else error)
