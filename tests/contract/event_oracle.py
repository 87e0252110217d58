"""What the log of events promises, said again in plain Python over a list: the judge of every store."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from twin.live.model import OPEN, SEVERITIES, STATUSES, Filter, Link, Place, Report, Stored

SOURCES = ("urn:dispatch", "urn:12345", "urn:sensors")
KINDS = ("work_order", "hotline", "observation")
WORDS = ("井盖损坏", "漏水", "Pump", "pump 3%", "a_b", "幸福路12号", "噪音\\扰民")


class Oracle:
    """The same log in memory.

    Attributes:
        log: All reports, the oldest first.
        pruned: How many were given up.
    """

    def __init__(self) -> None:
        self.log: list[Stored] = []
        self.pruned = 0
        self.last = 0

    def append(self, rows: Sequence[tuple[Report, Link]], recorded_ms: int) -> list[bool]:
        known = {(one.report.source, one.report.id) for one in self.log}
        fresh = []
        for report, link in rows:
            fresh.append((report.source, report.id) not in known)
            if fresh[-1]:
                known.add((report.source, report.id))
                self.last += 1
                self.log.append(Stored(self.last, recorded_ms, report, link))
        return fresh

    def known_by(self, as_of_ms: int | None) -> list[Stored]:
        return [one for one in self.log if as_of_ms is None or one.recorded_ms <= as_of_ms]

    def states(self, as_of_ms: int | None) -> dict[tuple[str, str], Stored]:
        last: dict[tuple[str, str], Stored] = {}
        for one in self.known_by(as_of_ms):
            case = (one.report.source, one.report.case)
            if case not in last or one.report.occurred_ms >= last[case].report.occurred_ms:
                last[case] = one
        return last

    def select(self, wanted: Filter) -> list[Stored]:
        states = self.states(wanted.as_of_ms)
        return [
            one
            for one in reversed(self.known_by(wanted.as_of_ms))
            if passes(one, wanted)
            and (
                wanted.open is None or (states[one.report.source, one.report.case].report.status in OPEN) == wanted.open
            )
        ]

    def state(self, wanted: Filter) -> list[Stored]:
        found = [
            one
            for one in self.states(wanted.as_of_ms).values()
            if passes(one, wanted) and (wanted.open is None or (one.report.status in OPEN) == wanted.open)
        ]
        return sorted(found, key=lambda one: -one.offset)

    def prune(self, kind: str, before_ms: int) -> int:
        states = self.states(None)

        def old(one: Stored) -> bool:
            return one.report.kind == kind and one.recorded_ms < before_ms

        def goes(one: Stored) -> bool:
            case = (one.report.source, one.report.case)
            if not old(one) or states[case] is not one:
                return old(one)
            whole = [other for other in self.log if (other.report.source, other.report.case) == case]
            return one.report.status not in OPEN and all(old(other) for other in whole)

        kept = [one for one in self.log if not goes(one)]
        count = len(self.log) - len(kept)
        self.log, self.pruned = kept, self.pruned + count
        return count


def passes(one: Stored, wanted: Filter) -> bool:
    """Whether a report by itself is wanted."""
    report, link = one.report, one.link
    text = f"{report.title} {report.place.address or ''} {report.case}".lower()
    west, south, east, north = wanted.box or (-180, -90, 180, 90)
    return (
        (wanted.kinds is None or report.kind in wanted.kinds)
        and (wanted.statuses is None or report.status in wanted.statuses)
        and (wanted.severities is None or report.severity in wanted.severities)
        and (wanted.sources is None or report.source in wanted.sources)
        and (wanted.geids is None or link.geid in wanted.geids)
        and (wanted.since_ms is None or report.occurred_ms >= wanted.since_ms)
        and (wanted.until_ms is None or report.occurred_ms < wanted.until_ms)
        and (wanted.linked is None or (link.geid is not None) == wanted.linked)
        and (wanted.case is None or (report.source, report.case) == wanted.case)
        and all(word.lower() in text for word in (wanted.text or "").split())
        and (
            wanted.box is None
            or (
                link.lon is not None
                and link.lat is not None
                and south <= link.lat <= north
                and (west <= link.lon <= east if west <= east else link.lon >= west or link.lon <= east)
            )
        )
    )


def some_report(dice: random.Random, now_ms: int, name: str | None = None) -> tuple[Report, Link]:
    """A report of one of a few cases, late or early as life is."""
    place = Place(
        geid=dice.choice((None, "7k3m")),
        sensor=dice.choice((None, "s-1")),
        address=dice.choice((None, *WORDS)),
        lon=dice.choice((None, 121.4)),
        accuracy_m=dice.choice((None, 15.0)),
    )
    report = Report(
        source=dice.choice(SOURCES),
        id=name or f"m{dice.randrange(10**6)}",
        case=f"C{dice.randrange(12)}",
        kind=dice.choice(KINDS),
        status=dice.choice(STATUSES),
        severity=dice.choice(SEVERITIES),
        title=" ".join(dice.sample(WORDS, 2)),
        occurred_ms=now_ms + dice.choice((0, -5, 3, dice.randrange(-4000, 50))),
        reported_ms=dice.choice((None, now_ms)),
        place=place,
        value=dice.choice((None, dice.uniform(-5, 5))),
        unit=dice.choice((None, "m")),
        data=dice.choice(({}, {"图": ["a", 1, None, 2.5], "深": {"x": True}})),
    )
    position = dice.random() < 0.7
    link = Link(
        geid=dice.choice((None, "g1", "g2", "g3")),
        method="near",
        confidence=dice.random(),
        lon=round(dice.uniform(-180, 180), 1) if position else None,
        lat=round(dice.uniform(-90, 90), 1) if position else None,
    )
    return report, link


def some_filter(dice: random.Random, now_ms: int) -> Filter:
    """A filter with up to three conditions."""
    west, east = (round(dice.uniform(-180, 180), 1) for _ in range(2))
    choices: dict[str, object] = {
        "kinds": frozenset(dice.sample(KINDS, dice.randrange(3))),
        "statuses": frozenset(dice.sample(STATUSES, 3)),
        "severities": frozenset(dice.sample(SEVERITIES, 2)),
        "sources": frozenset(dice.sample(SOURCES, 2)),
        "geids": frozenset(dice.sample(("g1", "g2", "g9"), 2)),
        "box": (west, -60.0, east, 60.0),
        "since_ms": now_ms - dice.randrange(5000),
        "until_ms": now_ms - dice.randrange(-60, 5000),
        "as_of_ms": now_ms - dice.randrange(-5, 2000),
        "open": dice.random() < 0.5,
        "linked": dice.random() < 0.5,
        "text": dice.choice(("PUMP", "井盖", "3% pump", "a_b", "_", "%", "\\", "c1 漏水", "幸福路", "")),
        "case": (dice.choice(SOURCES), f"C{dice.randrange(12)}"),
    }
    names = dice.sample(sorted(choices), dice.randrange(4))
    return replace(Filter(), **{name: choices[name] for name in names})  # type: ignore[arg-type]
