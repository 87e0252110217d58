"""Issue 3, section 5: of the cases of seeded editions at least 99.5 % are classed right, and no wrong one silently."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tests.twin.registry.edition_maker import Editions, Marks, Script, make, mark, terraces, town
from twin.registry.change import compare

SEEDS = range(6)
ROWS = 1500
LEAST = {(town, True): 0.998, (town, False): 0.995, (terraces, True): 0.995, (terraces, False): 0.99}
"""Right among the rows that were edited. Terraces without a single key are beyond what the issue asks: 99 %."""


def editions(maker, seed: int, script: Script) -> Editions:
    return make(maker(np.random.default_rng(seed), ROWS), seed, script)


def marks(maker, keys: bool) -> list[Marks]:
    made = (editions(maker, seed, Script(keys=keys)) for seed in SEEDS)
    return [mark(one, compare(one.before, one.after)) for one in made]


@pytest.mark.parametrize("maker", [town, terraces])
@pytest.mark.parametrize("keys", [True, False])
def test_edited_rows_are_classed_right_and_wrong_ones_doubted(maker, keys: bool) -> None:
    found = marks(maker, keys)
    cases = sum(one.cases for one in found)
    assert cases >= 2000
    assert [text for one in found for text in one.silent] == []
    share = sum(one.right for one in found) / cases
    assert share >= LEAST[maker, keys], "\n".join(text for one in found for text in one.wrong)
    assert sum(one.doubtful for one in found) <= (0.05 if keys else 0.1) * cases


def test_the_cases_are_of_every_kind() -> None:
    kinds = Counter(kind.split(",")[0] for kind in editions(town, 0, Script()).truth.edit_after)
    kinds += Counter(kind for kind in editions(town, 0, Script()).truth.edit_before if kind == "gone")
    expected = {"attributes", "moved", "extended", "cut", "split", "merged", "rebuilt", "gone", "new", "reused"}
    assert {*expected, "swapped", "redrawn", "none"} <= kinds.keys()
    assert min(kinds[kind] for kind in expected) >= 5


def test_a_wrong_answer_would_be_noticed() -> None:
    one = editions(town, 1, Script())
    found = compare(one.before, one.after)
    row = int(np.flatnonzero(found.after.labels().to_numpy(zero_copy_only=False) == "split")[0])
    found.after.change[row] = 0
    assert len(mark(one, found).silent) >= 1
