"""The log of events in a file of its own: nothing to install, nothing acknowledged is lost, readers never wait."""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from twin.closing import Closing
from twin.errors import StoreError
from twin.live.database import Pool, Session
from twin.live.tables import BUCKET_BITS, FIRST_CLOCK, SQLITE_TYPES, VERSION, statements

APPLICATION_ID = 0x54574E45  # "TWNE"
_CACHE_KIB = 65_536
_PAGES_OF_LOG = 8_000
_LOG_BYTES = 64 * 2**20
_LOOK_S = 0.1


class _SqliteSession:
    """A transaction on a connection.

    Args:
        connection: In a transaction.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __call__(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Runs a statement; `?` stands for a value."""
        return self._connection.execute(sql, values).fetchall()

    def each(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Runs a statement for every row."""
        self._connection.executemany(sql, rows)

    def load(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Puts rows into a table."""
        places = ", ".join("?" * len(columns))
        self._connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", rows)  # noqa: S608


class SqliteDatabase(Closing):
    """An SQLite file in WAL mode, every commit flushed to the disk before it returns.

    Args:
        path: The file; made if it is missing.
        patience_s: How long to wait for another writer, seconds.

    Raises:
        StoreError: It is damaged, something else, of a later version, or cannot be written.
    """

    bucket_bits: int | None = BUCKET_BITS

    def __init__(self, path: Path, patience_s: float = 10.0) -> None:
        self._path = path
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._ending = threading.Event()
        with self._explaining():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = self._prepared()
        self._readers: Pool[sqlite3.Connection] = Pool(
            self._open_reader, sqlite3.Connection.close, lambda one: one.execute("BEGIN"), sqlite3.Error
        )

    def _prepared(self) -> sqlite3.Connection:
        """A connection that may write, to a file that is a log of ours."""
        connection = sqlite3.connect(self._path, self._patience_s, isolation_level=None, check_same_thread=False)
        try:
            _make(connection)
            _check(connection, self._path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_reader(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, self._patience_s, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA query_only = ON")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB // 4}")
        return connection

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Questions that all see one moment; waits for nobody.

        Raises:
            StoreError: It cannot be read.
        """
        with self._explaining(), self._readers.borrow() as connection:
            yield _SqliteSession(connection)
            connection.execute("COMMIT")

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction no other process writes beside; durable when the block is left, undone by an error.

        Raises:
            StoreError: It cannot be written: nothing of the block was kept.
        """
        with self._explaining(), self._lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield _SqliteSession(self._writer)
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:  # a full disk has ended it already
                    self._writer.execute("ROLLBACK")
                raise

    def one_of(self, column: str) -> str:
        """A condition: the column is one of the values given as `values`."""
        return f"{column} IN (SELECT value FROM json_each(?))"  # noqa: S608

    def values(self, texts: Collection[str]) -> str:
        """Texts as one value for `one_of`."""
        return orjson.dumps(list(texts)).decode()

    def listed(self, name: str) -> str:
        """A table of one column, `value`: the values given as `values`."""
        return f"json_each(?) {name}"

    def like(self, expression: str) -> str:
        """A condition: the expression matches a pattern; ASCII letters by either case."""
        return f"{expression} LIKE ? ESCAPE '\\'"

    def unindexed(self, column: str) -> str:
        """A column in a condition for which no index should be taken: the file keeps no statistics to choose by."""
        return f"+{column}"

    def listen(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls back, from a thread of its own, soon after anybody wrote; the answer ends it.

        Looks ten times a second whether a commit of any connection, in any process, has changed the file.
        """
        done = threading.Event()
        thread = threading.Thread(target=self._look, args=(callback, done), name="twin-events-listen", daemon=True)
        thread.start()

        def stop() -> None:
            done.set()
            if thread is not threading.current_thread():
                thread.join()

        return stop

    def _look(self, callback: Callable[[], None], done: threading.Event) -> None:
        connection = self._open_reader()
        try:
            seen = connection.execute("PRAGMA data_version").fetchone()
            while not done.wait(_LOOK_S) and not self._ending.is_set():
                now = connection.execute("PRAGMA data_version").fetchone()
                if now != seen:
                    seen = now
                    callback()
        finally:
            connection.close()

    def close(self) -> None:
        """Releases the file."""
        self._ending.set()
        self._readers.close()
        with self._lock:
            self._writer.close()

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise explained(self._path, error) from error
        except OSError as error:
            what = f"the events cannot be written ({error.strerror})"
            raise StoreError(what, file=self._path, next_step="check the rights of file and folder") from error


def _make(connection: sqlite3.Connection) -> None:
    """Sets a connection up, and makes the tables in a file that has none."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # what is acknowledged outlives a power cut
    connection.execute("PRAGMA fullfsync = ON")  # on macOS fsync alone does not reach the disk
    connection.execute("PRAGMA checkpoint_fullfsync = ON")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_PAGES_OF_LOG}")
    connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
    if _is_new(connection):
        connection.execute("BEGIN IMMEDIATE")
        if _is_new(connection):  # two processes may be first
            for statement in statements(SQLITE_TYPES):
                connection.execute(statement)
            connection.execute(FIRST_CLOCK, (VERSION, secrets.token_hex(4)))
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")


def _is_new(connection: sqlite3.Connection) -> bool:
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return int(tables) == 0


def _check(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
        raise StoreError("it is a database of something else", file=path, next_step="name another file for events")
    (version,) = connection.execute("SELECT version FROM live_clock").fetchone()
    if version != VERSION:
        what = f"the events have version {version}, this program knows {VERSION}"
        raise StoreError(what, file=path, next_step="use the program that wrote them, or update this one")


def explained(path: Path, error: sqlite3.Error) -> StoreError:
    """An SQLite error as one that says what to do next."""
    text = str(error)
    for words, what, step in _TOLD:
        if any(word in text for word in words):
            return StoreError(what.format(text=text), file=path, next_step=step)
    what = f"the file of events is damaged ({text})"
    return StoreError(what, file=path, next_step="stop the server and restore it from a backup")


_TOLD = (
    (("locked", "busy"), "the events are being written by somebody else ({text})", "send them again"),
    (("readonly", "unable to open"), "the events cannot be written ({text})", "check the rights of file and folder"),
    (("full", "disk I/O"), "the disk is full or failing ({text})", "free space; what was refused can be sent again"),
    (("closed database",), "the events were closed", "open them again"),
    (("UNIQUE", "constraint"), "it is there already ({text})", "choose another"),
)
