"""Knows again what kept its outline: in place, shifted on its own, or shifted with its neighbours as a map sheet is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from twin.registry.change_assign import best_first, next_best
from twin.registry.change_fit import Fit, fit
from twin.registry.change_keys import ELSEWHERE, FRESH, SAME, UNKNOWN
from twin.registry.change_ledger import CODE, WHY, Ledger
from twin.registry.change_rules import Change, Why

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_NEIGHBOURS = 9
"""So many nearest neighbours tell the common shift: few, since the edge of a map sheet is sharp."""
_MARGIN = 0.25
"""A pair must be cheaper than the next by so much, or it is doubtful."""


class Shifted(NamedTuple):
    """Pairs known for certain: where they lie (before) and how far they were shifted; (p, 2) metres each."""

    place: Floats
    shift: Floats


class Candidates(NamedTuple):
    """Pairs of rows with the same outline, and the shift between them."""

    i: Ints
    j: Ints
    still: Bools
    shift: Floats

    def take(self, rows: Ints | Bools) -> Candidates:
        """Some of them."""
        return Candidates(self.i[rows], self.j[rows], self.still[rows], self.shift[rows])


def settle_by_outline(ledger: Ledger) -> Shifted:
    """Classes every row whose outline is found again within `shift_m`: unchanged, attributes_changed or moved.

    The order is that of certainty: key and place; place; key and shape; the only one of its shape nearby; shape and
    the common shift of the neighbours.

    Returns:
        Pairs that are beyond doubt, for the common shift of a place.
    """
    i, j = ledger.scene.keys.pairs()
    keyed = fit(ledger.scene.one, ledger.scene.other, i, j, ledger.scene.rules.jitter_m)
    _in_place_by_key(ledger, i, j, keyed)
    near = same_outline(ledger, ledger.scene.rules.shift_m)
    _in_place(ledger, near.take(near.still))
    _shifted_by_key(ledger, i, j, keyed)
    near = _still_open(ledger, near)
    _alone(ledger, near)
    _with_neighbours(ledger, _still_open(ledger, near))
    return certain(ledger)


def _in_place_by_key(ledger: Ledger, i: Ints, j: Ints, keyed: Fit) -> None:
    # Two that have neither of them a polygon are known by their keys alone.
    empty = (ledger.scene.one.corners[i] == 0) & (ledger.scene.other.corners[j] == 0)
    good = keyed.still | (empty & ledger.scene.rules.trust_keys)
    i, j = i[good], j[good]
    why = np.where(empty[good], WHY[Why.KEY_ONLY], WHY[Why.KEY_AND_PLACE])
    _keep(ledger, i, j, Change.UNCHANGED, why, 1.0, np.zeros(len(i), dtype=bool))


def same_outline(ledger: Ledger, reach_m: float) -> Candidates:
    """Pairs of open rows with the same outline whose lower left corners lie within `reach_m`."""
    one, other = ledger.scene.one, ledger.scene.other
    rows_i = np.flatnonzero(ledger.open_before() & (one.corners > 0))
    rows_j = np.flatnonzero(ledger.open_after() & (other.corners > 0))
    i, j = _near(one.bounds[rows_i, :2], other.bounds[rows_j, :2], reach_m)
    i, j = rows_i[i], rows_j[j]
    a, b = one.bounds[i], other.bounds[j]
    slack = 2 * ledger.scene.rules.jitter_m + 1e-5
    alike = (np.abs((a[:, 2:] - a[:, :2]) - (b[:, 2:] - b[:, :2])) <= slack).all(axis=1)
    i, j = i[alike], j[alike]
    found = fit(one, other, i, j, ledger.scene.rules.jitter_m)
    return Candidates(i, j, found.still, found.shift).take(found.rigid)


def _near(one: Floats, other: Floats, reach_m: float) -> tuple[Ints, Ints]:
    """Pairs of points within a distance."""
    if not len(one) or not len(other):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    tree = shapely.STRtree(np.asarray(shapely.points(one), dtype=object))
    j, i = tree.query(shapely.points(other), predicate="dwithin", distance=reach_m)
    return i.astype(np.int64), j.astype(np.int64)


def _still_open(ledger: Ledger, pairs: Candidates) -> Candidates:
    return pairs.take(ledger.both_open(pairs.i, pairs.j))


def _content_cost(ledger: Ledger, i: Ints, j: Ints) -> Floats:
    """What speaks against a pair of one outline: another height, other attributes, a key that belongs elsewhere."""
    scene = ledger.scene
    keys = scene.keys.relation(i, j)
    against = np.array([-1.0, 0.0, 0.25, 1.0])[keys]  # same, unknown, fresh, elsewhere
    return np.asarray(against + 1.0 * scene.height_differs(i, j) + 0.5 * scene.content_differs(i, j))


def _in_place(ledger: Ledger, pairs: Candidates) -> None:
    """Same outline in place under another key or none. Of several (stacked parts) heights and attributes decide."""
    i, j = pairs.i, pairs.j
    stray = np.abs(pairs.shift).max(axis=1, initial=0.0) / max(ledger.scene.rules.jitter_m, 1e-9)
    cost = _content_cost(ledger, i, j) + 0.1 * stray
    taken = best_first(i, j, cost)
    close = next_best(i, j, cost, taken) - cost[taken] < _MARGIN
    i, j = i[taken], j[taken]
    relation, leap = ledger.scene.relation(i, j), ledger.scene.height_leaps(i, j)
    other_thing = leap & (relation == FRESH) & ledger.scene.rules.trust_keys
    doubtful = close | leap | ((relation == ELSEWHERE) & ledger.scene.height_differs(i, j))
    kept = ~other_thing
    why = np.where(relation == UNKNOWN, WHY[Why.PLACE], WHY[Why.RENUMBERED])
    _keep(ledger, i[kept], j[kept], Change.UNCHANGED, why[kept], 0.95, doubtful[kept])
    i, j = i[other_thing], j[other_thing]
    score = np.full(len(i), 0.5)
    ledger.succeed(i, j, Change.REPLACED, Why.OTHER_HEIGHT, score, np.ones(len(i), dtype=bool))


def _shifted_by_key(ledger: Ledger, i: Ints, j: Ints, keyed: Fit) -> None:
    """Same key and outline within `shift_m`."""
    if not ledger.scene.rules.trust_keys:
        return
    near = np.hypot(*keyed.shift.T) <= ledger.scene.rules.shift_m
    good = np.flatnonzero(keyed.rigid & ~keyed.still & near & ledger.both_open(i, j))
    i, j = i[good], j[good]
    _keep(ledger, i, j, Change.MOVED, WHY[Why.KEY_AND_SHAPE], 0.98, np.zeros(len(i), dtype=bool))


def _alone(ledger: Ledger, pairs: Candidates) -> None:
    """Same outline within `shift_m`, and neither has another of its outline there."""
    i, j = pairs.i, pairs.j
    alone = (np.bincount(i, minlength=1)[i] == 1) & (np.bincount(j, minlength=1)[j] == 1) if len(i) else i == 0
    i, j = i[alone], j[alone]
    _keep(ledger, i, j, Change.MOVED, WHY[Why.SHAPE_NEARBY], 0.9, _contradicted(ledger, i, j))


def _contradicted(ledger: Ledger, i: Ints, j: Ints) -> Bools:
    """Heights or keys speak against what the outline says."""
    relation = ledger.scene.relation(i, j)
    return np.asarray((ledger.scene.height_differs(i, j) & (relation != SAME)) | (relation == ELSEWHERE))


def _with_neighbours(ledger: Ledger, pairs: Candidates) -> None:
    """Several of one outline nearby, as in a terrace of narrow houses: the one that shifted like the neighbours."""
    i, j = pairs.i, pairs.j
    expected = common_shift(ledger, certain(ledger), ledger.scene.one.centre()[i])
    stray = np.hypot(*(pairs.shift - expected.shift).T)
    cost = stray + 0.3 * _content_cost(ledger, i, j)
    taken = best_first(i, j, cost)
    close = next_best(i, j, cost, taken) - cost[taken] < _MARGIN
    i, j = i[taken], j[taken]
    doubtful = close | ~expected.known[taken] | (stray[taken] > 0.3) | _contradicted(ledger, i, j)
    _keep(ledger, i, j, Change.MOVED, WHY[Why.COMMON_SHIFT], 0.9, doubtful)


def _keep(ledger: Ledger, i: Ints, j: Ints, change: Change, why: object, score: float, doubtful: Bools) -> None:
    scores = score - 0.05 * ledger.scene.content_differs(i, j) - 0.3 * doubtful
    whys = np.broadcast_to(np.asarray(why, dtype=np.int8), len(i))
    ledger.keep(i, j, np.full(len(i), CODE[change]), whys, scores, doubtful)


def certain(ledger: Ledger) -> Shifted:
    """Pairs kept with their outline and without doubt."""
    side = ledger.after
    outline = side.is_(Change.UNCHANGED) | side.is_(Change.ATTRIBUTES_CHANGED) | side.is_(Change.MOVED)
    j = np.flatnonzero(outline & ~side.doubtful & (ledger.scene.other.corners > 0))
    i = side.partner[j]
    place = ledger.scene.one.centre()[i]
    return Shifted(place, ledger.scene.other.centre()[j] - place)


class Expected(NamedTuple):
    """How the neighbours of places shifted; (n, 2) metres each.

    Attributes:
        shift: Median of the nearest, axis by axis; zero where there are none.
        other: Shift of the neighbour that differs most from it: at the edge of a map sheet it may be the right one.
        known: (n,) there are at least three neighbours.
    """

    shift: Floats
    other: Floats
    known: Bools


def common_shift(ledger: Ledger, sure: Shifted, place: Floats) -> Expected:
    """How the nearest certain pairs shifted.

    Args:
        ledger: For the rules.
        sure: Certain pairs.
        place: (n, 2) where the shift is wanted, metres.
    """
    at, which = _nearest(place, sure.place, ledger.scene.rules.neighbour_m)
    shift, known = np.zeros((len(place), 2)), np.zeros(len(place), dtype=bool)
    rows, start, count = np.unique(at, return_index=True, return_counts=True)
    for axis in (0, 1):
        value = sure.shift[which, axis]
        ranked = value[np.lexsort([value, at])]
        shift[rows, axis] = (ranked[start + (count - 1) // 2] + ranked[start + count // 2]) / 2
    known[rows] = count >= 3
    other = shift.copy()
    stray = np.hypot(*(sure.shift[which] - shift[at]).T)
    order = np.lexsort([sure.shift[which, 1], sure.shift[which, 0], stray, at])  # the last of each place strays most
    other[at[order]] = sure.shift[which[order]]
    return Expected(shift, other, known)


def _nearest(place: Floats, others: Floats, reach_m: float) -> tuple[Ints, Ints]:
    """Pairs of each place and its `_NEIGHBOURS` nearest others, sorted by place."""
    at, which = _near(place, others, reach_m)
    distance = np.hypot(*(others[which] - place[at]).T)
    order = np.lexsort([others[which, 1], others[which, 0], distance, at])
    at, which = at[order], which[order]
    close = np.arange(len(at)) - np.searchsorted(at, at) < _NEIGHBOURS
    return at[close], which[close]
