"""Lists and states of reports out of the store: found a page at a time, written with the bytes the stream sends too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from server.live.geojson import feature
from server.live.parcel import Encode
from server.live.select import Match, Selection, matcher
from twin.live.model import STATUSES, EventStore, Stored

LIMIT, MOST = 100, 10_000
STATE_LIMIT, STATE_MOST = 10_000, 100_000
_SCANNED = 1000
_MOST_SCANS = 50
_NOT_CLOSED = frozenset(STATUSES) - {"closed"}


@dataclass(frozen=True, slots=True)
class Found:
    """A page.

    Attributes:
        reports: The youngest first.
        cursor: Where the next page begins; None where there is none.
    """

    reports: Sequence[Stored]
    cursor: int | None


def find(store: EventStore, selection: Selection, limit: int, before: int | None) -> Found:
    """A page of reports.

    The store answers the filter; regions are looked at here. Where hardly anything lies in them, a page may be short
    or empty and still have a next one: the work for one answer is bounded.
    """
    if not selection.regions:
        found = store.select(selection.filter, limit + 1, before)
        return Found(found[:limit], found[limit - 1].offset if len(found) > limit else None)
    return _scan(store, selection, limit, before)


def _scan(store: EventStore, selection: Selection, limit: int, before: int | None) -> Found:
    match = regional(selection)
    kept: list[Stored] = []
    for _ in range(_MOST_SCANS):
        rows = store.select(selection.filter, _SCANNED, before)
        for stored in rows:
            if match(stored):
                kept.append(stored)
                if len(kept) == limit:
                    return Found(kept, stored.offset)
        if len(rows) < _SCANNED:
            return Found(kept, None)
        before = rows[-1].offset
    return Found(kept, before)


def regional(selection: Selection) -> Match:
    """The regions of a selection alone; the store has answered the rest."""
    return matcher(Selection(regions=selection.regions))


@dataclass(frozen=True, slots=True)
class State:
    """The last report of every case.

    Attributes:
        reports: Of the cases.
        position: Offset the answer holds for: a stream taken up after it continues the state without a gap.
        truncated: True where there are more than were asked for.
    """

    reports: Sequence[Stored]
    position: int
    truncated: bool


def state(store: EventStore, selection: Selection, limit: int) -> State:
    """What is the case now, or was as far as known at `as_of`: without closed cases, unless they are asked for."""
    wanted = selection.filter
    if wanted.statuses is None and wanted.open is None:
        wanted = replace(wanted, statuses=_NOT_CLOSED)
    rows, position = store.state(wanted, STATE_MOST if selection.regions else limit + 1)
    if selection.regions:
        match = regional(selection)
        rows = [stored for stored in rows if match(stored)]
    return State(rows[:limit], position, len(rows) > limit)


def as_json(head: dict[str, Any], reports: Sequence[Stored], encode: Encode) -> bytes:
    """A document with its reports as CloudEvents."""
    return _document(head, b'"events":[', reports, encode)


def as_geojson(head: dict[str, Any], reports: Sequence[Stored]) -> bytes:
    """A feature collection."""
    return _document(
        {"type": "FeatureCollection", **head}, b'"features":[', reports, lambda one: orjson.dumps(feature(one))
    )


def _document(
    head: dict[str, Any], opened: bytes, reports: Sequence[Stored], write: Callable[[Stored], bytes]
) -> bytes:
    return orjson.dumps(head)[:-1] + b"," + opened + b",".join(map(write, reports)) + b"]}"
