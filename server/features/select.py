"""Which features a request gets, and in which order: rows of a view, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from server.features.cursor import Cursor
from server.features.query import BoxFilter, Order, Query, refused
from server.features.refusals import refusals
from twin.entity.rows import json_value
from twin.query.evaluate import matching
from twin.query.spatial import Place, inside_box
from twin.query.view import Rows, View


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    Attributes:
        rows: Of the view, in order.
        matched: How many features match on all pages.
        cursor: Where the next page begins; None on the last one.
    """

    rows: Rows
    matched: int
    cursor: Cursor | None


def matched(view: View, collection: str, query: Query) -> Rows:
    """Rows of a collection that match, in the order of geids."""
    rows = view.classes.get(collection, np.empty(0, np.int64))
    with refusals():
        if query.bbox is not None:
            rows = _in_box(view, rows, query.bbox)
        if query.filter is not None and query.filter_crs is not None:
            rows = matching(view, rows, query.filter, Place(query.filter_crs))
    return rows


def _in_box(view: View, rows: Rows, wanted: BoxFilter) -> Rows:
    there = inside_box(view, wanted.box, wanted.crs)
    rows = _common(there, rows)
    if wanted.heights is None:
        return rows
    low, high = wanted.heights
    base, top = (one[rows] for one in view.vertical)
    return rows[~((top < low) | (base > high))]  # an unknown height rules nothing out


def _common(few: Rows, many: Rows) -> Rows:
    """What of a few rows is among many, both ascending."""
    at = np.searchsorted(many, few)
    inside = at < len(many)
    inside[inside] = many[at[inside]] == few[inside]
    return few[inside]


def page(view: View, collection: str, query: Query) -> Page:
    """The rows of one page.

    Raises:
        ProblemError: 400 where filter, order and cursor do not fit the features.
    """
    rows = matched(view, collection, query)
    total = len(rows)
    if query.sortby:
        rows = _sorted_after(view, rows, query.sortby, query.cursor)
    elif query.cursor is not None:
        rows = rows[np.searchsorted(rows, view.position(query.cursor.geid, right=True)) :]
    more = len(rows) > query.limit
    rows = rows[: query.limit]
    return Page(rows, total, _cursor(view, int(rows[-1]), query.sortby) if more else None)


def _cursor(view: View, row: int, order: tuple[Order, ...]) -> Cursor:
    table = view.table
    values = tuple(json_value(table[view.fields[one.name].column][row].as_py()) for one in order)
    return Cursor(table["geid"][row].as_py(), values)


def _sorted_after(view: View, rows: Rows, order: tuple[Order, ...], cursor: Cursor | None) -> Rows:
    """Rows in the order of `sortby`, then of geids; those after the cursor. Values that are missing come last."""
    ranks, last = [], []
    for at, one in enumerate(order):
        column = view.table[view.fields[one.name].column].take(pa.array(rows))
        rank, limit = _rank(column, one.descending, None if cursor is None else cursor.values[at], cursor is not None)
        ranks.append(rank)
        last.append(limit)
    sequence = np.lexsort((rows, *reversed(ranks)))
    ordered = rows[sequence]
    if cursor is None:
        return ordered
    beyond = _beyond([rank[sequence] for rank in ranks], last, ordered >= view.position(cursor.geid, right=True))
    return ordered[beyond]


def _rank(column: Any, descending: bool, value: Any, has_cursor: bool) -> tuple[NDArray[np.float64], float]:
    """Place of every value among the different values of a column, and the place of the cursor's value among them."""
    known = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_floating(known.type):
        known = pc.if_else(pc.is_finite(known), known, pa.scalar(None, known.type))
    distinct = pc.unique(known).drop_null()
    distinct = distinct.take(pc.sort_indices(distinct))
    codes = pc.fill_null(pc.index_in(known, value_set=distinct), -1).to_numpy(zero_copy_only=False).astype(np.float64)
    missing = codes < 0
    sign = -1.0 if descending else 1.0
    rank = np.where(missing, np.inf, sign * codes)
    if not has_cursor:
        return rank, 0.0
    return rank, np.inf if value is None else sign * _place(distinct, value)


def _place(distinct: pa.Array, value: Any) -> float:
    """Where a value stands among sorted ones; between two of them where it is not there any more."""
    try:
        wanted = pa.scalar(value).cast(distinct.type)
        below = pc.sum(pc.less(distinct, wanted)).as_py() or 0
        same = pc.any(pc.equal(distinct, wanted)).as_py()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        raise refused("The cursor does not fit sortby; follow the `next` link of a page as it is.") from None
    return float(below) if same else below - 0.5


def _beyond(ranks: list[NDArray[np.float64]], last: list[float], after: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which rows come after the cursor: larger in the first key, or equal and larger in the next, or later by geid."""
    found = after
    for rank, limit in zip(reversed(ranks), reversed(last), strict=True):
        found = (rank > limit) | ((rank == limit) & found)
    return found
