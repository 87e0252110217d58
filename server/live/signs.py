"""The indicators of a server: a state that follows the log, and alarms where a threshold is crossed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from threading import RLock
from time import time_ns

from server.live.live import Live, LiveBusyError
from server.releases import Releases
from twin.errors import TwinError
from twin.live.model import Filter, Link, Report, Stored
from twin.live.sensors import read_sensors
from twin.live.signs.alarms import Key, Standing, crossings, standing
from twin.live.signs.ground import Ground
from twin.live.signs.ledger import SOURCE
from twin.live.signs.reading import read_indicators
from twin.live.signs.signs import Signs

_log = logging.getLogger(__name__)
_PAGE = 5000
_TICK_MS = 60_000
_SETTLED_S = 1.0  # after a tick: what was recorded by then is in the log by now
_FORGET_EVERY = 30  # ticks


class SignWatch:
    """Follows the log. Started and stopped with the other feeds of `Live`.

    Args:
        live: The log, and the way in for alarms.
        releases: What is served: areas and entities.

    Raises:
        ProjectError: The file of indicators, or the table of sensors, is wrong.
    """

    def __init__(self, live: Live, releases: Releases) -> None:
        config = live.config
        self._live = live
        self._releases = releases
        self.definitions = read_indicators(None if config.indicators is None else config.path(config.indicators))
        self._sensors = {} if config.sensors is None else read_sensors(config.path(config.sensors))
        self._signs: Signs | None = None
        self._standing: dict[Key, Standing] | None = None
        self._lock = RLock()
        self._task: asyncio.Task[None] | None = None
        self._stopped = False

    async def start(self) -> None:
        """Begins to watch."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ends, and waits for a look at the log that is under way: the log is closed next."""
        self._stopped = True
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await asyncio.to_thread(self._wait)

    def _wait(self) -> None:
        with self._lock:
            pass

    async def _run(self) -> None:
        number = 0
        while True:
            try:
                now = time_ns() // 1_000_000
                tick = now // _TICK_MS * _TICK_MS
                if self.definitions.alarms:
                    await self.tell(tick)
                if number % _FORGET_EVERY == 0:
                    await asyncio.to_thread(self.forget, tick)
            except (TwinError, LiveBusyError) as error:
                _log.error("indicators are not watched just now: %s", error)
            number += 1
            await asyncio.sleep((_TICK_MS - time_ns() // 1_000_000 % _TICK_MS) / 1000 + _SETTLED_S)

    async def tell(self, tick_ms: int) -> int:
        """Reports what crossed a threshold by a tick; how many reports.

        Raises:
            StoreError: They were not written; the next tick tells them.
            LiveBusyError: As well.
        """
        reports, after = await asyncio.to_thread(self._crossings, tick_ms)
        if reports:
            await self._live.keep(reports)
        self._standing = after
        return len(reports)

    def _crossings(self, tick_ms: int) -> tuple[list[tuple[Report, Link]], dict[Key, Standing]]:
        with self._lock:
            signs = self.current()
            if self._stopped:
                return [], self._standing or {}
            if self._standing is None:
                known, _ = self._live.store.state(Filter(sources=frozenset({SOURCE})))
                self._standing = standing(known)
            return crossings(signs, tick_ms, self._standing)

    def forget(self, now_ms: int) -> None:
        """Gives up what no answer of the running state needs any more."""
        self.current().forget(now_ms)

    def current(self) -> Signs:
        """The state with everything that is in the log, on the ground of what is served.

        Raises:
            StoreError: The log cannot be read.
        """
        with self._lock:
            ground = self._ground()
            if self._signs is None:
                self._signs = Signs(self.definitions, ground, self._sensors)
            elif self._signs.ground is not ground:
                self._signs.relocate(ground)
            self._follow(self._signs)
            return self._signs

    def _ground(self) -> Ground:
        with self._releases.reading() as release:
            if self._signs is not None and self._signs.ground.mark == release.id:
                return self._signs.ground
            to_xy = None if release.projection is None else release.projection.to_xy
            return Ground.of(release.index, to_xy, release.id)

    def _follow(self, signs: Signs) -> None:
        while not self._stopped and (rows := self._live.store.after(signs.last, _PAGE)):
            signs.take(rows)

    def at(self, name: str, first_ms: int, last_ms: int, as_of_ms: int) -> Signs:
        """A state that answers for moments: the running one, or one made of the log where they lie before its reach.

        Raises:
            StoreError: The log cannot be read.
            TooFarError: More reports than `MOST_READ` would have to be read.
        """
        signs = self.current()
        if min(first_ms, as_of_ms) >= signs.exact_from(name):
            return signs
        past = Signs(self.definitions, signs.ground, self._sensors)
        past.take(self._log_of(name, first_ms, last_ms, as_of_ms))
        return past

    def _log_of(self, name: str, first_ms: int, last_ms: int, as_of_ms: int) -> list[Stored]:
        """What one indicator needs of the log, in its order."""
        one = self.definitions.by_id[name]
        usual = one.baseline.step_ms * (one.baseline.points + 1) if one.baseline else 0
        since = first_ms - one.lookback_ms - max(one.every_ms * (one.ticks + 1), usual)
        wanted = Filter(
            kinds=frozenset(kind for term in one.terms.values() for kind in term.kinds),
            since_ms=None if one.uses("cases") else since,
            until_ms=last_ms + 1,
            as_of_ms=as_of_ms,
        )
        found: list[Stored] = []
        before = None
        while page := self._live.store.select(wanted, _PAGE, before):
            found += page
            before = page[-1].offset
            if len(found) > MOST_READ:
                raise TooFarError
        return sorted(found, key=lambda each: each.offset)


MOST_READ = 500_000
"""Reports read for one question about a moment that the running state does not reach."""


class TooFarError(Exception):
    """A question about the past would have to read more than `MOST_READ` reports."""
