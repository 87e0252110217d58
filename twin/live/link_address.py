"""Address texts to entities: candidates by the address book of the index, for every way a text may be read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from twin.entity.address import Candidate
from twin.entity.address_text import parse
from twin.entity.positions import distances
from twin.live.link_found import Candidates, Flags, Floats, Ints
from twin.live.link_scene import Scene
from twin.live.link_text import readings

ADDRESSED = 0.95
"""Confidence of an address that agrees in all that was written, with one entity alone."""

LEAST_SCORE = 0.6
"""A candidate that agrees less than this is a guess: another street of the same city may be meant."""

LEAST_GUESS = 0.5
"""A guess counts where lane and number agree, or the position given is near; below this, never. A street without any
number is a guess as well, however few houses it has."""

GUESS_M = 100.0
"""How near the position has to be."""

_SURE = 0.93  # so literal that other readings need not be tried
_MOST = 12
_CACHED = 1 << 16

Scored = tuple[tuple[int, float, bool], ...]
"""(row, score, guessed)."""


class Addresses:
    """Looks addresses up; what was asked lately is remembered.

    Args:
        scene: The entities.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.find = lru_cache(maxsize=_CACHED)(self._find)

    def candidates(self, texts: Sequence[str], kind: Ints, ranks: Ints, xy: Floats) -> Candidates:
        """Candidates of n texts. Areas count only for kinds that prefer them: whoever names a subdistrict in front of
        an address does not mean all of it.

        Args:
            texts: n texts.
            kind: (n,) row of `ranks`.
            ranks: (kinds, groups) as `Scene.ranks` gives them.
            xy: (n, 2) positions given, working CRS; NaN where there is none.
        """
        found = [self.find(text) for text in texts]
        query = np.repeat(np.arange(len(found), dtype=np.int64), [len(one) for one in found])
        row = np.array([pair[0] for one in found for pair in one], dtype=np.int64)
        score = np.array([pair[1] for one in found for pair in one], dtype=np.float64)
        group = self._scene.group[row]
        counts = ~self._scene.is_area[group] | (ranks[kind[query], group] >= 0)
        counts &= score >= _shadow(len(found), query, score, ~counts)
        guess = np.flatnonzero([pair[2] for one in found for pair in one])
        counts[guess] &= distances(self._scene.outlines, row[guess], xy[query[guess]]) <= GUESS_M  # NaN is not near
        return Candidates(len(found), query, row, score * ADDRESSED).take(counts)

    def _find(self, text: str) -> Scored:
        best: dict[int, tuple[float, bool]] = {}
        for reading in readings(text):
            found = self._scene.index.by_address(reading.text, _MOST, _SURE)
            for one in found:
                score = one.score * reading.factor
                if one.score >= LEAST_GUESS and score > best.get(one.row, (0.0, True))[0]:
                    best[one.row] = score, self._guessed(reading.text, one)
            if found and found[0].score >= _SURE:
                break
        return tuple((row, *scored) for row, scored in best.items())

    def _guessed(self, text: str, one: Candidate) -> bool:
        """True where a street is merely like it, unless lane and number are the same, or only a street was said."""
        if one.score >= _SURE or (one.named and one.score >= LEAST_SCORE):
            return False
        said, known = parse([text, self._scene.index.table["address"][one.row].as_py() or ""])
        if one.score >= LEAST_SCORE:
            return not (said.lane or said.number or said.building)
        return one.named or not (said.lane and said.number) or (said.lane, said.number) != (known.lane, known.number)


def _shadow(count: int, query: Ints, score: Floats, area: Flags) -> Floats:
    """(m,) score of the best area that does not count: whoever names a subdistrict means no house in its street."""
    best = np.zeros(count)
    np.maximum.at(best, query[area], score[area])
    return best[query]
