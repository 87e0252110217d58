"""Cases and streams as they stood at one moment, by what was known at another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.live.model import OPEN, STATUSES
from twin.live.signs.ledger import Rows

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

_NEVER = np.iinfo(np.int64).max
_OPEN = np.array([status in OPEN for status in STATUSES])
_CLOSED, _DISPATCHED = STATUSES.index("closed"), STATUSES.index("dispatched")
HOUR_MS = 3_600_000.0


@dataclass(frozen=True, slots=True)
class Cases:
    """One row a case. Times are milliseconds since 1970, NaN where there is none.

    Attributes:
        offset: Of its last report.
        recorded_row: (n,) row of that report among the rows of the moment.
        kind, severity: Of its last report.
        opened, closed, dispatched, due: When it began; ended, if it has; somebody was first sent; it has to be done.
        open: Whether it wants something done.
        geid, row, area: What it is tied to, by the last report that says so; -1 nothing.
        text: Fields of `data`, by the last report that states them.
    """

    offset: Ints
    kind: Ints
    severity: Ints
    opened: Floats
    closed: Floats
    dispatched: Floats
    due: Floats
    open: Flags
    geid: Ints
    row: Ints
    area: Ints
    text: Mapping[str, Ints]

    def __len__(self) -> int:
        return len(self.offset)


class Snapshot:
    """Reports known at one moment that had happened at another.

    Args:
        rows: Sorted by case, time and offset.
        moment_ms: What happens later is left out.
        as_of_ms: What was recorded later is left out.
    """

    def __init__(self, rows: Rows, moment_ms: int, as_of_ms: int) -> None:
        column = rows.column
        self.moment_ms = moment_ms
        usable = (column["recorded"] <= as_of_ms) & (column["occurred"] <= moment_ms)
        stream = column["stream"].astype(np.bool_)
        self._rows, self._usable, self._stream = rows, usable, stream

    @cached_property
    def streams(self) -> Rows:
        """Reports of streams, by stream and time."""
        return self._rows.take(self._usable & self._stream)

    @cached_property
    def case_rows(self) -> Rows:
        """Reports of cases, by case and time."""
        return self._rows.take(self._usable & ~self._stream)

    @cached_property
    def cases(self) -> Cases:
        """Every case as it stood."""
        rows = self.case_rows
        column, starts = rows.column, starts_of(rows)
        ends = _ends(starts, len(rows))
        status = column["status"][ends].astype(np.int64)
        occurred = column["occurred"].astype(np.float64)
        linked = _last_with(column["geid"] >= 0, starts, ends)
        placed = _last_with(column["area"] >= 0, starts, ends)
        area = _code(column["area"], linked)
        return Cases(
            column["offset"][ends].astype(np.int64),
            column["kind"][ends].astype(np.int64),
            column["severity"][ends].astype(np.int64),
            occurred[starts],
            np.where(status == _CLOSED, occurred[ends], np.nan),
            _at(occurred, _first_with(column["status"] == _DISPATCHED, starts, ends)),
            _at(column["due"], _last_with(np.isfinite(column["due"].astype(np.float64)), starts, ends)),
            _OPEN[status],
            _code(column["geid"], linked),
            _code(column["row"], linked),
            np.where(area >= 0, area, _code(column["area"], placed)),
            {
                name.removeprefix("text."): _code(one, _last_with(one >= 0, starts, ends))
                for name, one in column.items()
                if name.startswith("text.")
            },
        )


def carriers(rows: Rows) -> Ints:
    """Reports on which the state of a case may rest, whatever is reported later: everything `Cases` takes from one.

    The first and the last of a case, the first that sent somebody, and the last that states a due time, an entity, a
    place, or a field. A later report can only take the place of one of them, never bring back another.
    """
    if not len(rows):
        return np.empty(0, dtype=np.int64)
    column, starts = rows.column, starts_of(rows)
    ends = _ends(starts, len(rows))
    stated = [column["geid"] >= 0, column["area"] >= 0, np.isfinite(column["due"].astype(np.float64))]
    stated += [one >= 0 for name, one in column.items() if name.startswith("text.")]
    # the place of a report on other ground is not known yet: whoever has a position may come to have an area
    stated.append(np.isfinite(column["lon"].astype(np.float64)))
    found = [starts, ends, _first_with(column["status"] == _DISPATCHED, starts, ends)]
    found += [_last_with(one, starts, ends) for one in stated]
    kept = np.unique(np.concatenate(found))
    return kept[kept >= 0]


def starts_of(rows: Rows) -> Ints:
    """First row of every case or stream."""
    case = rows.column["case"]
    return np.flatnonzero(np.concatenate([[True], case[1:] != case[:-1]])) if len(rows) else np.empty(0, np.int64)


def _ends(starts: Ints, count: int) -> Ints:
    """Last row of every case."""
    return np.append(starts[1:], count)[: len(starts)] - 1


def _last_with(valid: NDArray[np.bool_], starts: Ints, ends: Ints) -> Ints:
    """(n,) last row of every case for which it holds; -1 none."""
    if not len(valid):
        return np.empty(0, dtype=np.int64)
    last = np.maximum.accumulate(np.where(valid, np.arange(len(valid)), -1))[ends]
    return np.where(last >= starts, last, -1)


def _first_with(valid: NDArray[np.bool_], starts: Ints, ends: Ints) -> Ints:
    """(n,) first row of every case for which it holds; -1 none."""
    if not len(valid):
        return np.empty(0, dtype=np.int64)
    back = np.where(valid, np.arange(len(valid)), _NEVER)[::-1]
    first = np.minimum.accumulate(back)[::-1][starts]
    return np.where(first <= ends, first, -1)


def _at(values: NDArray[Any], rows: Ints) -> Floats:
    """Numbers of rows, NaN where the row is -1."""
    return np.where(rows >= 0, values[rows], np.nan) if len(rows) else np.empty(0)


def _code(values: NDArray[Any], rows: Ints) -> Ints:
    """Codes of rows, -1 where the row is -1."""
    return np.where(rows >= 0, values[rows], -1).astype(np.int64) if len(rows) else np.empty(0, dtype=np.int64)
