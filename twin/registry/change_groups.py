"""Splits and merges: one outline that several others lie in, side by side, and fill."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.registry.change_ledger import Ledger
from twin.registry.change_overlap import Overlaps, walls_kept
from twin.registry.change_rules import Change, ChangeRules, Why

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_FILLED_MOST = 1.15
"""Pieces that fill more than this of the whole lie on each other: storeys or parts, not pieces."""


@dataclass(frozen=True, slots=True)
class Star:
    """Pairs seen from the side of the wholes.

    Attributes:
        whole, piece: (p,) rows: of the edition before and after for splits, the other way round for merges.
        of_whole, of_piece: (p,) shared area as a share of each.
        walls: (p,) share of the walls of the whole that the piece has too.
        leap: (p,) the heights differ so much that it may be another building.
    """

    whole: Ints
    piece: Ints
    of_whole: Floats
    of_piece: Floats
    walls: Floats
    leap: Bools


def settle_groups(ledger: Ledger, pairs: Overlaps) -> Overlaps:
    """Classes what was split or merged.

    Returns:
        The pairs of which neither row is classed.
    """
    rules = ledger.scene.rules
    for change in (Change.SPLIT, Change.MERGED):
        inner = _several(pairs, change)
        group = pairs.take(inner)
        if len(group):
            good, doubtful, score = judge(_star(ledger, group, change), rules)
            group = group.take(good)
            other = _torn(pairs, group)
            doubt = doubtful[good] | other
            ledger.succeed(group.i, group.j, change, Why.PIECES, np.where(doubt, 0.5, 1.0) * score[good], doubt)
        pairs = pairs.take(ledger.both_open(pairs.i, pairs.j))
    return pairs


def _several(pairs: Overlaps, change: Change) -> Bools:
    """Pairs whose whole has another piece that lies mostly inside it: only those can be a split or a merge."""
    whole = pairs.i if change is Change.SPLIT else pairs.j
    inside = (pairs.of_after if change is Change.SPLIT else pairs.of_before) > 0.5
    count = np.bincount(whole[inside], minlength=int(whole.max()) + 1 if len(whole) else 0)
    return inside & (count[whole] >= 2) if len(whole) else inside


def _star(ledger: Ledger, pairs: Overlaps, change: Change) -> Star:
    rules = ledger.scene.rules
    before, after = walls_kept(pairs, rules.wall_m + rules.jitter_m)
    leap = ledger.scene.height_leaps(pairs.i, pairs.j)
    if change is Change.SPLIT:
        return Star(pairs.i, pairs.j, pairs.of_before, pairs.of_after, before, leap)
    return Star(pairs.j, pairs.i, pairs.of_after, pairs.of_before, after, leap)


def judge(star: Star, rules: ChangeRules) -> tuple[Bools, Bools, Floats]:
    """Which pairs belong to a split (or merge), which of them are doubtful, and how well the pieces fill the whole.

    Pieces lie inside to `inside` and fill the whole to as much; none is `dominant`; they do not lie on each other.
    """
    order, start = np.unique(star.whole, return_index=True)
    group = np.searchsorted(order, star.whole)
    count, filled, walls = (
        np.bincount(group, weights=weight, minlength=len(start)) for weight in (None, star.of_whole, star.walls)
    )
    largest, loosest = np.zeros(len(start)), np.ones(len(start))
    np.maximum.at(largest, group, star.of_whole)
    np.minimum.at(loosest, group, star.of_piece)
    leaps = np.bincount(group, weights=star.leap, minlength=len(start)) == count
    least = np.minimum(filled, loosest)
    good = (count >= 2) & (least >= rules.inside) & (filled <= _FILLED_MOST) & (largest < rules.dominant)
    doubtful = (
        (least < rules.inside + rules.doubt)
        | (largest > rules.dominant - rules.doubt)
        | (filled > _FILLED_MOST - rules.doubt)
        | (walls < rules.walls_same + rules.doubt)
        | leaps
    )
    return good[group], doubtful[group], np.minimum(filled, 1.0)[group]


def _torn(pairs: Overlaps, group: Overlaps) -> Bools:
    """Pairs of a group that touches something outside it."""
    own = set(zip(group.i.tolist(), group.j.tolist(), strict=True))
    inside = np.fromiter(((a, b) in own for a, b in zip(pairs.i.tolist(), pairs.j.tolist(), strict=True)), dtype=bool)
    outside = pairs.take(~inside)
    return np.isin(group.i, outside.i) | np.isin(group.j, outside.j)
