"""Gives the view a request is answered from: the served release for now, the history for any other pair of times."""

from __future__ import annotations

import datetime
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from weakref import WeakKeyDictionary

import pyarrow as pa
import pyarrow.compute as pc

from server.context import Context
from server.features.interval import last_states, micros
from server.features.query import Span, refused
from server.features.render import Fragments
from server.releases import OpenRelease
from server.settings import private_crs
from server.timeline import Timeline
from twin.crs.reference import Crs, parse_crs
from twin.entity.areas import AREA_CLASS, with_area_parents
from twin.entity.index_schema import INDEX_FIELDS
from twin.query.crs import FeatureCrs
from twin.query.view import View, with_attributes
from twin.registry.versions import Time, Window

_FRAGMENT_BYTES = 192 << 20
_MOST_FRAGMENTS = 3  # that many CRSs are kept rendered
_MOST_SNAPSHOTS = 4
_NOW_SECONDS = 30.0  # how long an answer about the present is believed
_FOREVER = 2**62
_LAST = datetime.datetime(9999, 1, 1, tzinfo=datetime.UTC)
_NOT_RECORDED = ("lod", "outcome", "reasons")


@dataclass(frozen=True, slots=True)
class Moment:
    """A pair of times; both None: now, as far as is known.

    Attributes:
        span: When it was so.
        as_of: When it was known.
        recorded: True where the history is asked whatever the times are.
    """

    span: Span | None = None
    as_of: Time | None = None
    recorded: bool = False


class Views:
    """Makes views and keeps the last ones.

    Args:
        context: The releases and the history.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = Lock()
        self._present: WeakKeyDictionary[OpenRelease, View] = WeakKeyDictionary()
        self._past: OrderedDict[tuple[object, ...], tuple[View, float]] = OrderedDict()
        self._fragments: OrderedDict[tuple[int, str], tuple[View, Fragments]] = OrderedDict()

    @property
    def recorded(self) -> bool:
        """True if there is a history to ask."""
        return self._context.timeline.recorded

    def view(self, release: OpenRelease, moment: Moment) -> View:
        """The entities of a moment.

        Raises:
            ProblemError: 400 where `as-of` is asked of a district without a history.
        """
        past = moment.span is not None or moment.as_of is not None or moment.recorded
        if past and self.recorded:
            return self._of_history(release, moment)
        if moment.as_of is not None:
            raise refused("as-of needs a history, and none is kept for this district.")
        return self.present(release)

    def present(self, release: OpenRelease) -> View:
        """The entities of the served release."""
        with self._lock:
            found = self._present.get(release)
            if found is None:
                found = self._present[release] = View(release.index.table, self._working(release), release.id)
            return found

    def _working(self, release: OpenRelease) -> Crs | None:
        text = release.record.get("working_crs") or private_crs(self._context.settings.root)
        return None if text is None else parse_crs(text)

    def _of_history(self, release: OpenRelease, moment: Moment) -> View:
        """Kept by what was asked; what is about a now that moves on, for half a minute, or until an edition begins."""
        moves = moment.span is None
        key = (release.id, moment.span, moment.as_of, *self._editions(moves))
        with self._lock:
            found, made_at = self._past.get(key, (None, 0.0))
            if found is not None and not (moves and monotonic() - made_at > _NOW_SECONDS):
                self._past.move_to_end(key)
                return found
        made = View(self._table(release, moment), self._working(release), "" if moves else repr(key))
        with self._lock:
            self._past[key] = (made, monotonic())
            while len(self._past) > _MOST_SNAPSHOTS:
                self._past.popitem(last=False)
        return made

    def _editions(self, moves: bool) -> tuple[int, int]:
        """How many editions there are and, where now matters, how many of them are in force by now."""
        editions, now = self._context.timeline.editions(), _now()
        return len(editions), sum(one.valid_from <= now for one in editions) if moves else 0

    def one(self, release: OpenRelease, moment: Moment, geid: str) -> View:
        """One entity at a moment, without a view of all: a view of one row or none; `geid` written as `mint` does.

        Raises:
            ProblemError: 400 where `as-of` is asked of a district without a history.
        """
        if not self.recorded or (moment.span is None and moment.as_of is None):
            return self.view(release, moment)
        row = one_entity(self._context.timeline, geid, moment.span, moment.as_of)
        return View(self._dressed(release, row), self._working(release), "")

    def _table(self, release: OpenRelease, moment: Moment) -> pa.Table:
        return self._dressed(release, snapshot(self._context.timeline, moment.span, moment.as_of))

    def _dressed(self, release: OpenRelease, table: pa.Table) -> pa.Table:
        """A table of the history with the columns of the served index."""
        types = {one.name: one.type for one in INDEX_FIELDS}
        for name in _NOT_RECORDED:
            table = table.append_column(name, pa.nulls(len(table), types[name]))
        return with_attributes(table, release.index.table.schema).combine_chunks()

    def fragments(self, view: View, crs: FeatureCrs) -> Fragments:
        """The rendered features of a view in a CRS."""
        key = (id(view), crs.uri)
        with self._lock:
            found = self._fragments.get(key)
            if found is None or found[0] is not view:
                found = self._fragments[key] = (view, Fragments(view, crs, _FRAGMENT_BYTES))
            self._fragments.move_to_end(key)
            while len(self._fragments) > 1 and self._too_much():
                self._fragments.popitem(last=False)
            return found[1]

    def _too_much(self) -> bool:
        """One bound for all of them: most clients ask for one CRS, which may have it all."""
        held = sum(one.size for _, one in self._fragments.values())
        return len(self._fragments) > _MOST_FRAGMENTS or held > _FRAGMENT_BYTES


def snapshot(timeline: Timeline, span: Span | None, as_of: Time | None) -> pa.Table:
    """What was there at a moment (None: now), or at any time of an interval: of an entity that changed meanwhile the
    last state."""
    if span is None or span.begin == span.end is not None:
        return timeline.snapshot(Window(valid=_now() if span is None else span.begin, as_of=as_of))
    return _placed(
        timeline, last_states(timeline.during(span.begin, span.end, as_of), span.begin, span.end), span, as_of
    )


def one_entity(timeline: Timeline, geid: str, span: Span | None, as_of: Time | None) -> pa.Table:
    """The same for one entity, without asking for all: one row or none."""
    if span is None or span.begin == span.end is not None:
        table = timeline.entity(geid, None if span is None else span.begin, as_of)
        return table.filter(table["present"])
    return _placed(timeline, last_states(claims_on(timeline, geid, span, as_of), span.begin, span.end), span, as_of)


def _placed(timeline: Timeline, states: pa.Table, span: Span, as_of: Time | None) -> pa.Table:
    """States of an interval with the areas as they were at its end."""
    areas = timeline.snapshot(Window(valid=span.end or _LAST, as_of=as_of, classes=(AREA_CLASS,)))
    return with_area_parents(states, areas)


def claims_on(timeline: Timeline, geid: str, span: Span | None, as_of: Time | None) -> pa.Table:
    """What had been asserted by `as_of` of one entity for a moment or an interval, there or not, oldest first."""
    if span is None:
        span = Span(_now(), _now())
    table = timeline.versions(geid, as_of)
    begins = pc.cast(table["valid_from"], pa.int64())
    ends = pc.fill_null(pc.cast(table["valid_to"], pa.int64()), _FOREVER)
    since, until = micros(span.begin, -_FOREVER), micros(span.end, _FOREVER)
    return table.filter(pc.and_(pc.less_equal(begins, until), pc.greater(ends, since)))


def _now() -> Time:
    return datetime.datetime.now(datetime.UTC)
