"""What stood at any time of an interval: of every entity the last state in it, found among all that is asserted."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from twin.registry.versions import Time

_FOREVER = 2**62  # later than any moment of a calendar, and one may still be added
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
Numbers = NDArray[np.int64]


def micros(time: Time | None, otherwise: int) -> int:
    """Microseconds since 1970; `otherwise` where the end is open."""
    return otherwise if time is None else (time - _EPOCH) // datetime.timedelta(microseconds=1)


def last_states(claims: pa.Table, begin: Time | None, end: Time | None) -> pa.Table:
    """The last state of every entity that was there at some time of an interval.

    A state ends where its own span does or just before a later edition speaks; it returns where the span of a
    correction is over. So the last moment of a state is the last one of some span, or the one before a span begins.

    Args:
        claims: `RECORDED_FIELDS`: every assertion known whose span meets the interval, by geid, then edition.
        begin: First moment, inclusive; None: open.
        end: Last moment, inclusive; None: open.

    Returns:
        Rows of `claims`, one an entity, in the order of geids.
    """
    if not claims.num_rows:
        return claims
    first, last = _spans(claims, micros(begin, -_FOREVER), micros(end, _FOREVER))
    start, count = _entities(claims["geid"])
    entity = np.tile(np.repeat(np.arange(len(start)), count), 2)
    moment = np.concatenate([last, first - 1])
    row = _believed(moment, first, last, start[entity], count[entity])
    present = claims["present"].to_numpy()
    kept = np.flatnonzero((row >= 0) & present[row])
    kept = kept[np.lexsort((moment[kept], entity[kept]))]
    latest = np.append(entity[kept][1:] != entity[kept][:-1], True)[: len(kept)]
    return claims.take(pa.array(row[kept[latest]]))


def _spans(claims: pa.Table, begin: int, end: int) -> tuple[Numbers, Numbers]:
    """(n,) first and last microsecond of every span inside the interval, both inclusive."""
    first = claims["valid_from"].cast(pa.int64()).to_numpy()
    until = pc.fill_null(claims["valid_to"].cast(pa.int64()), _FOREVER + 1).to_numpy()
    return np.maximum(first, begin), np.minimum(until - 1, end)


def _entities(names: Any) -> tuple[Numbers, Numbers]:
    """First row and number of rows of every entity."""
    geids = names.combine_chunks()
    new = np.append(True, pc.not_equal(geids[1:], geids[:-1]).to_numpy(zero_copy_only=False))
    start = np.flatnonzero(new)
    return start, np.diff(np.append(start, len(geids)))


def _believed(moment: Numbers, first: Numbers, last: Numbers, start: Numbers, count: Numbers) -> Numbers:
    """Row that counts at each moment: the last one, so that of the latest edition, that holds it; -1 where none does.

    Args:
        moment: (m,) microseconds.
        first, last: (n,) spans of all rows.
        start, count: (m,) which rows speak of the entity of each moment.
    """
    offset = np.concatenate([[0], np.cumsum(count)[:-1]])
    pair = np.repeat(np.arange(len(moment)), count)
    row = np.arange(len(pair)) - np.repeat(offset - start, count)
    holds = (first[row] <= moment[pair]) & (last[row] >= moment[pair])
    return np.asarray(np.maximum.reduceat(np.where(holds, row, -1), offset))
