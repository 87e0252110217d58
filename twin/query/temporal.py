"""The temporal operators of a filter: instants and intervals as two columns of microseconds."""

# ruff: noqa: ARG005 - one shape for all relations, though some look at two ends only
from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from twin.errors import MisuseError
from twin.query.cql import Node, refused
from twin.registry.moment import parse_moment

Micros = NDArray[np.float64]
Interval = tuple[Micros, Micros]
Truth = Callable[[Micros, Micros, Micros, Micros], NDArray[np.bool_]]

#: a = [s, e] against b = [t, f], after Allen; CQL2 §7.9.
_RELATIONS: Mapping[str, Truth] = {
    "t_after": lambda s, e, t, f: s > f,
    "t_before": lambda s, e, t, f: e < t,
    "t_contains": lambda s, e, t, f: (s < t) & (e > f),
    "t_disjoint": lambda s, e, t, f: (e < t) | (s > f),
    "t_during": lambda s, e, t, f: (s > t) & (e < f),
    "t_equals": lambda s, e, t, f: (s == t) & (e == f),
    "t_finishedby": lambda s, e, t, f: (s < t) & (e == f),
    "t_finishes": lambda s, e, t, f: (s > t) & (e == f),
    "t_intersects": lambda s, e, t, f: (s <= f) & (e >= t),
    "t_meets": lambda s, e, t, f: e == t,
    "t_metby": lambda s, e, t, f: s == f,
    "t_overlappedby": lambda s, e, t, f: (s > t) & (s < f) & (e > f),
    "t_overlaps": lambda s, e, t, f: (s < t) & (e > t) & (e < f),
    "t_startedby": lambda s, e, t, f: (s == t) & (e > f),
    "t_starts": lambda s, e, t, f: (s == t) & (e < f),
}
TEMPORAL = tuple(_RELATIONS)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_DAY = datetime.timedelta(days=1) - datetime.timedelta(microseconds=1)


def instant(node: Node) -> datetime.datetime:
    """A moment of a filter: `{"timestamp": …}`, or the beginning of a `{"date": …}`, UTC.

    Raises:
        FilterError: It is none.
    """
    text = node.get("timestamp", node.get("date"))
    try:
        return parse_moment(str(text))
    except MisuseError:
        raise refused(f"{str(text)[:40]!r} is no time; write TIMESTAMP('2026-01-31T08:00:00Z').") from None


def _micros(time: datetime.datetime) -> float:
    return float((time - _EPOCH) // datetime.timedelta(microseconds=1))


def temporal(op: str, args: tuple[Node, Node], column: Callable[[str], Any], count: int) -> pa.Array:
    """The truth of a temporal operator for `count` rows; null where a time is unknown."""
    (s, e), (t, f) = (_interval(one, column, count) for one in args)
    truth = _RELATIONS[op](s, e, t, f)
    return pa.array(truth, mask=np.isnan(s) | np.isnan(e) | np.isnan(t) | np.isnan(f))


def _interval(node: Node, column: Callable[[str], Any], count: int) -> Interval:
    if isinstance(node, dict) and isinstance(node.get("interval"), list) and len(node["interval"]) == 2:
        begin, end = node["interval"]
        return _bound(begin, column, count, -np.inf)[0], _bound(end, column, count, np.inf)[1]
    return _bound(node, column, count, np.nan)


def _bound(node: Node, column: Callable[[str], Any], count: int, opened: float) -> Interval:
    """Beginning and end of one side: a moment has both in one, a date has a day between them.

    `opened` is what an open end means; inside an interval a property without a value is an open end too.
    """
    if isinstance(node, dict) and "property" in node:
        return _of_column(column(str(node["property"])), opened)
    if isinstance(node, str):
        node = {"date" if len(node) == len("2026-01-31") else "timestamp": node}
        if node.get("timestamp") in ("..", ""):
            return np.full(count, opened), np.full(count, opened)
    if not isinstance(node, dict):
        raise refused("A time is expected where the filter has something else.")
    begin = instant(node)
    try:
        end = begin + _DAY if "date" in node else begin
    except OverflowError:
        end = begin
    return np.full(count, _micros(begin)), np.full(count, _micros(end))


def _of_column(values: Any, opened: float) -> Interval:
    kind = values.type
    if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        raise refused("A temporal operator needs a property that is a time.")
    stamps = values.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).cast(pa.float64())
    begin = np.asarray(pc.fill_null(stamps, opened).to_numpy(zero_copy_only=False))
    return begin, begin + (_DAY / datetime.timedelta(microseconds=1) if pa.types.is_date(kind) else 0.0)
