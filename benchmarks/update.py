"""Times new editions of a district: match and plan of N buildings of which 1 % have changed, then their application.

The first edition after a build is compared with the served release, and adopts it when it is applied; the one after it
is compared with the history. Both are timed as whole processes, with their stages.

usage: python -m benchmarks.update [--count N] [--runs N]    prints one JSON document
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely import affinity

from benchmarks.machine import hardware, load
from benchmarks.process import run
from tests.pipelines.district import District, houses


@dataclass(frozen=True)
class Survey:
    """What a survey says of n buildings; a new edition of it is written over the one before."""

    root: Path
    shapes: list[shapely.Geometry]
    ids: list[str]
    heights: list[float]

    @classmethod
    def first(cls, root: Path, count: int) -> Survey:
        """A district that has not been built yet."""
        heights = np.round(np.random.default_rng(4).lognormal(2.5, 0.5, count), 1)
        return cls(root, list(houses(count)), [f"H{number:07d}" for number in range(count)], heights.tolist())

    def district(self) -> District:
        """The project around it."""
        return District(self.root, self.shapes, {"id": self.ids, "height": self.heights}, layer="")

    def resurvey(self, seed: int) -> None:
        """Writes the next edition: heights, shifts, new ids and outlines, 1 % in all."""
        chosen = np.random.default_rng(seed).permutation(len(self.ids))[: len(self.ids) // 100]
        heightened, shifted, renamed, widened = (rows.tolist() for rows in np.array_split(chosen, 4))
        for row in heightened:
            self.heights[row] += 4
        for row in shifted:
            self.shapes[row] = affinity.translate(self.shapes[row], 0.6, -0.4)
        for row in renamed:
            self.ids[row] = f"N{seed:02d}{row:07d}"
        for row in widened:
            self.shapes[row] = affinity.scale(self.shapes[row], 1.1, 1.0)
        self.district().write()


def timed(root: Path, *words: str) -> tuple[float, dict[str, float]]:
    """Seconds of a whole `twin update`, and of its stages."""
    command = [str(Path(sys.executable).with_name("twin")), "update", "-C", str(root), "--json", *words]
    done = run(command)
    stages: dict[str, float] = json.loads(done.output)["stages"]
    return round(done.wall_s, 2), stages


def edition(root: Path, runs: int) -> dict[str, Any]:
    """Plans the edition that the source holds: once with reading it, then as often as asked for without; applies it."""
    first = timed(root, "--plan")
    plans = [timed(root, "--plan") for _ in range(runs)]
    applied = timed(root, "--accept-doubtful", "--no-build")
    return {
        "plan_with_reading_s": first[0],
        "plan_s": statistics.median(seconds for seconds, _ in plans),
        "plan_stages": {name: round(statistics.median(run[1][name] for run in plans), 3) for name in plans[0][1]},
        "update_without_build_s": applied[0],
        "apply_s": applied[1]["apply"],
    }


def main() -> None:
    """Prints the figures of both editions as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    figures: dict[str, Any] = {"count": given.count, "hardware": hardware(), "load_before": load()}
    with tempfile.TemporaryDirectory(prefix="twin-bench-") as folder:
        survey = Survey.first(Path(folder) / "d", given.count)
        survey.district().build(workers=2)
        for seed, name in ((5, "against_a_release"), (6, "against_the_history")):
            survey.resurvey(seed)
            figures[name] = edition(survey.root, given.runs)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
