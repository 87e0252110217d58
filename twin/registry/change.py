"""Classes what a new edition of a survey did to every entity, and flags what a person should look at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twin.registry.change_fit import fit
from twin.registry.change_groups import settle_groups
from twin.registry.change_ledger import CODE, WHY, Ledger, Scene
from twin.registry.change_overlap import Overlaps, overlaps
from twin.registry.change_pairs import settle_pairs
from twin.registry.change_place import same_outline, settle_by_outline
from twin.registry.change_result import Changes, Surveyed, Verdicts
from twin.registry.change_rules import CHANGES, KEPT, WHYS, Change, ChangeRules, Why

__all__ = ["CHANGES", "KEPT", "WHYS", "Change", "ChangeRules", "Changes", "Surveyed", "Verdicts", "Why", "compare"]

Ints = NDArray[np.int64]

USUAL = ChangeRules()
"""Limits that suit surveys at 1:500 to 1:2,000."""


def compare(before: Surveyed, after: Surveyed, rules: ChangeRules = USUAL) -> Changes:
    """Classes what happened to every entity between two editions.

    Rows in another order give the same classes. A decision that rests on weak or contradicting evidence is flagged
    `doubtful`.

    Args:
        before: The latest believed state.
        after: The new edition, in the same working CRS.
        rules: Limits.

    Returns:
        Class, partner, score and ground of each row of both editions, and the steps of lineage.
    """
    ledger = Ledger.open(Scene.of(before, after, rules))
    settle_by_outline(ledger)
    left = settle_pairs(ledger, settle_groups(ledger, overlaps(ledger)))
    _settle_far(ledger)
    _settle_rest(ledger, left)
    return ledger.close()


def _settle_far(ledger: Ledger) -> None:
    """Same key and same outline beyond `shift_m`: moved, if a person agrees."""
    if not ledger.scene.rules.trust_keys:
        return
    i, j = ledger.scene.keys.pairs()
    both = ledger.both_open(i, j)
    i, j = i[both], j[both]
    found = fit(ledger.scene.one, ledger.scene.other, i, j, ledger.scene.rules.jitter_m)
    bare = (ledger.scene.one.corners[i] == 0) != (ledger.scene.other.corners[j] == 0)
    for good, change in ((found.rigid, Change.MOVED), (bare, Change.RESHAPED)):
        rows = np.flatnonzero(good)
        one = np.ones(len(rows))
        ledger.keep(i[rows], j[rows], one.astype(np.int8) * CODE[change], Why.KEY_ONLY, 0.6 * one, one > 0)


def _settle_rest(ledger: Ledger, left: Overlaps) -> None:
    """What found no partner is new or gone; doubtful where something like it came or went nearby, or overlaps it."""
    scene = ledger.scene
    near = same_outline(ledger, scene.rules.search_m)
    i, j = scene.keys.pairs()
    rows = ((near.i, left.i, i, Change.GONE, ledger.before), (near.j, left.j, j, Change.NEW, ledger.after))
    for alike, overlapping, keyed, change, side in rows:
        why = np.full(len(side), WHY[Why.NOTHING_THERE])
        why[keyed] = WHY[Why.KEY_REUSED]
        why[overlapping] = WHY[Why.OVERLAPS_OTHER]
        why[alike] = WHY[Why.LIKE_NEARBY]
        doubtful = np.isin(why, [WHY[Why.LIKE_NEARBY], WHY[Why.OVERLAPS_OTHER]])
        ledger.end(change, why, np.where(doubtful, 0.5, 1.0), doubtful)
