"""The one object through which every event goes: read, linked, written for good, and only then answered and told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from time import time
from typing import Any, Protocol

from twin.errors import StoreError
from twin.live.model import EventStore, Link, Refusal, Report, Stored

_log = logging.getLogger(__name__)
_MOST_AT_ONCE = 20_000
_MOST_WAITING = 200_000


class Publisher(Protocol):
    """Who tells the listeners."""

    def publish(self, stored: Sequence[Stored]) -> None:
        """Hands on reports that are on disk, in the order of their offsets; called on the event loop."""


class Guard(Protocol):
    """What a sender may send."""

    def refuses(self, report: Report, link: Link) -> str | None:
        """Why it may not send this report, linked like this; None where it may."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one event.

    Attributes:
        offset: Of the report in the store; None where it was refused.
        fresh: False where the store had it already.
        link: What it was tied to.
        refusal: Why it was refused, as it stands in the list of refusals.
    """

    offset: int | None = None
    fresh: bool = False
    link: Link | None = None
    refusal: Refusal | None = None


class LiveBusyError(Exception):
    """More events wait to be written than memory should hold: send again later."""


#: Reads bodies: a report, or the refusal (not yet numbered), row for row.
Read = Callable[[Sequence[Any], str], Sequence[Report | Refusal]]
#: Ties reports to entities, row for row.
Tie = Callable[[Sequence[Report]], Sequence[Link]]


@dataclass(frozen=True, slots=True)
class _Batch:
    bodies: Sequence[Any]
    way: str
    guard: Guard | None
    read: Read
    done: asyncio.Future[list[Outcome]]


class Live:
    """Takes events in and keeps them.

    What arrives while a write is under way is written together in the next one: one transaction, one flush of the disk,
    however many senders wait for it.

    Args:
        store: Where events are kept; closed by `stop`.
        read: Reads CloudEvents.
        tie: Links reports.
        hub: Who tells the listeners.

    Attributes:
        store: Where events are kept.
        hub: Who tells the listeners.
        counts: Events of this process by result: `taken`, `known`, `refused`, `failed`.
    """

    def __init__(self, store: EventStore, read: Read, tie: Tie, hub: Publisher) -> None:
        self.store = store
        self.hub = hub
        self.counts = {"taken": 0, "known": 0, "refused": 0, "failed": 0}
        self._read = read
        self._tie = tie
        self._waiting: list[_Batch] = []
        self._rows = 0
        self._wake: asyncio.Event | None = None
        self._writer: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "live-writer")

    async def start(self) -> None:
        """Begins to write; events that came before wait."""
        self._wake = asyncio.Event()
        self._wake.set()
        self._writer = asyncio.create_task(self._write_on())

    async def stop(self) -> None:
        """Writes what waits, then closes the store."""
        if self._writer is not None and self._wake is not None:
            writer = self._writer
            self._writer = None
            self._wake.set()
            await writer
        self._thread.shutdown()
        self.store.close()

    async def take(
        self, bodies: Sequence[Any], guard: Guard | None = None, way: str = "http", read: Read | None = None
    ) -> list[Outcome]:
        """Takes events in; they are on disk when it returns.

        Args:
            bodies: Events as JSON values; one that is no event is refused by itself.
            guard: What the sender may send; None: everything.
            way: How they came in; stands as the source of a refusal whose source is not known.
            read: Reads the bodies, where they are no CloudEvents.

        Returns:
            What became of each, row for row.

        Raises:
            LiveBusyError: Too much waits already; nothing was taken.
            StoreError: Nothing was written.
        """
        if not bodies:
            return []
        if self._rows and self._rows + len(bodies) > _MOST_WAITING:
            raise LiveBusyError
        batch = _Batch(bodies, way, guard, read or self._read, asyncio.get_running_loop().create_future())
        self._waiting.append(batch)
        self._rows += len(bodies)
        if self._wake is not None:
            self._wake.set()
        return await batch.done

    async def _write_on(self) -> None:
        """Writes until told to stop and nothing waits."""
        assert self._wake is not None
        loop = asyncio.get_running_loop()
        while self._waiting or self._writer is not None:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            batches = self._next()
            try:
                outcomes, fresh = await loop.run_in_executor(self._thread, self._write, batches)
            except StoreError as error:
                _log.error("events were not written: %s", error)
                self._fail(batches, error)
                continue
            self._answer(batches, outcomes)
            if fresh:
                self.hub.publish(fresh)

    def _next(self) -> list[_Batch]:
        """The batches of the next transaction, in the order they came: at least one, not more rows than is wise."""
        count, rows = 0, 0
        for batch in self._waiting:
            if count and rows + len(batch.bodies) > _MOST_AT_ONCE:
                break
            count, rows = count + 1, rows + len(batch.bodies)
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        self._rows -= rows
        return taken

    def _fail(self, batches: Sequence[_Batch], error: StoreError) -> None:
        for batch in batches:
            self.counts["failed"] += len(batch.bodies)
            if not batch.done.done():
                batch.done.set_exception(error)

    def _answer(self, batches: Sequence[_Batch], outcomes: Sequence[list[Outcome]]) -> None:
        for batch, told in zip(batches, outcomes, strict=True):
            for one in told:
                self.counts["refused" if one.refusal else "taken" if one.fresh else "known"] += 1
            if not batch.done.done():  # else the sender has gone; what it sent is kept
                batch.done.set_result(told)

    def _write(self, batches: Sequence[_Batch]) -> tuple[list[list[Outcome]], Sequence[Stored]]:
        """In the writer's thread: reads, ties and writes batches, in one transaction.

        Raises:
            StoreError: Nothing was written.
        """
        read = [one for batch in batches for one in batch.read(batch.bodies, batch.way)]
        guards = [batch.guard for batch in batches for _ in batch.bodies]
        rows = [row for row, one in enumerate(read) if isinstance(one, Report)]
        reports = [one for one in read if isinstance(one, Report)]
        links = self._tie(reports)
        outcomes: list[Outcome] = [Outcome(refusal=one) if isinstance(one, Refusal) else Outcome() for one in read]
        for row, report, link in zip(rows, reports, links, strict=True):
            guard = guards[row]
            reason = None if guard is None else guard.refuses(report, link)
            outcomes[row] = Outcome(link=link) if reason is None else Outcome(refusal=_forbidden(report, reason))
        kept = [
            (row, report, link)
            for row, report, link in zip(rows, reports, links, strict=True)
            if outcomes[row].refusal is None
        ]
        fresh = self._keep(kept, outcomes)
        self._refuse(outcomes)
        parts, begin = [], 0
        for batch in batches:
            parts.append(outcomes[begin : begin + len(batch.bodies)])
            begin += len(batch.bodies)
        return parts, fresh

    def _keep(self, kept: Sequence[tuple[int, Report, Link]], outcomes: list[Outcome]) -> Sequence[Stored]:
        """Appends reports, notes their offsets, and gives those that are new as they lie in the store."""
        if not kept:
            return ()
        appended = self.store.append([(report, link) for _, report, link in kept])
        for (row, _, link), offset, is_fresh in zip(kept, appended.offsets, appended.fresh, strict=True):
            outcomes[row] = Outcome(offset, is_fresh, link)
        offsets = {offset for offset, is_fresh in zip(appended.offsets, appended.fresh, strict=True) if is_fresh}
        if not offsets:
            return ()
        first = min(offsets)
        return [one for one in self.store.after(first - 1, appended.last - first + 1) if one.offset in offsets]

    def _refuse(self, outcomes: list[Outcome]) -> None:
        rows = [row for row, one in enumerate(outcomes) if one.refusal is not None]
        refusals = [one.refusal for one in outcomes if one.refusal is not None]
        if not refusals:
            return
        for row, refusal, number in zip(rows, refusals, self.store.refuse(refusals), strict=True):
            outcomes[row] = Outcome(refusal=replace(refusal, number=number))


def _forbidden(report: Report, reason: str) -> Refusal:
    return Refusal(0, int(time() * 1000), report.source, "not_permitted", reason, "")
