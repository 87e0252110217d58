"""Times the second edition of a district: match and plan of N buildings of which 1 % have changed, whole process."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from shapely import affinity

from tests.pipelines.district import District, houses


def make(root: Path, count: int) -> None:
    """Builds the first edition, then writes the second: heights, shifts, new ids and losses, 1 % in all."""
    rng = np.random.default_rng(4)
    shapes = houses(count)
    ids = [f"H{number:07d}" for number in range(count)]
    heights = np.round(rng.lognormal(2.5, 0.5, count), 1).tolist()
    District(root, shapes, {"id": ids, "height": heights}, layer="").build(workers=2)
    chosen = rng.permutation(count)[: count // 100]
    for kind, rows in enumerate(np.array_split(chosen, 4)):
        for row in rows.tolist():
            if kind == 0:
                heights[row] += 4
            elif kind == 1:
                shapes[row] = affinity.translate(shapes[row], 0.6, -0.4)
            elif kind == 2:
                ids[row] = f"N{row:07d}"
            else:
                shapes[row] = affinity.scale(shapes[row], 1.1, 1.0)
    District(root, shapes, {"id": ids, "height": heights}, layer="").write()


def timed(*words: str) -> tuple[float, dict[str, float]]:
    """Seconds of a whole process, and of its stages."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.update", "--twin", *words], capture_output=True, check=False
    )
    seconds = time.perf_counter() - start
    if done.returncode not in (0, 3):
        raise SystemExit(done.stderr.decode())
    return seconds, json.loads(done.stdout).get("stages", {})


def main() -> None:
    """Prints medians as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "d"
        make(root, given.count)
        plans = [timed("update", "-C", str(root), "--plan", "--json") for _ in range(given.runs)]
        applied = timed("update", "-C", str(root), "--accept-doubtful", "--json")
    stages = {name: round(statistics.median(run[1][name] for run in plans), 3) for name in plans[0][1]}
    print(
        json.dumps(
            {
                "count": given.count,
                "plan_s": round(statistics.median(run[0] for run in plans), 2),
                "stages": stages,
                "adopt_apply_build_s": round(applied[0], 2),
                "apply_stages": applied[1],
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--twin"]:
        from pipelines.cli import run

        raise SystemExit(run(sys.argv[2:]))
    main()
