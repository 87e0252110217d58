"""The words of the living twin: a report, where it is, what it was linked to, and how it lies in the store.

A **report** is one message from outside (one CloudEvent). Reports with the same `case` tell the life of one thing: a
work order that is created, dispatched, closed. The last report of a case is its state; nothing is ever overwritten.
Times are integers, milliseconds since 1970-01-01T00:00:00Z. Positions are WGS 84 degrees and ellipsoidal metres.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

#: Life cycle of a case, in its usual order; `observed` belongs to measurements and positions.
STATUSES = ("created", "accepted", "dispatched", "handled", "closed", "reopened", "observed")
#: States in which a case still wants something done.
OPEN = frozenset({"created", "accepted", "dispatched", "handled", "reopened"})
#: From a note to a danger to life.
SEVERITIES = ("info", "low", "medium", "high", "critical")
#: How a report found its entity, the surest first; `none` leaves it unlinked.
METHODS = ("person", "geid", "alias", "sensor", "learnt", "address", "contains", "near", "none")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a report says it is, in any of the ways a source knows; all may be missing.

    Attributes:
        geid: Identifier of an entity, in any spelling.
        code: A code of another scheme: `scheme:value`, `source:key` or bare.
        sensor: Identifier of a fixed sensor.
        address: Text.
        lon, lat: Degrees, WGS 84; other systems have been converted by the parser.
        h: Ellipsoidal height, metres; None in 2D.
        accuracy_m: How far the position may be off, metres.
    """

    geid: str | None = None
    code: str | None = None
    sensor: str | None = None
    address: str | None = None
    lon: float | None = None
    lat: float | None = None
    h: float | None = None
    accuracy_m: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """One message about one case.

    Attributes:
        source: Who sends, as a URI reference (CloudEvents `source`).
        id: Of the message, unique within the source: `source` + `id` is told twice only by mistake.
        case: What it is about, unique within the source; the id where the source knows no cases.
        kind: Of the table of kinds, for example `work_order`, `hotline`, `alarm`, `observation`, `position`, `patrol`.
        status: Of `STATUSES`.
        severity: Of `SEVERITIES`.
        title: One line for people.
        occurred_ms: When it was so.
        reported_ms: When it was told to the source.
        due_ms: When it has to be done.
        place: Where.
        value: The number measured, of observations.
        unit: Its unit (UCUM).
        data: Everything else the source said, as JSON.
    """

    source: str
    id: str
    case: str
    kind: str
    status: str
    severity: str
    title: str
    occurred_ms: int
    reported_ms: int | None = None
    due_ms: int | None = None
    place: Place = Place()
    value: float | None = None
    unit: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Link:
    """What a report was tied to, and how sure that is.

    Attributes:
        geid: Canonical identifier of the entity; None where it stays unlinked.
        method: Of `METHODS`.
        confidence: 0 to 1.
        distance_m: From the position given to the entity, where a position decided.
        lon, lat, h: Where it is drawn: the position given, else that of the entity; None where nothing is known.
    """

    geid: str | None = None
    method: str = "none"
    confidence: float = 0.0
    distance_m: float | None = None
    lon: float | None = None
    lat: float | None = None
    h: float | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A report in the store.

    Attributes:
        offset: Its place in the one order of all reports: 1, 2, 3 ... without end, gaps allowed, never used again.
        recorded_ms: When it was recorded; never less than that of the report before, whatever the clock does.
        report, link: The report and what it was tied to.
    """

    offset: int
    recorded_ms: int
    report: Report
    link: Link


@dataclass(frozen=True, slots=True)
class Refusal:
    """A report that was not taken in, to be mended and sent again.

    Attributes:
        number: Its number in the list of refusals; 0 before it is in it.
        recorded_ms: When.
        source: Who sent it, as far as that is known; the way in where it is not.
        code: Reason code.
        reason: One sentence for people: what is wrong and what to do.
        body: What was sent, as text (bytes that are no UTF-8 are escaped).
        mended_by: Offset of the report that took its place, once it was sent again.
    """

    number: int
    recorded_ms: int
    source: str
    code: str
    reason: str
    body: str
    mended_by: int | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which reports are wanted; what is None does not matter. All conditions have to hold.

    Attributes:
        kinds, statuses, severities, sources, geids: One of these.
        box: West, south, east, north, degrees.
        since_ms, until_ms: `occurred_ms` from, and before.
        as_of_ms: Only what had been recorded by then.
        open: True: only cases that are open; False: only those that are not.
        linked: True: only what has an entity; False: only what has none.
        text: Words of title, address or case.
        case: One case, as `source` and `case`.
    """

    kinds: frozenset[str] | None = None
    statuses: frozenset[str] | None = None
    severities: frozenset[str] | None = None
    sources: frozenset[str] | None = None
    geids: frozenset[str] | None = None
    box: tuple[float, float, float, float] | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    as_of_ms: int | None = None
    open: bool | None = None
    linked: bool | None = None
    text: str | None = None
    case: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of a batch.

    Attributes:
        offsets: Offset of every report, row for row; of one that was there already (`source` + `id`) the offset it has.
        fresh: True where the report is new.
        last: Offset of the last report of the store afterwards.
        recorded_ms: When those that are new were recorded.
    """

    offsets: Sequence[int]
    fresh: Sequence[bool]
    last: int
    recorded_ms: int = 0


class EventStore(Protocol):
    """An append-only store of reports. Safe to share by threads; several processes may open one."""

    epoch: str
    """Names this store: a position `epoch-offset` of another epoch means nothing here."""

    def append(self, rows: Sequence[tuple[Report, Link]]) -> Appended:
        """Takes reports in, in one transaction; durable when it returns. All of them or none (StoreError)."""

    def last(self) -> int:
        """Offset of the last report; 0 in an empty store."""

    def after(self, offset: int, limit: int = 1000) -> Sequence[Stored]:
        """The next reports in the order of their offsets."""

    def first(self) -> int:
        """The least offset from which `after` is complete: what lay before was given up by retention."""

    def select(self, wanted: Filter, limit: int = 100, before: int | None = None) -> Sequence[Stored]:
        """Reports, the youngest offset first; `before` pages on."""

    def state(self, wanted: Filter, limit: int = 100_000) -> tuple[Sequence[Stored], int]:
        """The last report of every case that passes, and the position the answer holds for."""

    def case(self, source: str, case: str) -> Sequence[Stored]:
        """All reports of a case, the oldest offset first."""

    def get(self, offset: int) -> Stored | None:
        """One report."""

    def refuse(self, refusals: Sequence[Refusal]) -> Sequence[int]:
        """Keeps refusals; gives their numbers."""

    def refusals(self, limit: int = 100, before: int | None = None, pending: bool = True) -> Sequence[Refusal]:
        """Refusals, the youngest first; `pending`: only those not mended yet."""

    def mended(self, number: int, offset: int) -> None:
        """Notes that a refusal was sent again and taken in."""

    def learn(self, text: str, geid: str, who: str) -> None:
        """Notes that people say a code or an address text stands for an entity (what a correction teaches)."""

    def learnt(self) -> Mapping[str, str]:
        """geid by the text learnt; the last word counts."""

    def counts(self) -> Mapping[str, int]:
        """`reports`, `linked`, `unlinked`, `refused`, `cases`, `open`."""

    def prune(self, kind: str, before_ms: int) -> int:
        """Gives up reports of a kind recorded before that, except the last one of a case that is open; how many."""

    def listen(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls back, from a thread of its own, soon after any process wrote; what it returns ends that."""

    def close(self) -> None:
        """Releases the database."""
