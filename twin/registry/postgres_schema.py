"""Connections to a registry in PostgreSQL: made where it is missing, brought up to date, checked whose it is."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

from twin.errors import MisuseError, StoreError
from twin.registry.postgres_address import Address, driver, explained

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import Connection

REVISIONS = ("0001", "0002")
"""Migrations in order; the last one is the version this program works with."""

VERSION_TABLE = "registry_version"
_MAKING = 0x54574E32  # "TWN2": held while tables are made, so that two first builds do not both make them


def connect(
    url: str, authority: str, read_only: bool = False, patience_s: float = 10.0
) -> tuple[psycopg.Connection[Any], Address]:
    """Opens a registry, makes it if it is missing, and checks that it is one and whose.

    Args:
        url: Of the database.
        authority: Who mints.
        read_only: Never writes, and takes a missing one as an error.
        patience_s: How long to wait for another writer, seconds.

    Raises:
        MisuseError: The address cannot be read, or the driver is not installed.
        StoreError: It cannot be reached, is of another version or authority, or cannot be written.
    """
    address = Address.of(url)
    connection = _open(address, patience_s)
    try:
        if revision(connection) is None:
            if read_only:
                raise StoreError("there is no registry yet", file=address.shown, next_step="run `twin build`")
            migrate(address, authority)
        _check_revision(connection, address)
        _check_authority(connection, address, authority)
        connection.execute(f"SET default_transaction_read_only = {'on' if read_only else 'off'}")
    except driver().Error as error:
        connection.close()
        raise explained(address, error) from error
    except (StoreError, MisuseError):
        connection.close()
        raise
    return connection, address


def _open(address: Address, patience_s: float) -> psycopg.Connection[Any]:
    try:
        connection = _plain(address)
        connection.autocommit = True
        connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{max(1, round(patience_s * 1000))}ms",))
        # A build holds its transaction while tiles are made; a server that ends idle ones would end the build.
        connection.execute("SET idle_in_transaction_session_timeout = 0")
        connection.execute("SET client_min_messages = warning")
    except driver().Error as error:
        raise explained(address, error) from None
    return connection


def _plain(address: Address) -> psycopg.Connection[Any]:
    defaults = {"connect_timeout": "10", "application_name": "twin"}
    connection: psycopg.Connection[Any] = driver().connect(
        **{**defaults, **address.parameters, "client_encoding": "UTF8"}
    )
    return connection


def revision(connection: psycopg.Connection[Any]) -> str | None:
    """The migration a database stands at; None where it holds no registry."""
    if connection.execute("SELECT to_regclass(%s)", (VERSION_TABLE,)).fetchone() == (None,):
        return None
    found = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()  # noqa: S608
    return None if found is None else str(found[0])


def _check_revision(connection: psycopg.Connection[Any], address: Address) -> None:
    now = revision(connection)
    if now == REVISIONS[-1]:
        return
    if now not in REVISIONS:
        raise newer(address, now)
    raise StoreError(
        f"the registry has version {now}, this program works with {REVISIONS[-1]}",
        file=address.shown,
        next_step="make a backup with the program that wrote it, then run `twin registry migrate`",
    )


def newer(address: Address, now: str | None) -> StoreError:
    """The error that refuses a registry of a later program."""
    what = f"the registry has version {now}, this program knows {REVISIONS[-1]}"
    return StoreError(what, file=address.shown, next_step="use the program that wrote it, or update this one")


def _check_authority(connection: psycopg.Connection[Any], address: Address, authority: str) -> None:
    found = connection.execute("SELECT value FROM setting WHERE name = 'authority'").fetchone()
    owner = found[0] if found else ""
    if owner != authority:
        raise StoreError(
            f"the registry belongs to the authority {owner!r}, the project says {authority!r}",
            file=address.shown,
            next_step=f"set [project] authority = {owner!r}: every identifier rests on it",
        )


def migrate(address: Address, authority: str | None = None) -> tuple[str | None, str]:
    """Brings the tables of a database up to this program's version, or makes them, in one transaction.

    Args:
        address: Of the database.
        authority: Who will mint; None: only a registry that is there is brought up to date.

    Returns:
        Version before (None: there was none) and after.

    Raises:
        StoreError: The registry is missing, is of a later program, lacks PostGIS, or cannot be written.
    """
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    engine = create_engine("postgresql+psycopg://", creator=lambda: _plain(address), poolclass=NullPool)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MAKING})")
            raw: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
            before = _version_to_upgrade(raw, address, authority)
            if before != REVISIONS[-1]:
                _require_postgis(raw, address)
                _upgrade(connection)
            if before is None:
                raw.execute("INSERT INTO setting VALUES ('authority', %s)", (authority,))
    except DBAPIError as error:
        raise explained(address, error.orig if isinstance(error.orig, Exception) else error) from None
    except driver().Error as error:
        raise explained(address, error) from None
    return before, REVISIONS[-1]


def _version_to_upgrade(connection: psycopg.Connection[Any], address: Address, authority: str | None) -> str | None:
    before = revision(connection)
    if before is None and authority is None:
        raise StoreError("there is no registry yet", file=address.shown, next_step="run `twin build`")
    if before is not None and before not in REVISIONS:
        raise newer(address, before)
    return before


def _require_postgis(connection: psycopg.Connection[Any], address: Address) -> None:
    if connection.execute("SELECT 1 FROM pg_extension WHERE extname = 'postgis'").fetchone():
        return
    try:
        connection.execute("CREATE EXTENSION postgis")
    except driver().Error as error:
        raise StoreError(
            f"the database has no PostGIS, and it cannot be added ({address.hides(str(error))})",
            file=address.shown,
            next_step="install PostGIS on the server (Debian: postgresql-postgis) and let its administrator run"
            " `CREATE EXTENSION postgis` in the database",
        ) from error


def _upgrade(connection: Connection) -> None:
    """Runs the migrations that are missing, in the transaction of this connection."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    with resources.as_file(resources.files("twin.registry") / "migrations") as scripts:
        config.set_main_option("script_location", str(scripts).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
