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
class Selection:
    """A filter and an area.

    Attributes:
        filter: What the store understands.
        area: geid of an administrative area; None: everywhere. Two selections of one area are the same.
        outline: Its outline in degrees, prepared; belongs to `area`.
    """

    filter: Filter = field(default_factory=Filter)
    area: str | None = None
    outline: Any = field(default=None, compare=False, repr=False)


def within(outline: Any, stored: Stored) -> bool:
    """True where a report is drawn inside an outline; what is drawn nowhere lies in no area."""
    link = stored.link
    return link.lon is not None and link.lat is not None and bool(shapely.contains_xy(outline, link.lon, link.lat))


def matcher(selection: Selection) -> Match:
    """A selection as a function, with only those conditions that matter to it."""
    wanted = selection.filter
    checks = [check for make in _MAKERS if (check := make(wanted)) is not None]
    if selection.outline is not None:
        outline = selection.outline
        checks.append(lambda stored: within(outline, stored))
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
