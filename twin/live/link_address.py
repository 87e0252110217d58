"""Address texts to entities: candidates by the address book of the index, for every way a text may be read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from twin.live.link_found import Candidates, Ints
from twin.live.link_scene import Scene
from twin.live.link_text import readings

ADDRESSED = 0.95
"""Confidence of an address that agrees in all that was written, with one entity alone."""

LEAST_SCORE = 0.6
"""A candidate that agrees less than this is a guess."""

_SURE = 0.93  # so literal that other readings need not be tried
_MOST = 12
_CACHED = 1 << 16

Scored = tuple[tuple[int, float], ...]
"""(row, score), the best first."""


class Addresses:
    """Looks addresses up; what was asked lately is remembered.

    Args:
        scene: The entities.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.find = lru_cache(maxsize=_CACHED)(self._find)

    def candidates(self, texts: Sequence[str], kind: Ints, ranks: Ints) -> Candidates:
        """Candidates of n texts. Areas count only for kinds that prefer them: whoever names a street district in front
        of an address does not mean all of it.

        Args:
            texts: n texts.
            kind: (n,) row of `ranks`.
            ranks: (kinds, groups) as `Scene.ranks` gives them.
        """
        found = [self.find(text) for text in texts]
        query = np.repeat(np.arange(len(found), dtype=np.int64), [len(one) for one in found])
        row = np.array([row for one in found for row, _ in one], dtype=np.int64)
        score = np.array([score for one in found for _, score in one], dtype=np.float64)
        group = self._scene.group[row]
        counts = ~self._scene.is_area[group] | (ranks[kind[query], group] >= 0)
        return Candidates(len(found), query, row, score * ADDRESSED).take(counts)

    def _find(self, text: str) -> Scored:
        best: dict[int, float] = {}
        for reading in readings(text):
            for one in self._scene.index.by_address(reading.text, _MOST):
                score = one.score * reading.factor
                if score >= LEAST_SCORE and score > best.get(one.row, 0.0):
                    best[one.row] = score
            if best and max(best.values()) >= _SURE * reading.factor:
                break
        return tuple(sorted(best.items(), key=lambda one: (-one[1], one[0])))
