"""What the ways of linking find, for many reports together, and how one of several candidates is chosen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.entity.positions import Outlines, distances
from twin.live.model import METHODS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

RIVAL_SCORE = 0.05
"""A candidate whose score is no further below the best than this might be meant as well."""

METHOD = {name: number for number, name in enumerate(METHODS)}
NONE = METHOD["none"]

_UNSTATED_M = 20.0  # how far a position given beside an address or a shared code may be off, where it does not say
_LEAST_SPREAD_M = 10.0
_LEAST_WEIGHT = 1e-6
_TOGETHER_M = 250.0  # candidates no further apart than this have a middle that is worth drawing


@dataclass(frozen=True, slots=True)
class Found:
    """What was found for n reports.

    Attributes:
        row: (n,) row of the index; -1 where nothing was found.
        method: (n,) index into `METHODS`.
        confidence: (n,) 0 to 1.
        distance: (n,) metres from the position given; NaN where no position decided.
    """

    row: Ints
    method: NDArray[np.int8]
    confidence: Floats
    distance: Floats

    @classmethod
    def nothing(cls, count: int) -> Found:
        """For so many reports, none of which has been linked yet."""
        numbers = np.zeros(count)
        return cls(np.full(count, -1, np.int64), np.full(count, NONE, np.int8), numbers, np.full(count, np.nan))

    def put(self, at: Ints, method: Ints | int, chosen: Chosen) -> None:
        """Enters what was chosen for some reports, where something was."""
        there = chosen.row >= 0
        rows = at[there]
        self.row[rows] = chosen.row[there]
        self.method[rows] = method[there] if isinstance(method, np.ndarray) else method
        self.confidence[rows] = chosen.confidence[there]
        self.distance[rows] = chosen.distance[there]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Entities that reports may mean, a pair a row, all pairs of a report together.

    Attributes:
        count: How many reports were asked about.
        query: (m,) number of the report, ascending.
        row: (m,) row of the index.
        score: (m,) how well it answers, 0 to 1.
    """

    count: int
    query: Ints
    row: Ints
    score: Floats

    def take(self, kept: Flags) -> Candidates:
        """Some of the pairs."""
        return Candidates(self.count, self.query[kept], self.row[kept], self.score[kept])


@dataclass(frozen=True, slots=True)
class Chosen:
    """The candidate of each report.

    Attributes:
        row: (n,) -1 where there was none.
        confidence: (n,) its score, shared with those that might be meant as well.
        distance: (n,) metres from the position given; NaN where none was.
        rival: (m,) pairs that might be meant, the chosen one among them.
    """

    row: Ints
    confidence: Floats
    distance: Floats
    rival: Flags


def choose(asked: Candidates, outlines: Outlines, parent: Ints, xy: Floats, accuracy: Floats) -> Chosen:
    """The best candidate of each report.

    Rivals are those whose score is nearly the best; what is part of another rival is left to the whole. A position
    given decides between rivals: each weighs by its distance. The confidence is the score times the share of the
    weights, so that of two houses with one address each gets half.

    Args:
        asked: Candidates.
        outlines: Footprints of the index, working CRS.
        parent: (rows,) row of the parent of every row; -1 without.
        xy: (n, 2) positions given, working CRS; NaN where there is none.
        accuracy: (n,) metres; NaN where it is not stated.
    """
    best = np.zeros(asked.count)
    np.maximum.at(best, asked.query, asked.score)
    rival = asked.score >= best[asked.query] - RIVAL_SCORE
    rival &= ~_is_part(asked.query, asked.row, parent, rival)
    query, row, score = asked.query[rival], asked.row[rival], asked.score[rival]
    distance = np.full(len(row), np.nan)
    placed = np.isfinite(xy[query]).all(axis=1)
    distance[placed] = distances(outlines, row[placed], xy[query[placed]])
    distance[np.isinf(distance)] = np.nan  # it has no footprint
    weight = _weights(query, distance, accuracy, asked.count)
    first = _firsts(query, np.lexsort((row, -score, -weight, query)))
    total = np.bincount(query, weight, minlength=asked.count)
    chosen = np.full(asked.count, -1, np.int64)
    confidence, away = np.zeros(asked.count), np.full(asked.count, np.nan)
    at = query[first]
    chosen[at], away[at] = row[first], distance[first]
    confidence[at] = score[first] * weight[first] / total[at]
    return Chosen(chosen, confidence, away, rival)


def _weights(query: Ints, distance: Floats, accuracy: Floats, count: int) -> Floats:
    """(m,) of a normal error whose 95 % radius is the accuracy, relative to the nearest; 1 where nothing is known."""
    nearest = np.full(count, np.inf)
    np.fmin.at(nearest, query, distance)
    spread = np.maximum(np.nan_to_num(accuracy, nan=_UNSTATED_M), _LEAST_SPREAD_M) / 2
    with np.errstate(invalid="ignore"):
        excess = (distance**2 - nearest[query] ** 2) / spread[query] ** 2
    return np.where(np.isfinite(excess), np.maximum(np.exp(-0.5 * np.nan_to_num(excess)), _LEAST_WEIGHT), 1.0)


def _is_part(query: Ints, row: Ints, parent: Ints, rival: Flags) -> Flags:
    """(m,) True where the parent of a candidate is a rival of it."""
    above = parent[row]
    wide = np.int64(len(parent) + 1)
    there = query[rival] * wide + row[rival]
    part: Flags = (above >= 0) & np.isin(query * wide + above, there)
    return part


def _firsts(query: Ints, order: Ints) -> Ints:
    """The first pair of each report in an order that keeps reports together."""
    sorted_query = query[order]
    return order[np.flatnonzero(np.diff(sorted_query, prepend=-1))]


def middles(asked: Candidates, chosen: Chosen, lonlat: Floats) -> Floats:
    """(n, 2) middle of the rivals of each report in degrees; NaN where they are far from each other, or none.

    Args:
        asked: Candidates.
        chosen: What was made of them.
        lonlat: (rows, 2) of the index, degrees.
    """
    query, place = asked.query[chosen.rival], lonlat[asked.row[chosen.rival]]
    number = np.bincount(query, minlength=asked.count)
    with np.errstate(invalid="ignore", divide="ignore"):
        middle = np.column_stack([np.bincount(query, place[:, i], minlength=asked.count) / number for i in (0, 1)])
    east = (place[:, 0] - middle[query, 0]) * np.cos(np.radians(place[:, 1]))
    reach = np.zeros(asked.count)
    np.maximum.at(reach, query, np.nan_to_num(np.hypot(east, place[:, 1] - middle[query, 1]) * 111_000.0, nan=np.inf))
    middle[(reach > _TOGETHER_M / 2) | (number == 0)] = np.nan
    return middle
