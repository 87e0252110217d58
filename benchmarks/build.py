"""Measures whole builds: cold, without change, with one building changed; medians of several runs.

usage: python benchmarks/build.py COUNT [RUNS]    prints one JSON document
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from footprints import write
from machine import hardware, load
from process import Run, run

_TOML = """[project]
name = "Benchmark"
admin_code = "310105"
working_crs = "EPSG:4549"
vertical_datum = "H85"
geoid_undulation_m = 10.9
[[source]]
name = "bench"
path = "footprints.gpkg"
[source.fields]
id = "id"
storeys = "storeys"
[[source.height]]
from = "attribute"
field = "height"
[[source.ground]]
from = "constant"
elevation_m = 4.0
"""


def main() -> None:
    """Runs the benchmark."""
    count, runs = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory(prefix="twin-bench-") as folder:
        root = Path(folder)
        write(count, root / "footprints.gpkg")
        (root / "twin.toml").write_text(_TOML, encoding="utf-8")
        _build(root)  # compiles what numba compiles, once a machine; not counted
        cold = [_cold(root) for _ in range(runs)]
        same = [_build(root) for _ in range(runs)]
        watched = _cold(root, watch_memory=True)
        changed = [_changed(root, number) for number in range(min(runs, 3))]
    report = json.loads(cold[-1].output)
    figures = report["figures"]["buildings"]
    print(
        json.dumps(
            {
                "buildings": count,
                "cold": {**_summary(cold), "peak_MB": round(watched.peak_bytes / 1e6)},
                "buildings_per_s": round(count / statistics.median(one.wall_s for one in cold)),
                "stages_s": {name: _median(cold, name) for name in report["stages"]},
                "no_change": _summary(same),
                "no_change_share": round(_wall(same) / _wall(cold), 3),
                "one_changed": {**_summary(changed), "tiles_written": json.loads(changed[-1].output)["tiles_written"]},
                "tiles": report["tiles"],
                "bytes": report["bytes"],
                "bytes_per_building": round(report["bytes"] / count, 1),
                "raw_float32_bytes": figures["raw_bytes"],
                "size_share_of_raw": round(report["bytes"] / figures["raw_bytes"], 3),
                "load_before": round(load(), 2),
                "machine": hardware(),
            },
            indent=1,
        )
    )


def _build(root: Path, watch_memory: bool = False) -> Run:
    return run([str(Path(sys.executable).with_name("twin")), "build", "-C", str(root), "--json"], watch_memory)


def _cold(root: Path, watch_memory: bool = False) -> Run:
    for name in ("out", ".twin"):
        shutil.rmtree(root / name, ignore_errors=True)
    for file in root.glob("registry.sqlite*"):
        file.unlink()
    return _build(root, watch_memory)


def _changed(root: Path, number: int) -> Run:
    with sqlite3.connect(root / "footprints.gpkg") as database:
        # GeoPackage has triggers that call functions only GDAL knows; a plain update of one column needs none of them.
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
        for name in names:
            database.execute(f'DROP TRIGGER "{name}"')
        database.execute("UPDATE buildings SET height = height + 1 WHERE fid = ?", (1000 + number,))
    return _build(root)


def _wall(runs: list[Run]) -> float:
    return statistics.median(one.wall_s for one in runs)


def _summary(runs: list[Run]) -> dict[str, object]:
    return {
        "median_s": round(_wall(runs), 3),
        "all_s": [round(one.wall_s, 3) for one in runs],
    }


def _median(runs: list[Run], stage: str) -> float:
    return round(statistics.median(json.loads(one.output)["stages"].get(stage, 0.0) for one in runs), 3)


if __name__ == "__main__":
    main()
