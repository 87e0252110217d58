"""What an indicator is: terms taken from reports, sensors and entities, a formula over them, and when it is bad."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from twin.live.signs.formula import Formula

DIMENSIONS = ("people", "things", "movement", "state")
"""What an indicator is about."""

BETTER = ("lower", "higher", "neither")
"""Which way is good."""

SOURCES = ("cases", "streams", "entities", "area")
"""What a term may be taken of."""

CASE_STATES = ("any", "open", "closed", "overdue")
CASE_TIMES = ("opened", "closed", "dispatched")
CASE_COLUMNS = ("hours_open", "hours_to_close", "hours_to_dispatch", "hours_overdue")
ENTITY_COLUMNS = ("floor_area", "footprint_area")
STATISTICS = ("sum", "mean", "median", "p90", "min", "max")
TAKES = {
    "cases": ("count", "distinct", "repeats", *STATISTICS),
    "streams": ("count", "known", "silent", *STATISTICS),
    "entities": ("count", "sum"),
    "area": ("km2",),
}
"""What may be taken of each source."""
PER_STREAM = ("last", "mean", "min", "max", "sum")

NOTHING: Mapping[str, frozenset[str]] = {}


@dataclass(frozen=True, slots=True)
class Term:
    """One number per area, taken of cases, streams or entities.

    Attributes:
        of: Of `SOURCES`: cases (work orders, tickets, alarms: the last state of each), streams (the reports of one
            sensor or one vehicle), entities of the served release, or the area itself.
        take: Of `TAKES[of]`. `distinct`: entities that have such a case; `repeats`: cases after the first of their
            entity; `known`: streams heard of within the roster; `silent`: those of them not heard of in the window.
        column: What statistics are taken of: of `CASE_COLUMNS`, `ENTITY_COLUMNS`; of streams the value.
        kinds: Kinds of reports; never empty for cases and streams.
        state: Of `CASE_STATES`.
        when: Which time of a case lies in the window, of `CASE_TIMES`; None: no window.
        window_ms: How far back; the moment asked for is inside, the one a window before it is not.
        severities: One of these; empty: any.
        where: Fields of a report's `data` that have to be one of these texts.
        linked: Only cases that are tied to an entity.
        per_stream: Of `PER_STREAM`: what stands for a stream.
        limit: Field of `data` by which a value is divided: the reading in parts of its own limit.
        over: Only streams whose number is greater.
        layers, classes: Of the entities (of cases and streams: of what they are tied to); empty: any.
    """

    of: str
    take: str = "count"
    column: str | None = None
    kinds: frozenset[str] = frozenset()
    state: str = "any"
    when: str | None = None
    window_ms: int = 0
    severities: frozenset[str] = frozenset()
    where: Mapping[str, frozenset[str]] = field(default_factory=lambda: NOTHING)
    linked: bool = False
    per_stream: str = "last"
    limit: str | None = None
    over: float | None = None
    layers: frozenset[str] = frozenset()
    classes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Threshold:
    """A limit with hysteresis.

    Attributes:
        enter: The state begins when the value reaches it.
        leave: The state ends when the value comes back to it; beyond it nothing changes.
    """

    enter: float
    leave: float


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a value is compared with to be called unusual: itself, `points` times, `step_ms` apart."""

    step_ms: int
    points: int


@dataclass(frozen=True, slots=True)
class Indicator:
    """One vital sign.

    Attributes:
        id: Its name in addresses: small letters, digits, `_`.
        zh, en: Its names for people.
        dimension: Of `DIMENSIONS`.
        formula: Over the names of the terms.
        terms: By name.
        unit: For people.
        better: Of `BETTER`.
        level: Of the areas it is watched for; it can be asked for at every level.
        warn, alarm: When it is bad; None: never.
        every_ms: Distance of the ticks over which the hysteresis runs.
        ticks: How many ticks back it begins.
        feed_ms: A kind nobody reported for so long is not heard of: unknown.
        min_coverage: With less the value is unknown.
        baseline: For the anomaly flag; None: no flag.
        source: Where the definition comes from.
    """

    id: str
    zh: str
    en: str
    dimension: str
    formula: Formula
    terms: Mapping[str, Term]
    unit: str = ""
    better: str = "lower"
    level: str = "subdistrict"
    warn: Threshold | None = None
    alarm: Threshold | None = None
    every_ms: int = 300_000
    ticks: int = 12
    feed_ms: int = 7 * 86_400_000
    min_coverage: float = 0.0
    baseline: Baseline | None = None
    source: str = ""

    def uses(self, of: str) -> bool:
        """Whether any term is taken of that."""
        return any(term.of == of for term in self.terms.values())

    @property
    def lookback_ms(self) -> int:
        """How far before a moment reports can matter to its value."""
        return max(self.feed_ms, *(term.window_ms for term in self.terms.values()))


@dataclass(frozen=True, slots=True)
class Indicators:
    """All indicators of a twin, in the order in which they are shown.

    Attributes:
        by_id: The definitions.
        reach_ms: How far back the running state answers by itself, for cases.
        stream_reach_ms: The same for streams.
        alarms: Whether alarms are reported.
    """

    by_id: Mapping[str, Indicator]
    reach_ms: int = 35 * 86_400_000
    stream_reach_ms: int = 2 * 86_400_000
    alarms: bool = True

    def terms(self) -> list[Term]:
        """All terms of all indicators."""
        return [term for one in self.by_id.values() for term in one.terms.values()]

    def kinds(self, of: str) -> frozenset[str]:
        """Kinds of reports that matter to terms of cases, or of streams."""
        return frozenset(kind for term in self.terms() if term.of == of for kind in term.kinds)

    def lookback_ms(self, of: str) -> int:
        """How far before a moment reports of these terms can matter, carried facts of cases apart."""
        return max((one.lookback_ms for one in self.by_id.values() if one.uses(of)), default=0)

    def texts(self) -> tuple[str, ...]:
        """Fields of `data` that terms choose by."""
        return tuple(sorted({key for term in self.terms() for key in term.where}))

    def numbers(self) -> tuple[str, ...]:
        """Fields of `data` that values are divided by."""
        return tuple(sorted({term.limit for term in self.terms() if term.limit}))
