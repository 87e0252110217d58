"""Which reports a client wants, told the same way for the stream and for questions to the store.

The store answers a `Filter` in SQL, the hub asks it of every new report. `matcher` is the second of the two; a test
holds both against each other. What only the server knows, the outline of an area, lies on top of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import shapely

from twin.live.model import OPEN, Filter, Stored

Match = Callable[[Stored], bool]


@dataclass(frozen=True, slots=True)
class Region:
    """Somewhere reports are wanted from: linked to one of some entities, or drawn inside an outline.

    Attributes:
        geids: The entities; two regions of the same entities are the same.
        outline: In degrees, prepared.
    """

    geids: frozenset[str]
    outline: Any = field(default=None, compare=False, repr=False)

    def holds(self, stored: Stored) -> bool:
        """True where a report belongs here."""
        link = stored.link
        if link.geid in self.geids:
            return True
        if self.outline is None or link.lon is None or link.lat is None:
            return False
        return bool(shapely.contains_xy(self.outline, link.lon, link.lat))


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter and regions, all of which have to hold.

    Attributes:
        filter: What the store understands.
        regions: What only the server knows.
    """

    filter: Filter = field(default_factory=Filter)
    regions: tuple[Region, ...] = ()


def matcher(selection: Selection) -> Match:
    """A selection as a function, with only those conditions that matter to it."""
    wanted = selection.filter
    checks = [check for make in _MAKERS if (check := make(wanted)) is not None]
    checks.extend(region.holds for region in selection.regions)
    if not checks:
        return lambda _: True
    if len(checks) == 1:
        return checks[0]
    first, rest = checks[0], tuple(checks[1:])
    return lambda stored: first(stored) and all(check(stored) for check in rest)


def _words(wanted: Filter) -> Match | None:
    """One of a set of words, for the columns that have words."""
    kinds, statuses, severities, sources = wanted.kinds, wanted.statuses, wanted.severities, wanted.sources
    if kinds is None and statuses is None and severities is None and sources is None:
        return None

    def check(stored: Stored) -> bool:
        report = stored.report
        return (
            (kinds is None or report.kind in kinds)
            and (statuses is None or report.status in statuses)
            and (severities is None or report.severity in severities)
            and (sources is None or report.source in sources)
        )

    return check


def _entity(wanted: Filter) -> Match | None:
    geids, linked = wanted.geids, wanted.linked
    if geids is None and linked is None:
        return None

    def check(stored: Stored) -> bool:
        geid = stored.link.geid
        return (geids is None or geid in geids) and (linked is None or (geid is not None) == linked)

    return check


def _box(wanted: Filter) -> Match | None:
    if wanted.box is None:
        return None
    west, south, east, north = wanted.box

    def check(stored: Stored) -> bool:
        lon, lat = stored.link.lon, stored.link.lat
        if lon is None or lat is None or not south <= lat <= north:
            return False
        # a box across the antimeridian has its west to the east of its east (RFC 7946 section 5.2)
        return west <= lon <= east if west <= east else lon >= west or lon <= east

    return check


def _times(wanted: Filter) -> Match | None:
    since, until, as_of = wanted.since_ms, wanted.until_ms, wanted.as_of_ms
    if since is None and until is None and as_of is None:
        return None

    def check(stored: Stored) -> bool:
        occurred = stored.report.occurred_ms
        return (
            (since is None or occurred >= since)
            and (until is None or occurred < until)
            and (as_of is None or stored.recorded_ms <= as_of)
        )

    return check


def _open(wanted: Filter) -> Match | None:
    if wanted.open is None:
        return None
    expected = wanted.open
    return lambda stored: (stored.report.status in OPEN) == expected


def _text(wanted: Filter) -> Match | None:
    if wanted.text is None:
        return None
    words = wanted.text.casefold().split()

    def check(stored: Stored) -> bool:
        report = stored.report
        told = "\n".join((report.title, report.place.address or "", report.case)).casefold()
        return all(word in told for word in words)

    return check


def _case(wanted: Filter) -> Match | None:
    if wanted.case is None:
        return None
    source, case = wanted.case
    return lambda stored: stored.report.case == case and stored.report.source == source


_MAKERS = (_words, _entity, _box, _times, _open, _case, _text)
