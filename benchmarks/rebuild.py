"""Measures rebuilds against a cold build: one building changed, and one in a hundred, side by side or scattered.

usage: python benchmarks/rebuild.py COUNT [RUNS] [STORE]    prints one JSON document

Two times are told: the whole command, start of Python included, and what a program that has everything loaded and has
read the sources still does (`twin update` after its plan): all stages but digest, open and ingest.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from build import _TOML, _cold
from footprints import write
from machine import hardware, load
from process import Run, run

#: Stages in which the sources are read; an update has done that before it applies anything.
_READING = ("digest", "open", "ingest")


def main() -> None:
    """Runs the benchmark."""
    count = int(sys.argv[1])
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    store = sys.argv[3] if len(sys.argv) > 3 else "sqlite"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(count, root / "footprints.gpkg")
        (root / "twin.toml").write_text(f'{_TOML}[output]\nstore = "{store}"\n', encoding="utf-8")
        cold = [_cold(root) for _ in range(runs)]
        share = max(count // 100, 1)
        kinds = {
            "one": [(1000, 1)] * runs,
            "one_percent_together": [(2000, share)] * runs,
            "one_percent_scattered": [(None, share)] * runs,
        }
        changed = {
            name: [_changed(root, first, many, number) for number, (first, many) in enumerate(steps)]
            for name, steps in kinds.items()
        }
    whole = statistics.median(one.wall_s for one in cold)
    rows = {name: _row(found, whole) for name, found in changed.items()}
    print(json.dumps({"buildings": count, "store": store, "cold_s": round(whole, 3), **rows, **_machine()}, indent=1))


def _machine() -> dict[str, object]:
    return {"load_before": round(load(), 2), "machine": hardware()}


def _changed(root: Path, first: int | None, many: int, number: int) -> Run:
    with sqlite3.connect(root / "footprints.gpkg") as database:
        # GeoPackage has triggers that call functions only GDAL knows; a plain update of one column needs none of them.
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
        for name in names:
            database.execute(f'DROP TRIGGER "{name}"')
        which = "fid % 100 = 7" if first is None else f"fid >= {first + number} AND fid < {first + number + many}"
        database.execute(f"UPDATE buildings SET height = height + 1 WHERE {which}")
    return run([str(Path(sys.executable).with_name("twin")), "build", "-C", str(root), "--json"])


def _row(found: list[Run], cold: float) -> dict[str, object]:
    documents = [json.loads(one.output) for one in found]
    names = documents[0]["stages"]
    stages = {name: statistics.median(one["stages"].get(name, 0.0) for one in documents) for name in names}
    after = sum(seconds for name, seconds in stages.items() if name not in _READING)
    wall = statistics.median(one.wall_s for one in found)
    return {
        "whole_s": round(wall, 3),
        "whole_share": round(wall / cold, 3),
        "apply_and_publish_s": round(after, 3),
        "apply_and_publish_share": round(after / cold, 3),
        "tiles_written": documents[-1]["tiles_written"],
        "tiles": documents[-1]["tiles"],
        "stages_s": {name: round(value, 3) for name, value in stages.items()},
    }


if __name__ == "__main__":
    main()
