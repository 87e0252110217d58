"""The one object through which every event goes: read, linked, written for good, and only then answered and told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from time import time_ns
from typing import Any, Protocol

import orjson

from server.live.credentials import EVERYTHING, Areas, Gate, Grant
from server.live.hub import Hub
from twin.errors import StoreError
from twin.live.config import LiveConfig
from twin.live.kinds import Kinds
from twin.live.model import EventStore, Link, Refusal, Report, Stored
from twin.live.refusals import Refused

_log = logging.getLogger(__name__)
_MOST_AT_ONCE = 20_000
_MOST_WAITING = 200_000
#: Under load a write waits this long for more to come, seconds; the first after a pause does not.
_LINGER_S = 0.004
#: Events that are worth a write at once.
_ENOUGH = 500


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

    @property
    def word(self) -> str:
        """`refused`, `taken` or `known`."""
        return "refused" if self.refusal else "taken" if self.fresh else "known"


class LiveBusyError(Exception):
    """More events wait to be written than memory should hold: send again later."""


#: What a body turns out to be.
Row = Report | Refused
#: Reads bodies, row for row.
Read = Callable[[Sequence[Any]], Sequence[Row]]


class Feed(Protocol):
    """A way in that the server goes to fetch from."""

    async def start(self) -> None:
        """Begins to bring events in."""

    async def stop(self) -> None:
        """Ends; what was fetched and not written will be fetched again."""


class Tie(Areas, Protocol):
    """Ties reports to entities."""

    def __call__(self, reports: Sequence[Report]) -> Sequence[Link]:
        """The link of each, row for row."""

    def forget(self) -> None:
        """What people taught is read again before the next report is linked."""

    def find(self, text: str) -> str | None:
        """The canonical identifier of an entity that is served; None where there is none."""

    def drawn(self, report: Report, link: Link) -> Link:
        """A link with the place where it is drawn: what the report states, else that of the entity."""


@dataclass(frozen=True, slots=True)
class _Batch:
    bodies: Sequence[Any]
    way: str
    grant: Grant
    read: Read
    tied: Sequence[Link] | None
    done: asyncio.Future[list[Outcome]]


class Live:
    """Takes events in and keeps them.

    What arrives while a write is under way is written together in the next one: one transaction, one flush of the disk,
    however many senders wait for it.

    Args:
        store: Where events are kept; closed by `stop`.
        read: Reads CloudEvents.
        tie: Links reports.
        hub: Who tells the listeners; started and closed with it.
        gate: Who may send and read.
        config: `[live]` of the project.
        kinds: The kinds of events.

    Attributes:
        store, tie, hub, gate, config, kinds: As given.
        feeds: What brings events in besides HTTP; started and stopped with it.
        counts: Events of this process by result: `taken`, `known`, `refused`, `failed`.
    """

    def __init__(
        self, store: EventStore, read: Read, tie: Tie, hub: Hub, gate: Gate, config: LiveConfig, kinds: Kinds
    ) -> None:
        self.store = store
        self.tie = tie
        self.hub = hub
        self.gate = gate
        self.config = config
        self.kinds = kinds
        self.feeds: list[Feed] = []
        self.counts = {"taken": 0, "known": 0, "refused": 0, "failed": 0}
        self._read = read
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
        await self.hub.start()
        for feed in self.feeds:
            await feed.start()

    async def stop(self) -> None:
        """Ends the feeds, writes what waits, tells it, then closes the store."""
        for feed in self.feeds:
            await feed.stop()
        if self._writer is not None and self._wake is not None:
            writer = self._writer
            self._writer = None
            self._wake.set()
            await writer
        self._thread.shutdown()
        self.hub.close()
        self.store.close()

    async def take(
        self, bodies: Sequence[Any], grant: Grant = EVERYTHING, way: str = "http", read: Read | None = None
    ) -> list[Outcome]:
        """Takes events in; they are on disk when it returns.

        Args:
            bodies: Events as JSON values; one that is no event is refused by itself.
            grant: What the sender may send.
            way: How they came in; stands as the source of a refusal whose source is not known.
            read: Reads the bodies, where they are no CloudEvents.

        Returns:
            What became of each, row for row.

        Raises:
            LiveBusyError: Too much waits already; nothing was taken.
            StoreError: Nothing was written.
        """
        return await self._wait_for(bodies, way, grant, read or self._read, None)

    async def keep(self, pairs: Sequence[tuple[Report, Link]]) -> list[Outcome]:
        """Takes reports in that the server itself makes, linked already; they are on disk when it returns.

        Raises:
            LiveBusyError: As `take`.
            StoreError: Nothing was written.
        """
        links = [link for _, link in pairs]
        return await self._wait_for([report for report, _ in pairs], "server", EVERYTHING, list, links)

    async def _wait_for(
        self, bodies: Sequence[Any], way: str, grant: Grant, read: Read, tied: Sequence[Link] | None
    ) -> list[Outcome]:
        if not bodies:
            return []
        if self._rows and self._rows + len(bodies) > _MOST_WAITING:
            raise LiveBusyError
        batch = _Batch(bodies, way, grant, read, tied, asyncio.get_running_loop().create_future())
        self._waiting.append(batch)
        self._rows += len(bodies)
        if self._wake is not None:
            self._wake.set()
        return await batch.done

    async def _write_on(self) -> None:
        """Writes until told to stop and nothing waits."""
        assert self._wake is not None
        loop = asyncio.get_running_loop()
        written = 0.0
        while self._waiting or self._writer is not None:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            if self._rows < _ENOUGH and loop.time() - written < _LINGER_S:
                await asyncio.sleep(_LINGER_S)
            batches = self._next()
            try:
                outcomes, fresh = await loop.run_in_executor(self._thread, self._write, batches)
            except StoreError as error:
                _log.error("events were not written: %s", error)
                self._fail(batches, error)
                continue
            written = loop.time()
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
                self.counts[one.word] += 1
            if not batch.done.done():  # else the sender has gone; what it sent is kept
                batch.done.set_result(told)

    def _write(self, batches: Sequence[_Batch]) -> tuple[list[list[Outcome]], Sequence[Stored]]:
        """In the writer's thread: reads, ties and writes batches, in one transaction.

        Raises:
            StoreError: Nothing was written.
        """
        read = [list(batch.read(batch.bodies)) for batch in batches]
        linked = self._linked(batches, read)
        rows: list[Row] = []
        tied: list[Link | None] = []
        for batch, part in zip(batches, read, strict=True):
            links = [next(linked) if isinstance(row, Report) else None for row in part]
            rows += self._permitted(batch.grant, part, links)
            tied += links
        bodies = [body for batch in batches for body in batch.bodies]
        ways = [batch.way for batch in batches for _ in batch.bodies]
        refused = self._refuse(rows, bodies, ways)
        taken, fresh = self._keep(rows, tied)
        outcomes = iter([refused.get(at) or taken[at] for at in range(len(rows))])
        return [[next(outcomes) for _ in batch.bodies] for batch in batches], fresh

    def _linked(self, batches: Sequence[_Batch], read: Sequence[Sequence[Row]]) -> Iterator[Link]:
        """The links of all reports in their order: those that came with them, or found, all at once."""
        found = iter(
            self.tie(
                [
                    row
                    for batch, part in zip(batches, read, strict=True)
                    if batch.tied is None
                    for row in part
                    if isinstance(row, Report)
                ]
            )
        )
        for batch, part in zip(batches, read, strict=True):
            for at, row in enumerate(part):
                if isinstance(row, Report):
                    yield next(found) if batch.tied is None else batch.tied[at]

    def _permitted(self, grant: Grant, rows: Sequence[Row], tied: Sequence[Link | None]) -> list[Row]:
        """The rows, with a refusal for each that its sender may not send."""
        at = [number for number, row in enumerate(rows) if isinstance(row, Report)]
        reports = [row for row in rows if isinstance(row, Report)]
        links = [link for link in tied if link is not None]
        permitted = list(rows)
        for number, report, reason in zip(at, reports, grant.refusals(reports, links, self.tie), strict=True):
            if reason is not None:
                permitted[number] = Refused("not_permitted", reason, source=report.source)
        return permitted

    def _refuse(self, rows: Sequence[Row], bodies: Sequence[Any], ways: Sequence[str]) -> dict[int, Outcome]:
        """Keeps what is refused, with the reason and what was sent; by row."""
        now = time_ns() // 1_000_000
        refusals = {
            at: row.refusal(now, source=ways[at], body=row.body or body_text(bodies[at]))
            for at, row in enumerate(rows)
            if isinstance(row, Refused)
        }
        if not refusals:
            return {}
        numbers = self.store.refuse(list(refusals.values()))
        return {
            at: Outcome(refusal=replace(refusal, number=number))
            for (at, refusal), number in zip(refusals.items(), numbers, strict=True)
        }

    def _keep(self, rows: Sequence[Row], tied: Sequence[Link | None]) -> tuple[dict[int, Outcome], Sequence[Stored]]:
        """Appends reports; what became of each by row, and those that are new as they lie in the store."""
        kept = {
            at: (row, link)
            for at, (row, link) in enumerate(zip(rows, tied, strict=True))
            if isinstance(row, Report) and link is not None
        }
        if not kept:
            return {}, ()
        appended = self.store.append(list(kept.values()))
        outcomes, new = {}, []
        for (at, (report, link)), offset, fresh in zip(kept.items(), appended.offsets, appended.fresh, strict=True):
            outcomes[at] = Outcome(offset, fresh, link)
            if fresh:
                new.append(Stored(offset, appended.recorded_ms, report, link))
        return outcomes, new


def body_text(body: Any) -> str:
    """What was sent, as text to be mended and sent again; half a surrogate pair is shown escaped."""
    try:
        return orjson.dumps(body).decode()
    except orjson.JSONEncodeError:
        return repr(body)
