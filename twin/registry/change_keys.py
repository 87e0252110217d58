"""What the source keys of two editions say about each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

SAME, UNKNOWN, FRESH, ELSEWHERE = 0, 1, 2, 3
"""Keys of a pair: equal; one missing or not unique; both known here and nowhere else (renumbered, or another thing);
one of them stands for something else in the other edition."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys as numbers, the same number for the same key in both editions; -1 where null or not unique in an edition.

    Attributes:
        before, after: (n,) number, or -1.
        home_before: (k,) row of each number in the edition before, or -1.
        home_after: (k,) row of each number in the edition after, or -1.
    """

    before: Ints
    after: Ints
    home_before: Ints
    home_after: Ints

    @classmethod
    def of(cls, before: pa.StringArray, after: pa.StringArray) -> Keys:
        """Compares the keys of two editions."""
        both = pa.chunked_array([before.cast(pa.string()), after.cast(pa.string())]).combine_chunks()
        encoded = both.dictionary_encode()
        number = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        count = len(encoded.dictionary)
        one, other = number[: len(before)], number[len(before) :]
        one, other = _unique_only(one, count), _unique_only(other, count)
        return cls(one, other, _home(one, count), _home(other, count))

    def pairs(self) -> tuple[Ints, Ints]:
        """Rows (before, after) under one key, in the order of `before`."""
        known = np.flatnonzero(self.before >= 0)
        after = self.home_after[self.before[known]]
        found = after >= 0
        return known[found], after[found]

    def relation(self, i: Ints, j: Ints) -> Ints:
        """(p,) how the key of row `i[k]` before lies to that of row `j[k]` after."""
        a, b = self.before[i], self.after[j]
        if not len(self.home_after):  # not one key in either edition
            return np.full(len(i), UNKNOWN, dtype=np.int64)
        elsewhere = (self.home_after[a] >= 0) | (self.home_before[b] >= 0)
        relation = np.where(elsewhere, ELSEWHERE, FRESH)
        relation[(a < 0) | (b < 0)] = UNKNOWN
        relation[(a == b) & (a >= 0)] = SAME
        return relation


def _unique_only(number: Ints, count: int) -> Ints:
    often = np.bincount(number[number >= 0], minlength=count) > 1
    if not often.any():
        return number
    return np.where((number >= 0) & often[number], -1, number)


def _home(number: Ints, count: int) -> Ints:
    home = np.full(count, -1, dtype=np.int64)
    known = np.flatnonzero(number >= 0)
    home[number[known]] = known
    return home
