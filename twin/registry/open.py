"""Opens what a district remembers, in whichever database it lies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from twin.errors import MisuseError

if TYPE_CHECKING:
    from twin.registry.history_store import SqlHistory
    from twin.registry.identity import IdentityRegistry

SCHEMES = ("postgresql://", "postgres://")
"""How the address of a PostgreSQL database begins."""

DATABASE_VARIABLE = "TWIN_DATABASE_URL"
"""Environment variable that names the database; it beats `twin.toml`, so that a password need not stand there."""


def is_database_url(where: Path | str) -> bool:
    """True if a place is a PostgreSQL database, not a file.

    Raises:
        MisuseError: It is a URL of something else.
    """
    text = str(where)
    if isinstance(where, str) and text.startswith(SCHEMES):
        return True
    if isinstance(where, str) and "://" in text:
        scheme = text.split("://", 1)[0]
        raise MisuseError(f"there is no registry of the kind {scheme!r}", next_step="name a file, or postgresql://…")
    return False


def open_registry(
    where: Path | str, authority: str, read_only: bool = False, patience_s: float = 10.0
) -> IdentityRegistry:
    """Opens the identities of a district; missing ones are made unless `read_only`.

    Args:
        where: Path of an SQLite file, or `postgresql://...`.
        authority: Who mints.
        read_only: Never writes, and takes a missing registry as an error.
        patience_s: How long to wait for another writer, seconds.

    Raises:
        MisuseError: The address cannot be one, or the extra `postgis` is not installed.
        StoreError: It cannot be reached, is damaged, locked, of another version or authority, or cannot be written.
    """
    if is_database_url(where):
        from twin.registry.postgres import PostgresRegistry

        return PostgresRegistry.open(str(where), authority, read_only, patience_s)
    from twin.registry.sqlite import Registry

    return Registry.open(where, authority, read_only, patience_s)


def open_history(where: Path | str, authority: str, read_only: bool = False, patience_s: float = 10.0) -> SqlHistory:
    """Opens the history of a district, in the database of its identities; makes both where they are missing.

    Args:
        where: Path of an SQLite file, or `postgresql://...`.
        authority: Who mints the identifiers.
        read_only: Writes nothing and makes nothing; a history that is not there yet answers as an empty one.
        patience_s: How long a second writer waits before it refuses, seconds.

    Raises:
        MisuseError: The address cannot be one, or the extra `postgis` is not installed.
        StoreError: It cannot be reached, is damaged, locked, of another version or authority, or cannot be written.
    """
    from twin.registry.history_dialect import Dialect
    from twin.registry.history_store import SqlHistory

    dialect: Dialect
    if is_database_url(where):
        from twin.registry.history_postgres import PostgresDialect

        dialect = PostgresDialect(str(where), authority, read_only, patience_s)
    else:
        from twin.registry.history_sqlite import SqliteDialect

        dialect = SqliteDialect(Path(where), authority, read_only, patience_s)
    dialect.prepare()
    return SqlHistory(dialect)
