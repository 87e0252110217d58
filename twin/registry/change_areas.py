"""Classes what became of administrative areas: known by their ids, else by their ground, since borders shift and names
change while an area stays the same one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from twin.registry.change_assign import best_first
from twin.registry.change_fit import fit
from twin.registry.change_keys import SAME, UNKNOWN
from twin.registry.change_ledger import CODE, WHY, Ledger, Scene
from twin.registry.change_result import Changes, Surveyed
from twin.registry.change_rules import Change, ChangeRules, Why

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_SAME_GROUND = 0.98
"""From this intersection over union on two areas cover the same ground: borders are drawn anew a little beside."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Pairs of areas with ground in common; p pairs.

    Attributes:
        i, j: (p,) rows before and after.
        of_before, of_after: (p,) common ground as a share of each.
        iou: (p,) common ground over the ground of both together.
        still, rigid: (p,) the same outline in place; the same outline, perhaps shifted.
        relation: (p,) how the ids lie to each other (`twin.registry.change_keys`).
        same_name, other_name: (p,) both names are known, and equal or not.
    """

    i: Ints
    j: Ints
    of_before: Floats
    of_after: Floats
    iou: Floats
    still: Bools
    rigid: Bools
    relation: Ints
    same_name: Bools
    other_name: Bools

    def take(self, rows: Ints | Bools) -> Ground:
        """Some of them."""
        return Ground(*(getattr(self, name)[rows] for name in Ground.__slots__))


def compare_areas(
    before: Surveyed, after: Surveyed, names: tuple[pa.StringArray, pa.StringArray], rules: ChangeRules
) -> Changes:
    """Classes every area of two editions of one `[[area]]`.

    An area with the same id is the same area as long as it keeps some of its ground. Ids that are new are checked
    against the ground: an area that is only renumbered goes on. What ended is followed to what covers its ground now,
    also where that is an area that was there before (a subdistrict that went up in its neighbour).

    Args:
        before, after: The areas; heights play no part.
        names: Their names, null where unknown.
        rules: Limits, those of buildings: `jitter_m`, `overlap_same`, `overlap_sure`, `overlap_touch`, `inside`,
            `trust_keys`.

    Returns:
        As `twin.registry.change.compare`. Doubtful is only what an area's identity hangs on.
    """
    ledger = Ledger.open(Scene.of(before, after, rules))
    _settle_in_place(ledger)
    ground = common_ground(ledger, names)
    by_key = np.flatnonzero(ground.relation == SAME)
    by_ground = _by_ground(ledger, ground, by_key)
    kept = np.concatenate([by_key, by_ground])
    _follow(ledger, ground, kept)
    _keep(ledger, ground.take(by_key), _doubt_by_key(ledger, ground.take(by_key)))
    _keep(ledger, ground.take(by_ground), _doubt_by_ground(ledger, ground.take(by_ground)))
    _settle_rest(ledger, ground)
    return ledger.close()


def _settle_in_place(ledger: Ledger) -> None:
    """Same id, same outline: nearly all of them, and no polygon has to be cut."""
    if not ledger.scene.rules.trust_keys:
        return
    i, j = ledger.scene.keys.pairs()
    still = fit(ledger.scene.one, ledger.scene.other, i, j, ledger.scene.rules.jitter_m).still
    i, j = i[still], j[still]
    none = np.zeros(len(i), dtype=np.bool_)
    ledger.keep(i, j, np.full(len(i), CODE[Change.UNCHANGED]), Why.KEY_AND_PLACE, np.ones(len(i)), none)


def common_ground(ledger: Ledger, names: tuple[pa.StringArray, pa.StringArray]) -> Ground:
    """All pairs of open rows of which one covers more than `overlap_touch` of the other."""
    scene = ledger.scene
    rows_i, rows_j = np.flatnonzero(ledger.open_before()), np.flatnonzero(ledger.open_after())
    one = _valid(scene.before.footprints.take(rows_i).to_shapely())
    other = _valid(scene.after.footprints.take(rows_j).to_shapely())
    b, a = shapely.STRtree(one).query(other, predicate="intersects")
    shared = shapely.area(shapely.intersection(one[a], other[b]))
    area_i, area_j = shapely.area(one)[a], shapely.area(other)[b]
    found = np.maximum(shared / area_i, shared / area_j) >= scene.rules.overlap_touch
    a, b, shared, area_i, area_j = a[found], b[found], shared[found], area_i[found], area_j[found]
    i, j = rows_i[a], rows_j[b]
    order = np.lexsort([j, i])
    i, j, shared, area_i, area_j = i[order], j[order], shared[order], area_i[order], area_j[order]
    outline = fit(scene.one, scene.other, i, j, scene.rules.jitter_m)
    was, now = names[0].take(pa.array(i)), names[1].take(pa.array(j))
    known = pc.and_(pc.is_valid(was), pc.is_valid(now)).to_numpy(zero_copy_only=False)
    equal = pc.fill_null(pc.equal(was, now), False).to_numpy(zero_copy_only=False)
    return Ground(
        i=i,
        j=j,
        of_before=shared / area_i,
        of_after=shared / area_j,
        iou=shared / (area_i + area_j - shared),
        still=outline.still,
        rigid=outline.rigid,
        relation=scene.relation(i, j),
        same_name=known & equal,
        other_name=known & ~equal,
    )


def _valid(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    return np.where(shapely.is_valid(shapes), shapes, shapely.buffer(shapes, 0))


def _by_ground(ledger: Ledger, ground: Ground, taken: Ints) -> Ints:
    """Pairs on the same ground under another id or none, one to one, the closest first."""
    rules = ledger.scene.rules
    free = ~np.isin(ground.i, ground.i[taken]) & ~np.isin(ground.j, ground.j[taken])
    alike = (ground.relation == UNKNOWN) | ground.same_name
    good = free & (ground.iou >= np.where(alike, rules.overlap_same, rules.overlap_sure))
    rows = np.flatnonzero(good)
    cost = 1 - ground.iou[rows] + ground.other_name[rows]
    return rows[best_first(ground.i[rows], ground.j[rows], cost)]


def _doubt_by_key(ledger: Ledger, pairs: Ground) -> Bools:
    """Little of its ground and another name: the id may have been given to another area."""
    return pairs.other_name & (pairs.iou < ledger.scene.rules.overlap_same)


def _doubt_by_ground(ledger: Ledger, pairs: Ground) -> Bools:
    """Where the name does not say so, the ground must: all of it if both have ids, and these differ."""
    same_ground = pairs.iou >= _SAME_GROUND
    unkeyed = np.where(pairs.other_name, ~same_ground, pairs.iou < ledger.scene.rules.overlap_sure)
    renumbered = pairs.other_name | ~same_ground
    return ~pairs.same_name & np.where(pairs.relation == UNKNOWN, unkeyed, renumbered)


def _keep(ledger: Ledger, pairs: Ground, doubtful: Bools) -> None:
    """Areas that go on."""
    change = np.where(pairs.rigid, CODE[Change.MOVED], CODE[Change.RESHAPED])
    change = np.where(pairs.still, CODE[Change.UNCHANGED], change)
    by_outline = np.where(pairs.still, WHY[Why.PLACE], WHY[Why.OVERLAP])
    why = np.where(pairs.relation == UNKNOWN, by_outline, WHY[Why.RENUMBERED])
    why = np.where(pairs.relation == SAME, WHY[Why.KEY_AND_OVERLAP], why)
    ledger.keep(pairs.i, pairs.j, change.astype(np.int8), why.astype(np.int8), pairs.iou, doubtful)


def _follow(ledger: Ledger, ground: Ground, kept: Ints) -> None:
    """Lineage of what ended: to every area that covers a good part of its ground, or lies in it."""
    rules = ledger.scene.rules
    ended = ~np.isin(ground.i, ground.i[kept])
    steps = ground.take(ended & ((ground.of_before >= rules.overlap_touch) | (ground.of_after >= rules.inside)))
    after = np.bincount(steps.i, minlength=len(ledger.scene.before))[steps.i]
    before = np.bincount(steps.j, minlength=len(ledger.scene.after))[steps.j]
    larger = (before > 1) | (steps.of_after < rules.inside) | np.isin(steps.j, ground.j[kept])
    kinds = ((Change.REPLACED, ~larger), (Change.MERGED, larger), (Change.SPLIT, after > 1))
    for change, wanted in kinds:
        mine = np.flatnonzero(wanted if change is Change.SPLIT else wanted & (after == 1))
        some = steps.take(mine[np.argsort(-steps.of_before[mine], kind="stable")])
        why = Why.OTHER_OUTLINE if change is Change.REPLACED else Why.PIECES
        score = np.maximum(some.of_before, some.of_after)
        ledger.succeed(some.i, some.j, change, why, score, np.zeros(len(some.i), dtype=np.bool_))


def _settle_rest(ledger: Ledger, ground: Ground) -> None:
    """What has neither partner nor ancestor is new, what has no heir is gone; doubtful where its id is elsewhere."""
    keyed = ledger.scene.keys.pairs() if ledger.scene.rules.trust_keys else (np.empty(0, np.int64),) * 2
    sides = ((Change.GONE, ledger.before, ground.i, keyed[0]), (Change.NEW, ledger.after, ground.j, keyed[1]))
    for change, side, overlapping, reused in sides:
        why = np.full(len(side), WHY[Why.NOTHING_THERE])
        why[overlapping] = WHY[Why.OVERLAPS_OTHER]
        why[reused] = WHY[Why.KEY_REUSED]
        doubtful = why == WHY[Why.KEY_REUSED]
        ledger.end(change, why, np.where(doubtful, 0.5, 1.0), doubtful)
