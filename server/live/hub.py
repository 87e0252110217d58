"""Fans new reports out to many clients of one process, each with its own filter, from the one ordered log.

The store is the truth: the hub follows it by offset, whoever wrote. A report published by this process goes out at
once where it is the next one of the log; otherwise (another process wrote in between, a gap) the hub reads the log. So
several processes share one stream without speaking to each other: PostgreSQL wakes them by NOTIFY, SQLite is looked at.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache

import orjson

from server.live.channel import Channel, Counts, HubLimits, Page
from server.live.parcel import Encode, Item, Reports
from server.live.select import Match, Selection, matcher
from server.live.subscription import Subscription
from twin.errors import TwinError
from twin.live.model import EventStore, Filter, Stored

_log = logging.getLogger(__name__)


class Hub:
    """The fan-out of one process. All methods but `publish` belong to the event loop.

    Attributes:
        position: Offset of the last report that went out.
        epoch: Of the store.
        limits: Bounds.
        counts: What it has done.
        encode: Writes a report as it is sent.
    """

    def __init__(self, store: EventStore, encode: Encode, limits: HubLimits | None = None) -> None:
        """A hub that is not running yet.

        Args:
            store: The log.
            encode: Writes a report as it is sent; called once a report.
            limits: Bounds.
        """
        self.limits = limits or HubLimits()
        self.counts = Counts()
        self.epoch = store.epoch
        self.position = 0
        self._tail = 0  # of the log, as far as it was taken; `position` follows with the next round
        self._store = store
        self.encode = encode
        self._channels: dict[Selection, Channel] = {}
        self._everybody: dict[Subscription, None] = {}
        self._recent: deque[Item] = deque(maxlen=self.limits.recent)
        self._outgoing: list[Item] = []
        self._flushing: asyncio.TimerHandle | None = None
        self._flushed = 0.0
        self._wanted = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop_listening: Callable[[], None] | None = None
        self._matcher = lru_cache(maxsize=1024)(matcher)

    @property
    def clients(self) -> int:
        """How many are subscribed."""
        return len(self._everybody)

    @property
    def full(self) -> bool:
        """True where another client would be one too many."""
        return self.clients >= self.limits.clients

    @property
    def running(self) -> bool:
        """True between `start` and `close`."""
        return self._loop is not None

    def match(self, selection: Selection) -> Match:
        """The question a selection asks of a report, made once."""
        return self._matcher(selection)

    def time(self) -> float:
        """Time of the event loop, seconds."""
        return 0.0 if self._loop is None else self._loop.time()

    async def start(self) -> None:
        """Begins at the end of the log and follows it."""
        self._loop = asyncio.get_running_loop()
        self.position = self._tail = await asyncio.to_thread(self._store.last)
        self._stop_listening = await asyncio.to_thread(self._store.listen, self._woken)
        self._tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._pulse())]

    def close(self) -> None:
        """Ends every stream; clients come back and resume. Safe to call twice."""
        for task in self._tasks:
            task.cancel()
        self._tasks = []
        if self._flushing is not None:
            self._flushing.cancel()
            self._flush()
        for one in list(self._everybody):
            one.close()
        if self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None
        self._loop = None

    def publish(self, stored: Sequence[Stored]) -> None:
        """Takes reports that are durable by now; from any thread."""
        loop = self._loop
        if loop is None or not stored:
            return
        try:
            inside = asyncio.get_running_loop() is loop
        except RuntimeError:
            inside = False
        if inside:
            self._take(stored)
        else:
            loop.call_soon_threadsafe(self._take, stored)

    def subscribe(
        self, wanted: Filter | Selection | None = None, after: int | str | None = None, patient: bool = False
    ) -> Subscription:
        """A client that is told everything it wants after a position.

        Args:
            wanted: Which reports; None: all.
            after: Offset, or `epoch-offset` as the stream writes it; None: from now on.
            patient: It wants all of it, however far behind it is.
        """
        selection = wanted if isinstance(wanted, Selection) else Selection(wanted or Filter())
        position, problem = self._resolve(after, patient)
        made = Subscription(self, selection, position, problem)
        self._everybody[made] = None
        self.counts.subscribed += 1
        if not self.running:
            made.close()
        return made

    def _resolve(self, after: int | str | None, patient: bool) -> tuple[int, str | None]:
        """Where a client goes on, and why it cannot."""
        if after is None:
            return self.position, None
        epoch, offset = (self.epoch, after) if isinstance(after, int) else read_position(after)
        if offset is None:
            return self.position, "unknown_position"
        if epoch != self.epoch:
            return self.position, "unknown_epoch"
        if self._tail - offset > self.limits.replay and not patient:
            return self.position, "far_behind"
        return offset, None

    def join(self, one: Subscription) -> Channel:
        """Hangs a client that has caught up on the live stream."""
        channel = self._channels.get(one.selection)
        if channel is None:
            channel = self._channels[one.selection] = Channel(self.match(one.selection))
        channel.members[one] = None
        return channel

    def leave(self, one: Subscription, channel: Channel | None) -> None:
        """Takes a client off."""
        self._everybody.pop(one, None)
        if channel is not None:
            channel.members.pop(one, None)
            if not channel.members:
                self._channels.pop(one.selection, None)

    async def ahead(self, position: int) -> bool:
        """True for a position no report has reached yet; the store is asked, which may know more than has gone out."""
        return position > self._tail and position > await asyncio.to_thread(self._store.last)

    async def page(self, after: int) -> Page:
        """The next stretch of the log, not beyond what has gone out: from memory where it is there, else read."""
        upto = self.position
        if self._recent and self._recent[0].offset <= after + 1:
            items = [item for item in self._recent if after < item.offset <= upto]
            return Page(items, upto)
        return await asyncio.to_thread(self._read, after, upto)

    def _read(self, after: int, upto: int) -> Page:
        rows = self._store.after(after, self.limits.page)
        if after + 1 < self._store.first():  # asked after reading: what was given up meanwhile is noticed
            return Page((), after, expired=True)
        items = [Item(stored, self.encode) for stored in rows if stored.offset <= upto]
        whole = len(rows) < self.limits.page or len(items) < len(rows)
        return Page(items, upto if whole else items[-1].offset)

    def _take(self, stored: Sequence[Stored]) -> None:
        """Takes what follows the tail without a gap; leaves anything else to the log."""
        fresh = [one for one in stored if one.offset > self._tail]
        if not fresh:
            return
        first, last = fresh[0].offset, fresh[-1].offset
        if first == self._tail + 1 and last - first == len(fresh) - 1:
            self._advance(fresh)
        else:
            self._wanted.set()

    def _advance(self, fresh: Sequence[Stored]) -> None:
        """Puts reports into the next round to the clients."""
        self._outgoing.extend(Item(stored, self.encode) for stored in fresh)
        self._tail = fresh[-1].offset
        self.counts.published += len(fresh)
        if self._flushing is None and self._loop is not None:
            wait = self._flushed + self.limits.linger_s - self._loop.time()
            if wait <= 0:
                self._flush()
            else:
                self._flushing = self._loop.call_later(wait, self._flush)

    def _flush(self) -> None:
        """One round: every channel is asked once, every parcel made once."""
        items, self._outgoing = self._outgoing, []
        self._flushing = None
        self._flushed = self.time()
        if not items:
            return
        self._recent.extend(items)
        self.position = items[-1].offset
        for channel in self._channels.values():
            match = channel.match
            passing = [item for item in items if match(item.stored)]
            if passing:
                parcel = Reports(passing, self.position)
                for one in channel.members:
                    one.push(parcel)

    def _woken(self) -> None:
        """Called from the store's listening thread."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._wanted.set)

    async def _follow(self) -> None:
        """Reads the log whenever it may hold more than was published here."""
        while True:
            asked = await self._asked()
            try:
                if asked or await asyncio.to_thread(self._store.last) > self._tail:
                    await self._catch_up()
            except TwinError as error:
                _log.error("the events cannot be read; the stream waits: %s", error)
                await asyncio.sleep(1.0)

    async def _asked(self) -> bool:
        """Waits to be woken, or for the next look; whether it was woken."""
        try:
            await asyncio.wait_for(self._wanted.wait(), self.limits.poll_s)
        except TimeoutError:
            return False
        self._wanted.clear()
        return True

    async def _catch_up(self) -> None:
        while True:
            rows = await asyncio.to_thread(self._store.after, self._tail, self.limits.page)
            fresh = [one for one in rows if one.offset > self._tail]
            if fresh:
                self._advance(fresh)
            if len(rows) < self.limits.page:
                return

    async def _pulse(self) -> None:
        """Tells the position to those who were told nothing for a while; ten slices an interval spread the work."""
        step = self.limits.heartbeat_s / 10
        while True:
            await asyncio.sleep(step)
            before = self.time() - self.limits.heartbeat_s + step
            for one in list(self._everybody):
                one.beat(self.position, before)


def write_position(epoch: str, offset: int) -> str:
    """A position as clients keep it."""
    return f"{epoch}-{offset}"


def read_position(text: str) -> tuple[str, int | None]:
    """Epoch and offset of a position; no offset where it is none."""
    epoch, _, digits = text.strip().rpartition("-")
    return (epoch, int(digits)) if epoch and digits.isascii() and digits.isdigit() and len(digits) < 19 else ("", None)


def cloudevent_bytes(url: str) -> Encode:
    """Writes reports as CloudEvents; `url` is the address below which they are found."""
    from twin.live.cloudevents import to_cloudevent

    return lambda stored: orjson.dumps(to_cloudevent(stored, url))
