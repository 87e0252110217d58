"""One-to-one assignment: the best pair of both its rows first, and how much better it was than the next."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def best_first(i: Ints, j: Ints, cost: Floats) -> Ints:
    """Takes a pair that is the cheapest of both its rows, then again among what is left.

    Args:
        i, j: (p,) rows of two sides.
        cost: (p,) what a pair costs; of equal costs the lower rows win.

    Returns:
        Positions of the pairs taken, one to one.
    """
    taken: list[Ints] = []
    left = np.lexsort([j, i, cost])
    size_i, size_j = (int(rows.max()) + 1 if len(rows) else 0 for rows in (i, j))
    while len(left):
        rank = np.arange(len(left))
        best_i, best_j = np.full(size_i, len(left)), np.full(size_j, len(left))
        np.minimum.at(best_i, i[left], rank)
        np.minimum.at(best_j, j[left], rank)
        good = (best_i[i[left]] == rank) & (best_j[j[left]] == rank)
        chosen = left[good]
        taken.append(chosen)
        used_i, used_j = np.zeros(size_i, dtype=bool), np.zeros(size_j, dtype=bool)
        used_i[i[chosen]], used_j[j[chosen]] = True, True
        left = left[~(used_i[i[left]] | used_j[j[left]])]
    return np.sort(np.concatenate(taken)) if taken else np.empty(0, dtype=np.int64)


def next_best(i: Ints, j: Ints, cost: Floats, taken: Ints) -> Floats:
    """(t,) cost of the cheapest other pair of either row of each pair taken; infinite where there is none."""
    if not len(taken):
        return np.empty(0)
    other = np.ones(len(i), dtype=bool)
    other[taken] = False
    least_i, least_j = (np.full(int(rows.max()) + 1, np.inf) for rows in (i, j))
    np.minimum.at(least_i, i[other], cost[other])
    np.minimum.at(least_j, j[other], cost[other])
    return np.asarray(np.minimum(least_i[i[taken]], least_j[j[taken]]))
