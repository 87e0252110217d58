"""Gives the view a request is answered from: the served release for now, the history for any other pair of times."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from server.context import Context
from server.features.crs import FeatureCrs
from server.features.query import Span, refused
from server.features.render import Fragments
from server.features.view import View, with_attributes
from server.releases import OpenRelease
from server.settings import private_crs
from server.timeline import Timeline
from twin.crs.reference import Crs, parse_crs
from twin.entity.index_schema import INDEX_FIELDS
from twin.registry.versions import Time, Window

_FRAGMENT_BYTES = 192 << 20
_MOST_FRAGMENTS = 3  # that many CRSs are kept rendered
_MOST_SNAPSHOTS = 4
_MOST_MOMENTS = 200
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
        self._past: OrderedDict[tuple[object, ...], View] = OrderedDict()
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
        """Kept by what was asked, unless it is about a now that moves on."""
        timeline = self._context.timeline
        key = (release.id, moment.span, moment.as_of, timeline.head())
        moves = moment.span is None
        with self._lock:
            found = None if moves else self._past.get(key)
            if found is not None:
                self._past.move_to_end(key)
                return found
        made = View(self._table(release, moment), self._working(release), "" if moves else repr(key))
        with self._lock:
            self._past[key] = made
            while len(self._past) > _MOST_SNAPSHOTS:
                self._past.popitem(last=False)
        return made

    def _table(self, release: OpenRelease, moment: Moment) -> pa.Table:
        table = snapshot(self._context.timeline, moment.span, moment.as_of)
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
                found = self._fragments[key] = (view, Fragments(view, crs, _FRAGMENT_BYTES // _MOST_FRAGMENTS))
            self._fragments.move_to_end(key)
            while len(self._fragments) > _MOST_FRAGMENTS:
                self._fragments.popitem(last=False)
            return found[1]


def snapshot(timeline: Timeline, span: Span | None, as_of: Time | None) -> pa.Table:
    """What was there at a moment, or at any time of an interval: of an entity that changed meanwhile the last state.

    States begin with editions, so that an interval is asked at its beginning and wherever an edition begins in it.
    """
    if span is None or span.begin == span.end is not None:
        return timeline.snapshot(Window(valid=None if span is None else span.begin, as_of=as_of))
    begins = sorted({one.valid_from for one in timeline.editions()})
    first = span.begin or begins[0]
    inside = [one for one in begins if one > first and (span.end is None or one <= span.end)]
    moments = [first, *inside] if span.end is None or first <= span.end else []
    if len(moments) > _MOST_MOMENTS:
        raise refused(f"The interval of datetime spans more than {_MOST_MOMENTS} editions; ask for a shorter one.")
    return _latest([timeline.snapshot(Window(valid=one, as_of=as_of)) for one in moments], timeline)


def _latest(tables: list[pa.Table], timeline: Timeline) -> pa.Table:
    """The last state of every entity, in the order of geids."""
    if not tables:
        return timeline.snapshot(Window()).slice(0, 0)
    table = pa.concat_tables(tables)
    age = pa.array(np.repeat(np.arange(len(tables)), [len(one) for one in tables]))
    order = pc.sort_indices(
        table.select(["geid"]).append_column("age", age), [("geid", "ascending"), ("age", "ascending")]
    )
    ordered = table.take(order)
    geids = ordered["geid"].combine_chunks()
    if not len(geids):
        return ordered
    last = np.append(pc.not_equal(geids[:-1], geids[1:]).to_numpy(zero_copy_only=False), True)
    return ordered.filter(pa.array(last))
