"""One to one where outlines overlap: the same thing reshaped, or another thing in its place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.registry.change_assign import best_first
from twin.registry.change_keys import ELSEWHERE, FRESH, SAME
from twin.registry.change_ledger import CODE, WHY, Ledger
from twin.registry.change_overlap import Overlaps, walls_kept
from twin.registry.change_rules import Change, ChangeRules, Why

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_COVERED = 0.3
"""One covers so much of the other, or it does not stand at its place."""
_COVERED_SURE = 0.2
"""... and intersection over union of so much, to be in its place beyond doubt."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for and against a pair being one thing; (p,) each.

    Attributes:
        iou: Intersection over union.
        walls: Share of walls that stand where they stood, of whichever side has the larger share.
        same_key, fresh_key, key_elsewhere: Relation of the keys.
        leap: Heights are those of different buildings.
        height_agrees: Both are known and equal within the tolerance.
        crowded: One of both overlaps a third.
    """

    iou: Floats
    walls: Floats
    same_key: Bools
    fresh_key: Bools
    key_elsewhere: Bools
    leap: Bools
    height_agrees: Bools
    crowded: Bools


def settle_pairs(ledger: Ledger, pairs: Overlaps) -> Overlaps:
    """Classes pairs as reshaped or replaced, the best ones first.

    Returns:
        The pairs of which one row found no partner.
    """
    relation = ledger.scene.relation(pairs.i, pairs.j)
    cost = 1.0 - pairs.iou - 0.5 * (relation == SAME) + 0.1 * (relation == ELSEWHERE)
    taken = best_first(pairs.i, pairs.j, np.round(cost, 9))
    covered = np.maximum(pairs.of_before, pairs.of_after)[taken] >= _COVERED
    taken = taken[covered | (relation[taken] == SAME)]
    crowd = (np.bincount(rows)[rows] > 1 for rows in (pairs.i, pairs.j)) if len(pairs) else ()
    crowded = np.logical_or.reduce([*crowd]) if len(pairs) else np.zeros(0, dtype=bool)
    chosen = pairs.take(taken)
    evidence = _gather(ledger, chosen, crowded[taken])
    same, doubtful = judge(evidence, ledger.scene.rules)
    _write(ledger, chosen, evidence, same, doubtful)
    used = np.zeros(len(pairs), dtype=bool)
    used[taken] = True
    return pairs.take(~used)


def _gather(ledger: Ledger, pairs: Overlaps, crowded: Bools) -> Evidence:
    scene, rules = ledger.scene, ledger.scene.rules
    relation = scene.relation(pairs.i, pairs.j)
    before, after = walls_kept(pairs, rules.wall_m + rules.jitter_m)
    agrees = ~scene.height_differs(pairs.i, pairs.j) & ~scene.height_unsaid(pairs.i, pairs.j)
    return Evidence(
        pairs.iou,
        np.maximum(before, after),
        relation == SAME,
        relation == FRESH,
        relation == ELSEWHERE,
        scene.height_leaps(pairs.i, pairs.j),
        agrees,
        crowded,
    )


def judge(of: Evidence, rules: ChangeRules) -> tuple[Bools, Bools]:
    """Whether each pair is one and the same thing, and whether that is doubtful.

    With the same key, overlap or walls confirm it; where both fail, the key was given to another thing. Without, both
    must. Little overlap and a leap in height make it another thing whatever the walls say: houses that stand wall to
    wall keep their side walls when they are rebuilt.
    """
    overlap, walls = of.iou >= rules.overlap_same, of.walls >= rules.walls_same
    edge = (np.abs(of.iou - rules.overlap_same) < rules.doubt) | (np.abs(of.walls - rules.walls_same) < rules.doubt)
    unproven = ~of.height_agrees & (of.walls < rules.walls_sure)
    rebuilt = (of.leap | (of.fresh_key & unproven)) & (of.iou < rules.overlap_leap)
    same_keyed = (overlap | walls) & ~rebuilt
    doubt_keyed = ~same_keyed | ~(overlap & walls) | edge | unproven
    same_free = overlap & walls & ~rebuilt
    sure_same = (of.iou >= rules.overlap_sure) & of.height_agrees & ~of.key_elsewhere
    sure_other = ~walls & (of.iou < rules.overlap_leap) & (of.iou > _COVERED_SURE) & (of.fresh_key | of.leap | ~overlap)
    doubt_free = np.where(same_free, ~sure_same, ~sure_other) | edge
    same = np.where(of.same_key, same_keyed, same_free)
    doubtful = np.where(of.same_key, doubt_keyed, doubt_free) | of.crowded
    return same, doubtful


def _write(ledger: Ledger, pairs: Overlaps, of: Evidence, same: Bools, doubtful: Bools) -> None:
    belief = 0.45 * of.iou + 0.35 * np.minimum(of.walls, 1.0) + 0.1 * of.same_key + 0.1 * of.height_agrees
    score = np.where(same, belief, 1.0 - belief)
    one = pairs.take(same)
    why = np.where(of.same_key, WHY[Why.KEY_AND_OVERLAP], WHY[Why.OVERLAP])
    ledger.keep(one.i, one.j, np.full(len(one), CODE[Change.RESHAPED]), why[same], score[same], doubtful[same])
    other = pairs.take(~same)
    ledger.succeed(other.i, other.j, Change.REPLACED, Why.OTHER_OUTLINE, score[~same], doubtful[~same])
