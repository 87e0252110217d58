"""The registry of identities in PostgreSQL with PostGIS: the answers of a file, in the district's database."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from twin.closing import Closing
from twin.errors import MisuseError, TwinError
from twin.registry import postgres_record, record
from twin.registry.known import Rows
from twin.registry.matching import Anchors
from twin.registry.postgres_address import Address, driver, explained
from twin.registry.postgres_schema import connect
from twin.registry.record import Resolved
from twin.registry.resolver import Resolver, refuse_malformed, refuse_repeated

if TYPE_CHECKING:
    import psycopg


class PostgresRegistry(Resolver, Closing):
    """An open registry. Writing happens in one transaction, from the first write to `commit` or `save`.

    Args:
        connection: To the database, in autocommit mode; one that somebody else has begun a transaction on is joined.
        address: What may be said of where it is.
        authority: Who mints.
    """

    def __init__(self, connection: psycopg.Connection[Any], address: Address, authority: str) -> None:
        super().__init__(authority, _runner(connection, address))
        self.address = address
        self.connection = connection
        self._recorded: dict[tuple[str, str], str] = {}

    @classmethod
    def open(cls, url: str, authority: str, read_only: bool = False, patience_s: float = 10.0) -> Self:
        """Opens a registry; a missing one is made unless `read_only`, a locked one is waited for `patience_s` seconds.

        Raises:
            MisuseError: The address cannot be read, or the driver is not installed.
            StoreError: If it cannot be reached, is locked, of another version or authority, or cannot be written.
        """
        return cls(*connect(url, authority, read_only, patience_s), authority)

    def record(
        self,
        resolved: Resolved,
        classes: pa.Array | pa.ChunkedArray | None = None,
        lineage: Iterable[tuple[str, str, str]] = (),
    ) -> None:
        """Notes the entities of a source as seen; kept by `commit`. As `twin.registry.sqlite.Registry.record`.

        Raises:
            StoreError: If the registry cannot be written.
        """
        kinds = record.kinds_of(resolved, classes)
        steps = sorted(lineage)
        with self._transaction():
            digest = postgres_record.write(self.connection, resolved, kinds, steps)
        self._recorded[resolved.layer, resolved.source] = digest

    def add_aliases(self, scheme: str, values: Iterable[str], names: Iterable[str]) -> None:
        """Notes codes of another scheme for entities. As `twin.registry.sqlite.Registry.add_aliases`.

        Raises:
            StoreError: If the registry cannot be written.
        """
        pairs = sorted(set(zip(values, names, strict=True)))
        with self._transaction():
            postgres_record.write_aliases(self.connection, scheme, pairs)

    def bind(self, source: str, keys: Sequence[str], names: Sequence[str]) -> None:
        """Makes keys of a source stand for these identifiers from now on. As `twin.registry.sqlite.Registry.bind`.

        Raises:
            MisuseError: If a key stands twice, or an identifier is none.
            StoreError: If the registry cannot be written.
        """
        refuse_repeated(keys, source)
        refuse_malformed(names)
        pairs = sorted(zip(keys, names, strict=True))
        with self._transaction():
            postgres_record.bind(self.connection, source, pairs)

    def move(self, layer: str, source: str, names: Sequence[str], anchors: Anchors) -> None:
        """Says where entities without key stand now. As `twin.registry.sqlite.Registry.move`.

        Raises:
            MisuseError: If an identifier is none, or there is not one anchor an identifier.
            StoreError: If the registry cannot be written.
        """
        refuse_malformed(names)
        if len(names) != len(anchors):
            raise MisuseError(f"{len(names)} identifiers but {len(anchors)} anchors", next_step="give one anchor each")
        with self._transaction():
            postgres_record.move(self.connection, layer, source, names, anchors)

    def commit(self, release: str, time: datetime.datetime | None = None) -> None:
        """Keeps what was recorded, as that of a release.

        Args:
            release: Its id.
            time: When; now by default.

        Raises:
            StoreError: If the registry cannot be written, or the connection was lost; then nothing is kept.
        """
        stamp = record.stamp_of(time)
        with self._transaction():
            postgres_record.write_release(self.connection, release, stamp, self._recorded)
            self.connection.execute("COMMIT")
        self._recorded = {}

    def save(self) -> None:
        """Keeps what was bound and moved without a release of its own; does nothing where nothing was.

        Raises:
            StoreError: If the registry cannot be written, or the connection was lost; then nothing is kept.
        """
        if self._writing:
            with self._transaction():
                self.connection.execute("COMMIT")

    def given(self, names: Sequence[str]) -> set[str]:
        """Those of some identifiers that were ever given to something: recorded, bound to a key, or anchored."""
        sql = " UNION ".join(
            f"SELECT geid FROM {table} WHERE geid = ANY(?)"  # noqa: S608
            for table in ("entity", "anchor", "source_key")
        )
        wanted = list(names)
        return {name for (name,) in self._rows(sql, wanted, wanted, wanted)}

    @property
    def _writing(self) -> bool:
        return int(self.connection.info.transaction_status) != 0

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Opens the build's transaction if need be; an error undoes it as a whole."""
        try:
            if not self._writing:
                self.connection.execute("BEGIN")
                # One writer at a time, as in a file; readers go on.
                self.connection.execute("LOCK TABLE release IN SHARE ROW EXCLUSIVE MODE")
            yield
        except driver().Error as error:
            self.roll_back()
            raise explained(self.address, error) from error
        except TwinError:
            self.roll_back()
            raise

    def roll_back(self) -> None:
        """Forgets what was recorded since the last commit."""
        self._recorded = {}
        if self.connection.closed or not self._writing:
            return
        try:
            self.connection.execute("ROLLBACK")
        except driver().Error:  # the server forgets by itself what a lost connection has not committed
            self.connection.close()

    def close(self) -> None:
        """Closes the connection; what was not committed is forgotten."""
        self.connection.close()


def _runner(connection: psycopg.Connection[Any], address: Address) -> Rows:
    """Queries on a connection whose errors say what to do next; text that cannot be stored finds nothing."""
    psycopg = driver()
    failure: type[Exception] = psycopg.Error

    def rows(sql: str, *values: Any) -> list[Any]:
        if any(isinstance(value, str) and not _storable(value) for value in values):
            return []
        try:
            return list(connection.execute(sql.replace("?", "%s"), values).fetchall())
        except failure as error:
            raise explained(address, error) from error

    return rows


def _storable(text: str) -> bool:
    """Neither NUL, which PostgreSQL does not keep, nor half a surrogate pair."""
    return "\x00" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)
