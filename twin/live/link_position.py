"""Positions to entities: what holds it, else what is nearest within its accuracy, by what the kind prefers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twin.entity.index import VERTICAL_SLACK_M
from twin.live.link_found import METHOD, Chosen, Flags, Floats, Ints
from twin.live.link_scene import Scene

UNSTATED_REACH_M = 15.0
"""How far from an entity a position may be whose accuracy is not stated."""

MOST_REACH_M = 100.0
"""A position that may be further off than this does not reach further."""

CONTAINS, NEAR = 0.95, 0.85
"""Confidence of a position inside a footprint, and just outside of one, with nothing else around."""

HEIGHT_DOUBT_M = 50.0
"""A height so far off the entity may still be one above the sea: that lies off the ellipsoid by some tens of metres."""

_UNSTATED_M = 5.0  # the accuracy believed where none is stated
_LEAST_M = 1.0
_DOUBTED = 0.5
_BUCKETS_M = (5.0, UNSTATED_REACH_M, 40.0, MOST_REACH_M)


@dataclass(frozen=True, slots=True)
class Positions:
    """Positions of n reports.

    Attributes:
        xy: (n, 2) working CRS, metres; NaN where there is none.
        h: (n,) ellipsoidal heights, metres; NaN where there is none.
        accuracy: (n,) metres, a radius that holds the true place in 95 of 100 cases; NaN where it is not stated.
        kind: (n,) row of `ranks`.
        ranks: (kinds, groups) as `Scene.ranks` gives them.
    """

    xy: Floats
    h: Floats
    accuracy: Floats
    kind: Ints
    ranks: Ints

    @property
    def reach(self) -> Floats:
        """(n,) how far from a footprint still counts, metres."""
        stated = np.clip(self.accuracy, _LEAST_M, MOST_REACH_M)
        return np.where(np.isnan(self.accuracy), UNSTATED_REACH_M, stated)


@dataclass(frozen=True, slots=True)
class _Hits:
    """(report, row) pairs, the nearest of a report first."""

    query: Ints
    row: Ints
    distance: Floats
    rank: Ints
    doubted: Flags

    def take(self, kept: Flags | Ints) -> _Hits:
        return _Hits(self.query[kept], self.row[kept], self.distance[kept], self.rank[kept], self.doubted[kept])


def at_positions(scene: Scene, asked: Positions) -> tuple[Chosen, Ints]:
    """What stands at positions.

    The best rank wins, then the nearest (0 inside), then the smallest. Its confidence is shared with what has the same
    rank and lies so near that the position could mean it. What holds or is part of the chosen one is no rival of it,
    and neither are areas, which lie in each other.

    Args:
        scene: The entities.
        asked: n positions.

    Returns:
        The choices, and (n,) the method: contains or near.
    """
    count, reach = len(asked.xy), asked.reach
    hits = _near(scene, asked, reach)
    chosen, confidence = np.full(count, -1, np.int64), np.zeros(count)
    away, method = np.full(count, np.nan), np.full(count, METHOD["contains"], np.int64)
    at = hits.query[_firsts(hits)]
    best = hits.take(_firsts(hits))
    inside = best.distance == 0
    chosen[at], away[at] = best.row, best.distance
    method[at[~inside]] = METHOD["near"]
    ceiling = np.where(inside, CONTAINS, NEAR * (1 - 0.5 * best.distance / reach[at]))
    confidence[at] = ceiling * _shares(scene, asked, hits, best, count)[at] * np.where(best.doubted, _DOUBTED, 1.0)
    return Chosen(chosen, confidence, away, np.empty(0, np.bool_)), method


def _near(scene: Scene, asked: Positions, reach: Floats) -> _Hits:
    """Pairs that count, by report, doubt, rank, distance and area."""
    parts = []
    least = 0.0
    for most in _BUCKETS_M:
        # One wide search for all would make each accurate position pay for the vaguest.
        at = np.flatnonzero((reach > least) & (reach <= most) & np.isfinite(asked.xy).all(axis=1))
        least = most
        if len(at):
            found = scene.index.at_many_xy(asked.xy[at], None, min(most, float(reach[at].max())))
            parts.append((at[np.repeat(np.arange(len(at)), np.diff(found.offset))], found.row, found.distance))
    if not parts:
        nothing = np.empty(0, np.int64)
        return _Hits(nothing, nothing, np.empty(0), nothing, np.empty(0, np.bool_))
    query, row, distance = (np.concatenate([part[i] for part in parts]) for i in range(3))
    rank = asked.ranks[asked.kind[query], scene.group[row]]
    gap = _gap(scene, row, asked.h[query])
    kept = (rank >= 0) & (distance <= reach[query]) & (gap <= HEIGHT_DOUBT_M)
    kept &= (distance == 0) | ~scene.is_area[scene.group[row]]  # the next district is nothing to be near to
    hits = _Hits(query, row, distance, rank, gap > VERTICAL_SLACK_M + reach[query]).take(kept)
    return hits.take(np.lexsort((np.arange(len(hits.query)), hits.rank, hits.doubted, hits.query)))


def _gap(scene: Scene, row: Ints, h: Floats) -> Floats:
    """(m,) metres of a height below the base or above the roof; 0 where one of them is unknown."""
    return np.nan_to_num(np.maximum(np.maximum(scene.base[row] - h, h - scene.top[row]), 0.0))


def _firsts(hits: _Hits) -> Ints:
    return np.flatnonzero(np.diff(hits.query, prepend=-1))


def _shares(scene: Scene, asked: Positions, hits: _Hits, best: _Hits, count: int) -> Floats:
    """(n,) weight of the chosen among all that might be meant; the error is normal, its 95 % radius the accuracy."""
    row, distance = np.full(count, -1, np.int64), np.zeros(count)
    rank, doubted = np.full(count, -1, np.int64), np.zeros(count, np.bool_)
    row[best.query], distance[best.query] = best.row, best.distance
    rank[best.query], doubted[best.query] = best.rank, best.doubted
    accuracy = np.where(np.isnan(asked.accuracy), _UNSTATED_M, np.clip(asked.accuracy, _LEAST_M, MOST_REACH_M))
    chosen = row[hits.query]
    rival = (hits.rank == rank[hits.query]) & (hits.doubted == doubted[hits.query]) & (hits.row != chosen)
    rival &= ~scene.is_area[scene.group[hits.row]]
    rival &= (scene.parent[hits.row] != chosen) & (scene.parent[chosen] != hits.row)
    one = hits.take(rival)
    excess = (one.distance**2 - distance[one.query] ** 2) / (accuracy[one.query] / 2) ** 2
    others = np.bincount(one.query, np.exp(-0.5 * np.maximum(excess, 0.0)), minlength=count).astype(np.float64)
    return 1.0 / (1.0 + others)
