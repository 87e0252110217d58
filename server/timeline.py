"""The history behind the entities, read only: what was so at a time, and what was known of it at another.

All questions go to one thread of their own, so that one connection is enough, whatever thread a request runs in.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import TypeVar

import pyarrow as pa

from twin.errors import TwinError
from twin.registry.history_areas import placed
from twin.registry.versions import RECORDED_FIELDS, Edition, History, Lineage, Time, Window

_log = logging.getLogger(__name__)
_FRESH_SECONDS = 1.0  # how long the list of editions is believed
_NOW_SECONDS = 30.0  # how long an answer about the present is believed: an edition may come into force meanwhile
_CACHE_BYTES = 256 << 20
NOTHING = pa.schema(RECORDED_FIELDS).empty_table()
PRESENT = Window()
T = TypeVar("T")
Opener = Callable[[Path | str, str], History]


def open_recorded(where: Path | str, authority: str) -> History:
    """Opens the history of a place; imported late, because only some questions need a database."""
    from twin.registry.open import open_history

    history: History = open_history(where, authority, read_only=True)
    return history


class Timeline:
    """What the history of a district answers. Where none is kept, or it cannot be read, it says so and knows nothing.

    Args:
        where: `registry.sqlite`, or the address of a database; None where neither is known.
        authority: Whose history it is.
        opener: How to open it.
    """

    def __init__(self, where: Path | str | None, authority: str, opener: Opener = open_recorded) -> None:
        self._where = where
        self._authority = authority
        self._opener = opener
        self._history: History | None = None
        self._thread = ThreadPoolExecutor(1, "timeline")
        self._lock = Lock()
        self._editions: tuple[Edition, ...] = ()
        self._looked: float | None = None
        self._file: tuple[int, int] | None = None
        self._cache: OrderedDict[tuple[Window, int], tuple[pa.Table, float]] = OrderedDict()

    @property
    def recorded(self) -> bool:
        """True if a history is kept and has an edition."""
        return bool(self.editions())

    def editions(self) -> tuple[Edition, ...]:
        """Every edition, oldest first; seen a second after it has been recorded."""
        if self._where is None:
            return ()
        if self._looked is None or monotonic() - self._looked > _FRESH_SECONDS:
            self._editions = self._ask(lambda history: tuple(history.editions()), ())
            self._looked = monotonic()
        return self._editions

    def head(self) -> int:
        """Number of the latest edition; 0 where there is none."""
        editions = self.editions()
        return editions[-1].number if editions else 0

    def snapshot(self, window: Window = PRESENT) -> pa.Table:
        """Entities present at a pair of times, sorted by geid: `RECORDED_FIELDS`. Kept in memory for the next asker."""
        key = (window, self.head())
        with self._lock:
            found = self._cache.get(key)
            if found is not None and (window.valid is not None or monotonic() - found[1] < _NOW_SECONDS):
                self._cache.move_to_end(key)
                return found[0]
        table = self._ask(lambda history: _snapshot(history, window), NOTHING) if key[1] else NOTHING
        self._remember(key, table)
        return table

    def _remember(self, key: tuple[Window, int], table: pa.Table) -> None:
        with self._lock:
            self._cache[key] = (table, monotonic())
            while len(self._cache) > 1 and sum(one.nbytes for one, _ in self._cache.values()) > _CACHE_BYTES:
                self._cache.popitem(last=False)

    def around(self, window: Window) -> pa.Table:
        """Like `snapshot`, but not kept: for windows so small that another asker hardly has the same."""
        return self._ask(lambda history: _snapshot(history, window), NOTHING) if self.recorded else NOTHING

    def entity(self, geid: str, valid: Time | None = None, as_of: Time | None = None) -> pa.Table:
        """What is asserted of one entity for a pair of times: one row, also with `present` False, or none."""
        return self._ask(lambda history: _entity(history, geid, valid, as_of), NOTHING) if self.recorded else NOTHING

    def versions(self, geid: str, as_of: Time | None = None) -> pa.Table:
        """Every assertion on an entity recorded by `as_of`, oldest first."""
        return self._ask(lambda history: history.versions(geid, as_of), NOTHING) if self.recorded else NOTHING

    def during(self, begin: Time | None, end: Time | None, as_of: Time | None = None) -> pa.Table:
        """Every assertion recorded by `as_of` whose span meets an interval, by geid, then edition; None: open end."""
        return self._ask(lambda history: history.during(begin, end, as_of), NOTHING) if self.recorded else NOTHING

    def lineage(self, geid: str) -> Sequence[Lineage]:
        """Steps from and to an entity."""
        return self._ask(lambda history: tuple(history.lineage(geid)), ()) if self.recorded else ()

    def successors(self, geid: str) -> Sequence[str]:
        """What stands today for an entity that is gone."""
        return self._ask(lambda history: tuple(history.successors(geid)), ()) if self.recorded else ()

    def _ask(self, question: Callable[[History], T], otherwise: T) -> T:
        """Puts a question to the history in its own thread; a history that cannot be read knows nothing."""

        def answer() -> T:
            try:
                history = self._opened()
                return otherwise if history is None else question(history)
            except TwinError as error:
                _log.warning("the history cannot be asked: %s", error)
                self._forget()
                return otherwise

        return self._thread.submit(answer).result()

    def _opened(self) -> History | None:
        """The open history; opened anew where the file has been replaced, for example by a restored backup."""
        if isinstance(self._where, Path):
            try:
                status = self._where.stat()
            except OSError:
                self._forget()
                return None
            if self._file != (status.st_dev, status.st_ino):
                self._forget()
                self._file = (status.st_dev, status.st_ino)
        if self._history is None and self._where is not None:
            self._history = self._opener(self._where, self._authority)
        return self._history

    def _forget(self) -> None:
        history, self._history, self._file = self._history, None, None
        if history is not None:
            history.close()

    def close(self) -> None:
        """Closes the connection."""
        self._thread.submit(self._forget).result()
        self._thread.shutdown()


def _snapshot(history: History, window: Window) -> pa.Table:
    """Entities of a moment, each with the area around it."""
    return placed(history, history.snapshot(window), window)


def _entity(history: History, geid: str, valid: Time | None, as_of: Time | None) -> pa.Table:
    """An entity at a moment with the area around it."""
    return placed(history, history.entity(geid, valid, as_of), Window(valid=valid, as_of=as_of, geids=(geid,)))


NO_TIMELINE = Timeline(None, "")
