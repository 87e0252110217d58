"""What a database does for the store of events: questions on one moment, one writer at a time, a word when it grew."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Generic, Protocol, TypeVar

Connection = TypeVar("Connection")
_MOST_IDLE = 8


class Session(Protocol):
    """A transaction under way."""

    def __call__(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Runs a statement; `?` stands for a value."""

    def each(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Runs a statement for every row."""

    def load(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Puts rows into a table, the quickest way the database has."""


class Database(Protocol):
    """An open database. Safe to share by threads.

    Attributes:
        bucket_bits: The index of entities is in pieces of two to this power offsets; None: it is whole.
    """

    bucket_bits: int | None

    def reading(self) -> AbstractContextManager[Session]:
        """Questions that all see one moment; waits for nobody.

        Raises:
            StoreError: It cannot be read.
        """

    def writing(self) -> AbstractContextManager[Session]:
        """A transaction no other process writes beside; durable when the block is left, undone by an error.

        Raises:
            StoreError: It cannot be written: nothing of the block was kept.
        """

    def one_of(self, column: str) -> str:
        """A condition: the column is one of the values given as `values`."""

    def values(self, texts: Collection[str]) -> Any:
        """Texts as one value for `one_of` and `listed`."""

    def listed(self, name: str) -> str:
        """A table of one column, `value`: the values given as `values`."""

    def like(self, expression: str) -> str:
        """A condition: the expression matches a pattern in which `\\` is the escape; ASCII letters by either case."""

    def unindexed(self, column: str) -> str:
        """A column in a condition for which no index should be taken."""

    def listen(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls back, from a thread of its own, soon after anybody wrote; the answer ends it."""

    def close(self) -> None:
        """Releases it."""


class Pool(Generic[Connection]):
    """Connections for readers: borrowed one thread at a time, opened when there is none, forgotten when they fail.

    Args:
        open_one: Opens one.
        close_one: Closes one.
        begin: The first statement of a reader; one that lay idle and fails here is as dead as the others that lie idle.
        errors: How that failure shows.
    """

    def __init__(
        self,
        open_one: Callable[[], Connection],
        close_one: Callable[[Connection], None],
        begin: Callable[[Connection], object],
        errors: type[Exception],
    ) -> None:
        self._open = open_one
        self._close = close_one
        self._begin = begin
        self._errors = errors
        self._idle: deque[Connection] = deque()
        self._closed = threading.Event()

    @contextmanager
    def borrow(self) -> Iterator[Connection]:
        """One for this block, which has begun to read; after an error it is not used again."""
        connection = self._begun()
        try:
            yield connection
        except BaseException:
            self._close(connection)
            raise
        self._idle.append(connection)
        if len(self._idle) > _MOST_IDLE or self._closed.is_set():
            self._drop(1)

    def _begun(self) -> Connection:
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._fresh()
        try:
            self._begin(connection)
        except self._errors:  # the database went away and may have come back
            self._close(connection)
            self._drop(len(self._idle))
            return self._fresh()
        return connection

    def _fresh(self) -> Connection:
        connection = self._open()
        try:
            self._begin(connection)
        except BaseException:
            self._close(connection)
            raise
        return connection

    def close(self) -> None:
        """Closes what nobody uses, and the others when they come back."""
        self._closed.set()
        self._drop(len(self._idle))

    def _drop(self, count: int) -> None:
        for _ in range(count):
            try:
                connection = self._idle.popleft()
            except IndexError:
                return
            self._close(connection)
