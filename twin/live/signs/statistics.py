"""Statistics by group, without a loop over groups; and what is unusual."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FEWEST = 8
"""Values a robust z-score needs to compare with."""
UNUSUAL = 3.5
"""A robust z-score beyond this is called unusual (Iglewicz and Hoaglin 1993)."""
_SIGMA, _MEAN_SIGMA = 1.482602, 1.253314  # of a normal distribution: MAD and mean deviation to standard deviation
_SHARE = {"median": 0.5, "p90": 0.9}


def by_group(take: str, group: Ints, values: Floats, count: int) -> Floats:
    """A statistic for every group.

    Args:
        take: count, sum, mean, min, max, median, p90.
        group: (n,) groups; -1 counts nowhere.
        values: (n,) finite.
        count: How many groups.

    Returns:
        (count,); sums and counts of nothing are 0, every other statistic of nothing is NaN.
    """
    inside = group >= 0
    group, values = group[inside], values[inside]
    number = np.bincount(group, minlength=count).astype(np.float64)
    if take == "count":
        return number
    if take in ("sum", "mean"):
        total = np.bincount(group, weights=values, minlength=count)
        with np.errstate(invalid="ignore"):
            mean = np.where(number > 0, total / np.maximum(number, 1), np.nan)
        return np.asarray(total if take == "sum" else mean, dtype=np.float64)
    order = np.lexsort((values, group))
    first = np.concatenate([[0], np.cumsum(number)[:-1]])
    share = {"min": 0.0, "max": 1.0}.get(take, _SHARE.get(take, 0.0))
    return _quantile(values[order], first, number, share)


def _quantile(values: Floats, first: Floats, number: Floats, share: float) -> Floats:
    """Quantiles of runs of sorted values, linear between neighbours (type 7 of Hyndman and Fan)."""
    found = np.full(len(number), np.nan)
    filled = np.flatnonzero(number > 0)
    at = first[filled] + share * (number[filled] - 1)
    low = np.floor(at).astype(np.int64)
    high = np.ceil(at).astype(np.int64)
    found[filled] = values[low] + (values[high] - values[low]) * (at - low)
    return found


def robust_z(value: Floats, before: Floats) -> Floats:
    """How many robust standard deviations a value lies from the median of what it was before.

    Args:
        value: (g,) now.
        before: (k, g) earlier values, NaN where unknown.

    Returns:
        (g,) NaN with fewer than `FEWEST` values, or where nothing has ever changed: there is no measure of usual then.
    """
    found = np.full(len(value), np.nan)
    enough = np.flatnonzero((np.isfinite(before).sum(axis=0) >= FEWEST) & np.isfinite(value))
    if not len(enough):
        return found
    known = before[:, enough]
    middle = np.nanmedian(known, axis=0)
    deviation = np.abs(known - middle)
    spread = np.nanmedian(deviation, axis=0) * _SIGMA
    spread = np.where(spread > 0, spread, np.nanmean(deviation, axis=0) * _MEAN_SIGMA)
    with np.errstate(invalid="ignore", divide="ignore"):
        score = (value[enough] - middle) / spread
    found[enough] = np.where(spread > 0, score, np.nan)
    return found
