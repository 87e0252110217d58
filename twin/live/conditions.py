"""A filter of reports as a condition of SQL: what may be asked, and by which index it is answered."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from twin.live.database import Database
from twin.live.model import OPEN, Filter
from twin.live.rows import storable, whole

MOST_OPEN = 2000
"""Up to so many open cases are looked up one by one, however long ago they were told of."""

MOST_ENTITIES = 64
"""Up to so many entities are looked up one by one; of more, so many reports pass that the youngest are read through."""

_TEXT = "(r.title || ' ' || coalesce(r.address, '') || ' ' || r.case_id)"
_IS_OPEN = "SELECT 1 FROM live_latest o WHERE o.source = r.source AND o.case_id = r.case_id AND o.is_open = 1"
_OPEN_CASES = "SELECT o.source, o.case_id FROM live_latest o WHERE o.is_open = 1"
_LAST_STATUS = (
    "SELECT o.status FROM live_report o WHERE o.source = r.source AND o.case_id = r.case_id AND o.number <= ?"
    " ORDER BY o.occurred_ms DESC, o.number DESC LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets between which the answer must lie, worked out from the times of a filter.

    Attributes:
        least, most: Inclusive.
        known: The last offset that was recorded by the moment asked for.
    """

    least: int
    most: int
    known: int


@dataclass(frozen=True)
class Where:
    """Conditions that all have to hold.

    Attributes:
        terms: SQL of each, `?` for values.
        values: Of them, in order.
    """

    terms: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def add(self, term: str, *values: Any) -> None:
        """One more."""
        self.terms.append(term)
        self.values.extend(values)

    def one_of(self, database: Database, column: str, texts: Collection[str] | None) -> None:
        """A column has to be one of these; None does not matter."""
        if texts is not None:
            self.add(database.one_of(column), database.values(sorted(storable(text) for text in texts)))

    @property
    def sql(self) -> str:
        """` WHERE ...`, or nothing."""
        return f" WHERE {' AND '.join(self.terms)}" if self.terms else ""


def of_reports(database: Database, wanted: Filter, span: Span, few_open: bool = False) -> Where:
    """Which reports (`r`) pass.

    Args:
        database: Which will be asked.
        wanted: What passes.
        span: Where the answer must lie.
        few_open: So few cases are open that they are looked up one by one.
    """
    chosen = "open" if few_open else driver(wanted)
    where = _common(database, wanted, chosen)
    _within(database, where, span, chosen)
    if few_open:
        where.add(f"(r.source, r.case_id) IN ({_OPEN_CASES})")
    elif wanted.open is not None and wanted.as_of_ms is None:
        where.add(f"{'' if wanted.open else 'NOT '}EXISTS ({_IS_OPEN})")
    elif wanted.open is not None:
        statuses = ", ".join(f"'{status}'" for status in sorted(OPEN))
        where.add(f"({_LAST_STATUS}) {'' if wanted.open else 'NOT '}IN ({statuses})", span.known)
    return where


def of_states(database: Database, wanted: Filter) -> Where:
    """Which states pass: `r` is the last report of a case as far as it was known, `l` its line in the table of them."""
    where = _common(database, wanted, None)
    if wanted.as_of_ms is None:
        where.one_of(database, "l.geid", wanted.geids)
        if wanted.kinds is not None and wanted.open:
            where.one_of(database, "l.kind", wanted.kinds)
        if wanted.open is not None:
            where.add(f"l.is_open = {int(wanted.open)}")
    elif wanted.open is not None:
        statuses = ", ".join(f"'{status}'" for status in sorted(OPEN))
        where.add(f"r.status {'' if wanted.open else 'NOT '}IN ({statuses})")
    if wanted.case is not None:
        where.add("l.source = ? AND l.case_id = ?", *map(storable, wanted.case))
    return where


def driver(wanted: Filter) -> str | None:
    """The column whose index finds most; the others are left out of the choice, which statistics would have to make.

    Without one, reports are read from the youngest on until enough have passed: right for what most of them pass.
    """
    if wanted.case is not None:
        return "case"
    if wanted.geids is not None and len(wanted.geids) <= MOST_ENTITIES:
        return "geid"
    if wanted.until_ms is not None:
        return "occurred_ms"
    return "kind" if wanted.kinds is not None and len(wanted.kinds) == 1 else None


def pieces(span: Span, bits: int) -> Iterator[Span]:
    """A span from its end on, cut where the pieces of an index end: one piece, then ever more at a time."""
    high, count = span.most, 1
    while high >= span.least:
        low = max(span.least, ((high >> bits) - count + 1) << bits)
        yield Span(low, high, span.known)
        high, count = low - 1, min(4 * count, 1024)


def may_go_by_open(wanted: Filter) -> bool:
    """Whether open cases could lead to what is wanted better than anything else, if there are only a few of them."""
    return bool(wanted.open) and wanted.as_of_ms is None and driver(wanted) in (None, "kind")


def _within(database: Database, where: Where, span: Span, chosen: str | None) -> None:
    number = "r.number" if chosen in (None, "kind") else database.unindexed("r.number")
    where.add(f"{number} BETWEEN ? AND ?", span.least, span.most)
    if chosen == "geid" and database.bucket_bits is not None:
        bits = database.bucket_bits
        buckets = range(span.least >> bits, (span.most >> bits) + 1)
        where.add(f"r.number >> {bits} IN (SELECT value FROM json_each(?))", str(list(buckets)))  # noqa: S608


def _common(database: Database, wanted: Filter, driver: str | None) -> Where:
    """What a report has to be by itself."""
    where = Where()

    def column(name: str) -> str:
        return f"r.{name}" if name == driver else database.unindexed(f"r.{name}")

    if wanted.case is not None:
        source, case = ("r.source", "r.case_id") if driver == "case" else (column("source"), column("case_id"))
        where.add(f"{source} = ? AND {case} = ?", *map(storable, wanted.case))
    if driver == "kind" and wanted.kinds is not None:
        where.add("r.kind = ?", storable(next(iter(wanted.kinds))))  # one value: the index gives the order, too
    else:
        where.one_of(database, column("kind"), wanted.kinds)
    where.one_of(database, column("status"), wanted.statuses)
    where.one_of(database, column("severity"), wanted.severities)
    where.one_of(database, column("source"), wanted.sources)
    where.one_of(database, column("geid"), wanted.geids)
    _add_times(where, wanted, column("occurred_ms"))
    if wanted.linked is not None:
        where.add(f"{database.unindexed('r.geid')} IS {'NOT ' if wanted.linked else ''}NULL")
    if wanted.box is not None:
        _add_box(where, wanted.box)
    for word in (wanted.text or "").split():
        where.add(database.like(_TEXT), f"%{_escaped(storable(word))}%")
    return where


def _add_times(where: Where, wanted: Filter, column: str) -> None:
    if wanted.since_ms is not None:
        where.add(f"{column} >= ?", whole(wanted.since_ms))
    if wanted.until_ms is not None:
        where.add(f"{column} < ?", whole(wanted.until_ms))


def _add_box(where: Where, box: tuple[float, float, float, float]) -> None:
    """Inside or on the edge; a box whose west lies east of its east crosses the meridian of 180 degrees."""
    west, south, east, north = map(float, box)
    where.add("r.lat BETWEEN ? AND ?", south, north)
    if west <= east:
        where.add("r.lon BETWEEN ? AND ?", west, east)
    else:
        where.add("(r.lon >= ? OR r.lon <= ?)", west, east)


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
