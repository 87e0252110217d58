"""One client of the hub: first what it missed, read from the store at its own pace, then what is new, bounded.

The change from one to the other happens between two steps of the event loop, so nothing falls between them and
nothing is told twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Protocol

from server.live.channel import Channel, Counts, HubLimits, Page
from server.live.parcel import Beat, Delivery, Reports, Resync
from server.live.select import Match, Selection


class Source(Protocol):
    """What a client needs of its hub."""

    limits: HubLimits
    counts: Counts
    position: int

    def match(self, selection: Selection) -> Match:
        """The question a selection asks of a report."""

    def time(self) -> float:
        """Time of the event loop, seconds."""

    async def ahead(self, position: int) -> bool:
        """True for a position no report has reached yet."""

    async def page(self, after: int) -> Page:
        """The next stretch of the log."""

    def join(self, one: Subscription) -> Channel:
        """Hangs a client on the live stream."""

    def leave(self, one: Subscription, channel: Channel | None) -> None:
        """Takes a client off."""


class Subscription:
    """An asynchronous iterator over deliveries; used as a context manager, it leaves the hub at the end.

    Attributes:
        selection: What it wants.
        position: Offset up to which the client has been given everything it wants.
        idle_since: Loop time of the last delivery taken.
    """

    __slots__ = (
        "_bytes",
        "_channel",
        "_closed",
        "_hub",
        "_pending",
        "_problem",
        "_queued",
        "_waiter",
        "idle_since",
        "position",
        "selection",
    )

    def __init__(self, hub: Source, selection: Selection, position: int, problem: str | None) -> None:
        self.selection = selection
        self.position = position
        self.idle_since = asyncio.get_running_loop().time()
        self._hub = hub
        self._problem = problem
        self._channel: Channel | None = None
        self._closed = False
        self._waiter: asyncio.Future[None] | None = None
        self._pending: deque[Delivery] = deque()
        self._queued = 0
        self._bytes = 0

    def __aiter__(self) -> AsyncIterator[Delivery]:
        return self

    async def __anext__(self) -> Delivery:
        """The next delivery; ends when the hub or the client closes."""
        while True:
            if self._pending:
                return self._take()
            if self._closed:
                raise StopAsyncIteration
            if self._channel is not None:
                await self._wait()
            elif (told := await self._missed()) is not None:
                return told

    def ready(self) -> list[Delivery]:
        """What lies waiting, without waiting: a client that was busy takes everything in one step."""
        told = []
        while self._pending:
            told.append(self._take())
        return told

    def close(self) -> None:
        """Leaves the hub; whoever iterates comes to the end."""
        if not self._closed:
            self._closed = True
            self._hub.leave(self, self._channel)
            self._channel = None
        self._wake()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def push(self, parcel: Reports) -> None:
        """Puts reports into the queue; drops it and asks for a resync where it would grow beyond its bounds."""
        if parcel.items[0].offset <= self.position:  # it had read further than the hub had told by then
            parcel = Reports([item for item in parcel.items if item.offset > self.position], parcel.position)
            if not parcel.items:
                return
        limits = self._hub.limits
        self._queued += len(parcel.items)
        self._bytes += parcel.size
        if self._queued > limits.queue_reports or self._bytes > limits.queue_bytes:
            self._hub.counts.dropped += self._queued
            self._forget()
            self._resync("slow", parcel.position)
        else:
            self._pending.append(parcel)
        self._wake()

    def beat(self, position: int, before: float) -> None:
        """Tells the position to a client that has nothing waiting and was told nothing since `before` (loop time)."""
        if self._channel is not None and not self._pending and self.idle_since <= before:
            self._pending.append(Beat(position))
            self._wake()

    @property
    def stuck(self) -> bool:
        """True where something waits to be taken."""
        return bool(self._pending)

    def _take(self) -> Delivery:
        told = self._pending.popleft()
        self.position = max(self.position, told.position)
        self.idle_since = self._hub.time()
        if isinstance(told, Reports):
            self._queued -= len(told.items)
            self._bytes -= told.size
            self._hub.counts.delivered += len(told.items)
        return told

    def _forget(self) -> None:
        self._pending.clear()
        self._queued = self._bytes = 0

    def _resync(self, reason: str, position: int) -> None:
        self._hub.counts.resyncs[reason] += 1
        self._pending.append(Resync(reason, position))

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _missed(self) -> Delivery | None:
        """One page of what the client missed; None once it has caught up and hangs on the hub."""
        hub = self._hub
        if self._problem is None and self.position > hub.position and await hub.ahead(self.position):
            self._problem = "unknown_position"
        if self._problem is None and self.position < hub.position:
            page = await hub.page(self.position)
            if page.expired:
                self._problem = "expired"
            else:
                match = hub.match(self.selection)
                found = [item for item in page.items if match(item.stored)]
                self.position = page.position
                return Reports(found, page.position) if found else None
        if not self._closed:
            self._attach()
        return None

    def _attach(self) -> None:
        """Joins the live stream. No `await` lies between the look at the hub's position and this."""
        if self._problem is not None:
            self.position = self._hub.position
            self._resync(self._problem, self.position)
            self._problem = None
        self._channel = self._hub.join(self)
