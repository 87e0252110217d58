"""One term for every area of a level: the number, how much of what there is it rests on, and the reports behind it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from twin.live.model import SEVERITIES, STATUSES
from twin.live.signs.definition import Term
from twin.live.signs.ground import Ground, Groups
from twin.live.signs.ledger import Ledger, Rows
from twin.live.signs.snapshot import HOUR_MS, Cases, Snapshot, starts_of
from twin.live.signs.statistics import by_group

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

_CLOSED = STATUSES.index("closed")


@dataclass(frozen=True, slots=True)
class Taken:
    """A term at one moment.

    Attributes:
        value: (g,) NaN where it is unknown or there is nothing to take it of.
        coverage: (g,) 0 to 1: the share of cases that lie in a known area, of streams that were heard of, of footprint
            whose floors are known. 0: unknown.
        offsets, groups: Reports behind the numbers, and the group each of them counts in; -1: in none.
    """

    value: Floats
    coverage: Floats
    offsets: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    groups: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))


def take_term(term: Term, ledger: Ledger, snapshot: Snapshot, groups: Groups, feed_ms: int) -> Taken:
    """A term for every group.

    Args:
        term: Which.
        ledger: For the words of the columns.
        snapshot: The moment.
        groups: The areas.
        feed_ms: For how long a silent source still counts as heard of.
    """
    if term.of == "entities":
        return _of_entities(term, ledger.ground, groups)
    if term.of == "area":
        return Taken(groups.km2, np.isfinite(groups.km2).astype(np.float64))
    take = _of_cases if term.of == "cases" else _of_streams
    return take(term, ledger, snapshot, groups, feed_ms)


def _of_entities(term: Term, ground: Ground, groups: Groups) -> Taken:
    chosen = np.flatnonzero(ground.chosen(term.layers, term.classes))
    group = groups.group(ground.area[chosen])
    footprint = ground.footprint[chosen]
    if term.take == "count":
        return Taken(by_group("count", group, footprint, len(groups)), np.ones(len(groups)))
    column = ground.floor[chosen] if term.column == "floor_area" else footprint
    known = np.isfinite(column)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = by_group("sum", group, footprint * known, len(groups)) / by_group("sum", group, footprint, len(groups))
    return Taken(by_group("sum", group, np.where(known, column, 0.0), len(groups)), np.nan_to_num(share, nan=1.0))


# -- cases ------------------------------------------------------------------------------------------------------------
def _of_cases(term: Term, ledger: Ledger, snapshot: Snapshot, groups: Groups, feed_ms: int) -> Taken:
    cases = snapshot.cases
    heard = _heard(snapshot.case_rows, _numbers(ledger, term), snapshot.moment_ms - feed_ms)
    if not heard:
        return Taken(np.full(len(groups), np.nan), np.zeros(len(groups)))
    numbers = np.ones(len(cases)) if term.column is None else _hours(term.column, cases, snapshot.moment_ms)
    rows = np.flatnonzero(_case_chosen(term, ledger, cases, snapshot.moment_ms) & np.isfinite(numbers))
    group = groups.group(cases.area[rows])
    placed = float((group >= 0).mean()) if len(rows) else 1.0
    value = _case_value(term.take, group, cases.geid[rows], numbers[rows], len(groups))
    return Taken(value, np.full(len(groups), placed), cases.offset[rows], group)


def _numbers(ledger: Ledger, term: Term) -> Ints:
    return np.array(sorted(ledger.kinds.find(kind) for kind in term.kinds), dtype=np.int64)


def _heard(rows: Rows, kinds: Ints, since_ms: int) -> bool:
    """Whether anything of these kinds happened since then."""
    return bool((np.isin(rows.column["kind"], kinds) & (rows.column["occurred"] > since_ms)).any())


def _case_chosen(term: Term, ledger: Ledger, cases: Cases, moment_ms: int) -> Flags:
    chosen = np.isin(cases.kind, _numbers(ledger, term))
    if term.state in ("open", "overdue"):
        chosen &= cases.open
    if term.state == "overdue":
        chosen &= cases.due < moment_ms
    if term.state == "closed":
        chosen &= np.isfinite(cases.closed)
    if term.when is not None:
        time: Floats = getattr(cases, term.when)
        chosen &= time > moment_ms - term.window_ms
    if term.severities:
        chosen &= np.isin(cases.severity, [SEVERITIES.index(one) for one in term.severities])
    for key, texts in term.where.items():
        chosen &= np.isin(cases.text[key], [ledger.texts[key].find(one) for one in texts])
    if term.linked or term.take in ("distinct", "repeats"):
        chosen &= cases.geid >= 0
    return chosen & _tied(term, ledger.ground, cases.row)


def _tied(term: Term, ground: Ground, row: Ints) -> Flags:
    """What is tied to an entity of the layers and classes of a term."""
    if not (term.layers or term.classes):
        return np.ones(len(row), dtype=np.bool_)
    return np.append(ground.chosen(term.layers, term.classes), False)[row]


def _case_value(take: str, group: Ints, geid: Ints, numbers: Floats, count: int) -> Floats:
    if take not in ("distinct", "repeats"):
        return by_group(take, group, numbers, count)
    _, first = np.unique(np.column_stack([group, geid]), axis=0, return_index=True)
    different = by_group("count", group[first], numbers[first], count)
    return different if take == "distinct" else by_group("count", group, numbers, count) - different


def _hours(column: str, cases: Cases, moment_ms: int) -> Floats:
    until = {
        "hours_open": (np.full(len(cases), float(moment_ms)), cases.opened),
        "hours_to_close": (cases.closed, cases.opened),
        "hours_to_dispatch": (cases.dispatched, cases.opened),
        "hours_overdue": (np.full(len(cases), float(moment_ms)), cases.due),
    }
    end, begin = until[column]
    return np.asarray((end - begin) / HOUR_MS, dtype=np.float64)


# -- streams ----------------------------------------------------------------------------------------------------------
def _of_streams(term: Term, ledger: Ledger, snapshot: Snapshot, groups: Groups, feed_ms: int) -> Taken:
    rows = _stream_rows(term, ledger, snapshot, max(feed_ms, term.window_ms))
    starts = starts_of(rows)
    if not len(starts):
        return Taken(np.full(len(groups), np.nan), np.zeros(len(groups)))
    ends = np.append(starts[1:], len(rows)) - 1
    home = groups.group(rows.column["area"][ends].astype(np.int64))
    number = np.repeat(np.arange(len(starts)), np.append(starts[1:], len(rows)) - starts)
    fresh, stands = _standing(term, rows, number, snapshot.moment_ms, len(starts))
    fresh &= rows.column["status"][ends] != _CLOSED  # off duty, out of service: no longer there to be heard of
    on = rows.column["status"][ends] != _CLOSED
    known = by_group("count", home[on], stands[on], len(groups))
    heard = by_group("count", home[fresh], stands[fresh], len(groups))
    with np.errstate(invalid="ignore", divide="ignore"):
        coverage = np.nan_to_num(heard / known)
    offsets = rows.column["offset"][ends].astype(np.int64)
    if term.take in ("known", "silent"):
        value = known if term.take == "known" else known - heard
        picked = on if term.take == "known" else on & ~fresh
        return Taken(np.where(known > 0, value, np.nan), (known > 0).astype(np.float64), offsets[picked], home[picked])
    picked = fresh if term.over is None else fresh & (stands > term.over)
    value = by_group(term.take, home[picked], stands[picked], len(groups))
    used = _behind(term, rows, number, snapshot.moment_ms) & picked[number]
    return Taken(
        np.where(heard > 0, value, np.nan), coverage, rows.column["offset"][used].astype(np.int64), home[number[used]]
    )


def _stream_rows(term: Term, ledger: Ledger, snapshot: Snapshot, back_ms: int) -> Rows:
    """Reports of the streams of a term that are not too old to matter."""
    column = snapshot.streams.column
    chosen = np.isin(column["kind"], _numbers(ledger, term)) & (column["occurred"] > snapshot.moment_ms - back_ms)
    for key, texts in term.where.items():
        chosen &= np.isin(column[f"text.{key}"], [ledger.texts[key].find(one) for one in texts])
    if term.severities:
        chosen &= np.isin(column["severity"], [SEVERITIES.index(one) for one in term.severities])
    return snapshot.streams.take(chosen & _tied(term, ledger.ground, column["row"].astype(np.int64)))


def _values(term: Term, rows: Rows) -> Floats:
    """(n,) the reading, in parts of its limit if the term says so; 1 where only the reports are counted."""
    if term.take in ("known", "silent") or (term.take == "count" and term.over is None):
        return np.ones(len(rows))
    value = rows.column["value"].astype(np.float64)
    if term.limit is None:
        return value
    limit = rows.column[f"number.{term.limit}"].astype(np.float64)
    return np.where(limit > 0, value / np.where(limit > 0, limit, 1.0), np.nan)


def _usable(term: Term, rows: Rows, moment_ms: int) -> Flags:
    """Reports in the window that have a number."""
    return np.asarray(
        (rows.column["occurred"] > moment_ms - term.window_ms) & np.isfinite(_values(term, rows)), dtype=np.bool_
    )


def _standing(term: Term, rows: Rows, number: Ints, moment_ms: int, count: int) -> tuple[Flags, Floats]:
    """Which streams were heard of in the window, and the number that stands for each; NaN of those that were not."""
    usable = np.flatnonzero(_usable(term, rows, moment_ms))
    values, stream = _values(term, rows)[usable], number[usable]
    fresh = np.bincount(stream, minlength=count) > 0
    if term.per_stream == "last":
        stands = np.full(count, np.nan)
        stands[stream] = values  # sorted by time: the last one stays
        return fresh, stands
    stands = by_group(term.per_stream, stream, values, count)
    return fresh, np.where(fresh, stands, np.nan)


def _behind(term: Term, rows: Rows, number: Ints, moment_ms: int) -> Flags:
    """The reports that the numbers of the streams are made of: the last one, or all in the window."""
    usable = _usable(term, rows, moment_ms)
    if term.per_stream != "last":
        return usable
    at = np.flatnonzero(usable)
    last = at[np.append(number[at][1:] != number[at][:-1], True)] if len(at) else at
    only = np.zeros(len(rows), dtype=np.bool_)
    only[last] = True
    return only
