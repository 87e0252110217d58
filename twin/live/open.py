"""Opens the log of events and its keys, in whichever database they lie."""

from __future__ import annotations

from pathlib import Path

from twin.live.database import Database
from twin.live.keys import KeyStore, SqlKeys
from twin.live.model import EventStore
from twin.live.store import EventLog
from twin.live.store_sqlite import SqliteDatabase
from twin.registry.open import is_database_url


def open_events(where: Path | str, patience_s: float = 10.0) -> EventStore:
    """Opens the log of events; makes it where there is none.

    Args:
        where: Path of an SQLite file, or `postgresql://...`.
        patience_s: How long to wait for another writer, seconds.

    Raises:
        MisuseError: The address cannot be one, or the extra `postgis` is not installed.
        StoreError: It cannot be reached, is damaged, of a later version, or cannot be written.
    """
    return EventLog(_database(where, patience_s))


def open_keys(where: Path | str, patience_s: float = 10.0) -> KeyStore:
    """Opens the keys, which lie beside the events; makes both where there are none.

    Args:
        where, patience_s: As `open_events`.

    Raises:
        MisuseError, StoreError: As `open_events`.
    """
    return SqlKeys(_database(where, patience_s))


def _database(where: Path | str, patience_s: float) -> Database:
    if is_database_url(where):
        from twin.live.store_postgres import PostgresDatabase

        return PostgresDatabase(str(where), patience_s)
    return SqliteDatabase(Path(where), patience_s)
