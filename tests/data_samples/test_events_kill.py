"""A server that is killed under load has lost nothing it acknowledged, and holds nothing twice; the long form is
`python -m benchmarks.live_kill`."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.live_city import make_city
from benchmarks.live_kill import kill_rounds

ROUNDS = 3


@pytest.mark.slow
def test_what_was_acknowledged_outlives_three_kills(tmp_path: Path) -> None:
    tally = kill_rounds(make_city(tmp_path / "city"), ROUNDS, senders=3)
    assert (tally.missing, tally.twice, tally.moved) == (0, 0, 0), tally
    assert tally.acknowledged > 500, "it was under load"
    assert tally.stored >= tally.acknowledged
    assert tally.batches_again >= ROUNDS - 1, "it was killed with batches on their way"
