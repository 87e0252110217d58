"""Plays an export of events as it happened, at any speed: to a server, or into the store beside the project."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import httpx
import orjson

from twin.errors import MisuseError, TwinError
from twin.live.cloudevents import to_cloudevent
from twin.live.link import Linker
from twin.live.model import EventStore, Report
from twin.live.refusals import Refused

_AT_ONCE = 1000
_LONGEST_NAP_S = 1.0
_ATTEMPTS = 8
_WAIT_S = 0.5
_REASONS = 10


class SendError(TwinError):
    """The server did not take what was sent."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of events.

    Attributes:
        taken, known, refused: How many.
        reasons: Why, of the first that were refused.
    """

    taken: int = 0
    known: int = 0
    refused: int = 0
    reasons: tuple[str, ...] = ()

    def __add__(self, other: Sent) -> Sent:
        reasons = (*self.reasons, *other.reasons)[:_REASONS]
        return Sent(self.taken + other.taken, self.known + other.known, self.refused + other.refused, reasons)


class Target(Protocol):
    """Where events are played to."""

    def send(self, reports: Sequence[Report]) -> Sent:
        """Sends reports; they are on disk when it returns."""

    def refuse(self, refused: Sequence[Refused]) -> Sent:
        """Hands on rows that are no reports."""


class Server:
    """A server of this project.

    Args:
        client: Speaks to it; its base address is that of the server.
        key: Of somebody who may write.
        sleep: Waits.
    """

    def __init__(self, client: httpx.Client, key: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/cloudevents-batch+json"}
        self._sleep = sleep

    def send(self, reports: Sequence[Report]) -> Sent:
        """Sends a batch, again where the server is away or busy: it takes nothing twice.

        Raises:
            SendError: The server refuses the batch, or does not come back.
        """
        body = orjson.dumps([to_cloudevent(report) for report in reports])
        for attempt in range(_ATTEMPTS):
            try:
                answer = self._client.post("events", content=body, headers=self._headers)
            except httpx.TransportError as error:
                wait, what = _WAIT_S * 2**attempt, str(error) or type(error).__name__
            else:
                if answer.status_code == 200:
                    return _sent(answer.json())
                what = _problem(answer)
                if answer.status_code not in (429, 503):
                    raise SendError(f"the server refuses the events: {what}", next_step=_step(answer.status_code))
                wait = _later(answer, _WAIT_S * 2**attempt)
            self._sleep(wait)
        raise SendError(f"the server does not take the events: {what}", next_step="look at its log and try again")

    def refuse(self, refused: Sequence[Refused]) -> Sent:
        """Counts rows that are no reports; they stay with whoever plays them."""
        return _refused(refused)


class Local:
    """The store of the project, without a server.

    Args:
        store: Open.
        linker: Ties reports to entities.
        clock: Milliseconds since 1970.
    """

    def __init__(self, store: EventStore, linker: Linker, clock: Callable[[], int]) -> None:
        self._store = store
        self._linker = linker
        self._clock = clock

    def send(self, reports: Sequence[Report]) -> Sent:
        """Links and keeps a batch.

        Raises:
            StoreError: It cannot be written.
        """
        links = self._linker.link(reports)
        fresh = sum(self._store.append(list(zip(reports, links, strict=True))).fresh)
        return Sent(fresh, len(reports) - fresh)

    def refuse(self, refused: Sequence[Refused]) -> Sent:
        """Keeps rows that are no reports in the list of refusals."""
        if refused:
            self._store.refuse([one.refusal(self._clock(), source="replay") for one in refused])
        return _refused(refused)


def play(
    rows: Sequence[Report | Refused],
    target: Target,
    speed: float = 0.0,
    from_now: bool = False,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Sent]:
    """Sends reports in the order in which they happened.

    Args:
        rows: What a file holds.
        target: Where to.
        speed: So many times as fast as it happened; 0: as fast as the target takes them.
        from_now: The first happens now; ids and cases are new, so that the same day can be played again.
        clock: Seconds since 1970.
        sleep: Waits.

    Yields:
        What became of each batch.

    Raises:
        MisuseError: The speed is negative.
        SendError, StoreError: As the target.
    """
    if speed < 0:
        raise MisuseError("the speed is negative", next_step="write --speed 60, or 0 for as fast as it goes")
    yield target.refuse([row for row in rows if isinstance(row, Refused)])
    reports = sorted((row for row in rows if isinstance(row, Report)), key=lambda one: one.occurred_ms)
    if not reports:
        return
    begin, first = clock(), reports[0].occurred_ms
    shifted = [_anchored(one, first, begin, speed) for one in reports] if from_now else reports
    due = [begin + (one.occurred_ms - first) / 1000 / speed if speed else begin for one in reports]
    at = 0
    while at < len(reports):
        now = clock()
        end = at
        while end < len(reports) and end - at < _AT_ONCE and due[end] <= now:
            end += 1
        if end == at:
            sleep(min(_LONGEST_NAP_S, due[at] - now))
            continue
        yield target.send(shifted[at:end])
        at = end


def _anchored(report: Report, first: int, begin: float, speed: float) -> Report:
    """The report as if the first had happened at `begin`; its other times keep their distance from its own."""
    start = int(begin * 1000)
    occurred = start + int((report.occurred_ms - first) / (speed or 1.0))
    shift = occurred - report.occurred_ms
    return replace(
        report,
        id=f"{report.id}@{start}",
        case=f"{report.case}@{start}",
        occurred_ms=occurred,
        reported_ms=None if report.reported_ms is None else min(occurred, report.reported_ms + shift),
        due_ms=None if report.due_ms is None else report.due_ms + shift,
    )


def _sent(answer: dict[str, Any]) -> Sent:
    reasons = [f"{row['code']}: {row['reason']}" for row in answer["rows"] if "refusal" in row]
    return Sent(answer["taken"], answer["known"], answer["refused"], tuple(reasons[:_REASONS]))


def _refused(refused: Sequence[Refused]) -> Sent:
    return Sent(refused=len(refused), reasons=tuple(f"{one.code}: {one.reason}" for one in refused[:_REASONS]))


def _problem(answer: httpx.Response) -> str:
    try:
        told = answer.json()
    except ValueError:
        return f"status {answer.status_code}"
    return str(told.get("detail", answer.status_code)) if isinstance(told, dict) else f"status {answer.status_code}"


def _step(status: int) -> str:
    if status in (401, 403):
        return "set TWIN_KEY to a key that may write these events; `twin key new` makes one"
    return "see docs/events-in.md"


def _later(answer: httpx.Response, otherwise: float) -> float:
    told = answer.headers.get("retry-after", "")
    return float(told) if told.isdecimal() else otherwise
