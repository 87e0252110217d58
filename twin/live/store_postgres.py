"""The log of events in PostgreSQL: one order for all servers of a district, and a word to each when it grows."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from twin.closing import Closing
from twin.errors import StoreError
from twin.live.database import Pool, Session
from twin.live.tables import FIRST_CLOCK, POSTGRES_TYPES, VERSION, statements
from twin.registry.postgres_address import Address, driver

if TYPE_CHECKING:
    import psycopg

CHANNEL = "twin_events"
"""What is notified on every commit; the payload is nothing: who listens reads on from where it stands."""

_ORDER = 0x54574E4501  # held from before a report gets its offset until it can be seen
_MAKING = 0x54574E4502
_LOOK_S = 0.5
_AGAIN_S = (0.1, 0.5, 2.0, 5.0)
_SETTINGS = (
    "SET client_min_messages = warning",
    # A server set to answer before it has flushed would lose what was acknowledged; a stricter one stays strict.
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') IN ('off', 'local')",
)


class _PostgresSession:
    """A transaction on a connection.

    Args:
        connection: In a transaction.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def __call__(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Runs a statement; `?` stands for a value."""
        done = self._connection.execute(_marked(sql), values)
        return [] if done.description is None else done.fetchall()

    def each(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Runs a statement for every row."""
        with self._connection.cursor() as cursor:
            cursor.executemany(_marked(sql), rows)

    def load(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Puts rows into a table."""
        sql = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
        with self._connection.cursor() as cursor, cursor.copy(sql.encode()) as copy:
            for row in rows:
                copy.write_row(row)


def _marked(sql: str) -> bytes:
    return sql.replace("%", "%%").replace("?", "%s").encode()


class PostgresDatabase(Closing):
    """A PostgreSQL database; commits are flushed before they return, whatever the server's default is.

    Args:
        url: Of the database.
        patience_s: How long to wait for another writer, seconds.

    Raises:
        MisuseError: The address cannot be read, or the driver is not installed.
        StoreError: It cannot be reached, is of a later version, or cannot be written.
    """

    bucket_bits: int | None = None

    def __init__(self, url: str, patience_s: float = 10.0) -> None:
        self._address = Address.of(url)
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._writer: psycopg.Connection[Any] | None = None
        with self._explaining():
            _make(self._open(), self._address)
        self._readers: Pool[psycopg.Connection[Any]] = Pool(
            self._open_reader, lambda one: one.close(), lambda one: one.execute("BEGIN"), driver().Error
        )

    def _open(self, *settings: str) -> psycopg.Connection[Any]:
        defaults = {"connect_timeout": "10", "application_name": "twin-events", "keepalives_idle": "30"}
        given = {**defaults, **self._address.parameters, "client_encoding": "UTF8"}
        connection: psycopg.Connection[Any] = driver().connect(**given, autocommit=True)
        try:
            patience = str(max(1, round(self._patience_s * 1000)))
            connection.execute("SELECT set_config('lock_timeout', %s, false)", (patience,))
            for statement in (*_SETTINGS, *settings):
                connection.execute(statement.encode())
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_reader(self) -> psycopg.Connection[Any]:
        return self._open(
            "SET default_transaction_read_only = on", "SET default_transaction_isolation = 'repeatable read'"
        )

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Questions that all see one moment; waits for nobody.

        Raises:
            StoreError: It cannot be read.
        """
        with self._explaining(), self._readers.borrow() as connection:
            yield _PostgresSession(connection)
            connection.execute("COMMIT")

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction no other process writes beside; durable when the block is left, undone by an error.

        Raises:
            StoreError: It cannot be written: nothing of the block was kept, unless the connection was lost in the
                very moment of the commit; to send a report again is safe either way.
        """
        with self._explaining(), self._lock:
            connection = self._begun()
            try:
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (_ORDER,))
                yield _PostgresSession(connection)
                connection.execute(f"NOTIFY {CHANNEL}".encode())
                connection.execute("COMMIT")
            except BaseException:
                _undo(connection)
                raise

    def _begun(self) -> psycopg.Connection[Any]:
        """The writing connection in a transaction; opened again if the database has gone and come back."""
        if self._ending.is_set():
            raise StoreError("the events were closed", file=self._address.shown, next_step="open them again")
        if self._writer is not None:
            try:
                self._writer.execute("BEGIN")
                return self._writer
            except driver().Error:
                self._writer.close()
        self._writer = self._open()
        self._writer.execute("BEGIN")
        return self._writer

    def one_of(self, column: str) -> str:
        """A condition: the column is one of the values given as `values`."""
        return f"{column} = ANY(?)"

    def values(self, texts: Collection[str]) -> list[str]:
        """Texts as one value for `one_of`."""
        return list(texts)

    def listed(self, name: str) -> str:
        """A table of one column, `value`: the values given as `values`."""
        return f"unnest(?::text[]) AS {name}(value)"

    def like(self, expression: str) -> str:
        """A condition: the expression matches a pattern; ASCII letters by either case."""
        return f"lower({expression}) LIKE lower(? COLLATE \"C\") ESCAPE '\\'"

    def unindexed(self, column: str) -> str:
        """A column in a condition: the database keeps statistics, and chooses itself."""
        return column

    def listen(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls back, from a thread of its own, soon after anybody wrote; the answer ends it.

        A connection that is lost is made again, and calls back at once: what was told meanwhile is not told again.

        Raises:
            StoreError: The database cannot be reached.
        """
        with self._explaining():
            connection = self._listening()
        done = threading.Event()
        thread = threading.Thread(
            target=self._hear, args=(connection, callback, done), name="twin-events-listen", daemon=True
        )
        thread.start()

        def stop() -> None:
            done.set()
            if thread is not threading.current_thread():
                thread.join()

        return stop

    def _listening(self) -> psycopg.Connection[Any]:
        return self._open(f"LISTEN {CHANNEL}")

    def _hear(self, connection: psycopg.Connection[Any], callback: Callable[[], None], done: threading.Event) -> None:
        tried = 0
        while not (done.is_set() or self._ending.is_set()):
            try:
                if connection.closed:
                    connection = self._listening()
                    tried = 0
                    callback()
                if any(True for _ in connection.notifies(timeout=_LOOK_S, stop_after=1)):
                    callback()
            except driver().Error:
                connection.close()
                done.wait(_AGAIN_S[min(tried, len(_AGAIN_S) - 1)])
                tried += 1
        connection.close()

    def close(self) -> None:
        """Releases the connections."""
        self._ending.set()
        self._readers.close()
        with self._lock:
            if self._writer is not None:
                self._writer.close()

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except driver().Error as error:
            raise explained(self._address, error) from error


def _undo(connection: psycopg.Connection[Any]) -> None:
    """Ends a transaction that failed; what a lost connection has not committed, the server forgets by itself."""
    try:
        connection.execute("ROLLBACK")
    except driver().Error:
        connection.close()


def _make(connection: psycopg.Connection[Any], address: Address) -> None:
    """Makes the tables where there are none, and checks that they are ours to read; closes the connection."""
    with connection:
        connection.execute("BEGIN")
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MAKING,))
        if connection.execute("SELECT to_regclass('live_clock')").fetchone() == (None,):
            for statement in statements(POSTGRES_TYPES):
                connection.execute(statement.encode())
            connection.execute(_marked(FIRST_CLOCK), (VERSION, secrets.token_hex(4)))
        found = connection.execute("SELECT version FROM live_clock").fetchone()
        connection.execute("COMMIT")
    if found != (VERSION,):
        what = f"the events have version {found and found[0]}, this program knows {VERSION}"
        raise StoreError(what, file=address.shown, next_step="use the program that wrote them, or update this one")


def explained(address: Address, error: Exception) -> StoreError:
    """An error of the driver as one that says what to do next, and nothing of the address."""
    state = str(getattr(error, "sqlstate", None) or "")
    words = address.hides(str(error))
    for begins, what, step in _TOLD:
        if state.startswith(begins):
            return StoreError(f"{what} ({words})", file=address.shown, next_step=step)
    if not state and isinstance(error, driver().OperationalError | driver().InterfaceError):
        what = f"the database cannot be reached, or the connection was lost ({words})"
        return StoreError(what, file=address.shown, next_step=_AGAIN)
    return StoreError(f"the database refused ({words})", file=address.shown, next_step="look into the database's log")


_AGAIN = "see that it runs and can be reached from here; what was refused can be sent again"
_TOLD = (
    ("55P03", "the events are being written by somebody else", "send them again"),
    ("57014", "the database stopped the query", "ask again, for less"),
    ("57P", "the database was stopped or restarted", _AGAIN),
    ("08", "the connection to the database was lost", _AGAIN),
    ("40", "another writer was faster", "send them again"),
    ("28", "the database does not let us in", "check user and password, or the server's pg_hba.conf"),
    ("3D000", "there is no such database", "create it: createdb -O USER DATABASE"),
    ("42501", "the events cannot be written", "grant the user the rights on database and schema"),
    ("25006", "the events cannot be written", "this is a read-only copy; name the primary server"),
    ("53100", "the disk of the database is full", "free space; what was refused can be sent again"),
    ("53", "the database has no room for us", "try again when it has less to do"),
    ("23505", "it is there already", "choose another"),
)
