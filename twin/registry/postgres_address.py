"""The address of a PostgreSQL database: taken apart, checked, and never shown whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Self

from twin.errors import MisuseError, StoreError


def driver() -> ModuleType:
    """The driver (psycopg), which only districts with a database need.

    Raises:
        MisuseError: It is not installed.
    """
    try:
        import psycopg
    except ImportError as error:
        raise MisuseError(
            "a registry in PostgreSQL needs a driver that is not installed",
            next_step="pip install 'district-twin[postgis]', or unset TWIN_DATABASE_URL and [registry] database_url",
        ) from error
    return psycopg


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is.

    Attributes:
        parameters: What the driver connects with; may hold a password.
        shown: What may be said of it: database and host.
    """

    parameters: Mapping[str, Any] = field(repr=False)
    shown: str

    @classmethod
    def of(cls, url: str) -> Self:
        """From `postgresql://user:password@host:port/database?option=value`.

        Raises:
            MisuseError: It cannot be read; says nothing of what it holds.
        """
        psycopg = driver()
        try:
            found = psycopg.conninfo.conninfo_to_dict(url)
        except psycopg.Error:
            raise _unreadable() from None  # the driver's words may hold a piece of the password
        host, port, name = (str(found.get(key, "")) for key in ("host", "port", "dbname"))
        if "@" in host + name or (port and not port.replace(",", "").isdigit()):
            raise _unreadable()
        place = f" on {host}" if host and not host.startswith("/") else ""
        return cls(found, f'database "{name}"{place}' if name else f"PostgreSQL{place}")

    def hides(self, text: str) -> str:
        """The driver's words in one line, or nothing where they would give the password away."""
        line = " ".join(text.split())
        secret = str(self.parameters.get("password") or "")
        return "" if secret and secret in line else line


def _unreadable() -> MisuseError:
    return MisuseError(
        "the address of the database cannot be read",
        next_step="write postgresql://USER@HOST:5432/DATABASE; in a password write @ as %40, / as %2F and : as %3A",
    )


def explained(address: Address, error: Exception) -> StoreError:
    """An error of the driver as one that says what to do next.

    Args:
        address: Of which database.
        error: A `psycopg.Error`.
    """
    state = str(getattr(error, "sqlstate", None) or "")
    words = address.hides(str(error))
    for begins, what, next_step in _TOLD:
        if state.startswith(begins):
            return StoreError(what.format(words=words), file=address.shown, next_step=next_step)
    psycopg = driver()
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and not state:
        what = f"the database cannot be reached, or the connection was lost ({words})"
        step = "see that it runs and can be reached from here, then run the command again: nothing is half written"
        return StoreError(what, file=address.shown, next_step=step)
    step = "look into the database's log; `twin registry verify` tells whether the registry is whole"
    return StoreError(f"the database refused ({words})", file=address.shown, next_step=step)


_AGAIN = "see that it runs, then run the command again: nothing is half written"
_TOLD = (
    ("55P03", "the registry is being written by another build", "wait until it is done"),
    ("40", "another writer was faster ({words})", "run the command again"),
    ("57014", "the database stopped the query ({words})", "run the command again"),
    ("57P", "the database was stopped or restarted ({words})", _AGAIN),
    ("25P03", "the database closed a connection that waited too long ({words})", _AGAIN),
    ("08", "the connection to the database was lost ({words})", _AGAIN),
    ("28", "the database does not let us in ({words})", "check user and password, or the server's pg_hba.conf"),
    ("3D000", "there is no such database ({words})", "create it: createdb -O USER DATABASE"),
    ("42501", "the registry cannot be written ({words})", "grant the user the rights on database and schema"),
    ("25006", "the registry cannot be written ({words})", "this is a read-only copy; name the primary server"),
    ("53100", "the disk of the database is full ({words})", "free space and run the command again"),
    ("53", "the database has no room for us ({words})", "run the command again when it has less to do"),
    ("22021", "a text holds a character PostgreSQL cannot keep ({words})", "remove NUL characters from the source"),
    ("42P01", "the registry is damaged: a table is missing ({words})", "restore it from a backup"),
)
