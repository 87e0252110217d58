"""Look-ups: an entity by id or alias through HTTP, many places at once, and ten million rows against 100,000.

usage: python benchmarks/lookup.py [SECONDS] [ROWS]    needs wrk; prints one JSON document; ROWS of the large index
"""

from __future__ import annotations

import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import pyarrow as pa
from footprints import outlines, write
from machine import hardware, load
from tile_path import _free_port, _pinned, _program

from twin.entity import geid
from twin.entity.index import EntityIndex
from twin.entity.index_schema import POLYGONS
from twin.store.release import open_current

_SERVED = 100_000
_CORNERS = 14
_SCRIPT = """
local paths = {{}}
for line in io.lines("{paths}") do paths[#paths + 1] = line end
local at = 0
request = function() at = at % #paths + 1; return wrk.format("GET", paths[at]) end
"""


def main() -> None:
    """Runs the benchmark."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    large = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000_000
    with tempfile.TemporaryDirectory(prefix="twin-bench-") as folder:
        root = Path(folder)
        told: dict[str, Any] = {"http": _http(root, seconds)}
        told["places"], told["rows"] = _sizes(root, large)
    print(json.dumps({**told, "load_before": round(load(), 2), "machine": hardware()}, indent=1))


def _http(root: Path, seconds: int) -> dict[str, Any]:
    """Requests a second for 100,000 entities asked for in random order: no answer is asked for twice in a short run."""
    write(_SERVED, root / "footprints.gpkg")
    (root / "twin.toml").write_text(
        '[project]\nname = "Bench"\nadmin_code = "310105"\nworking_crs = "EPSG:4549"\nvertical_datum = "ellipsoid"\n'
        '[[source]]\nname = "bench"\npath = "footprints.gpkg"\n[source.fields]\nid = "id"\n'
        '[[source.height]]\nfrom = "attribute"\nfield = "height"\n[[source.ground]]\nfrom = "constant"\n'
        "elevation_m = 4.0\n",
        encoding="utf-8",
    )
    subprocess.run([_program("twin"), "build", "-C", str(root), "-q"], check=True, capture_output=True)
    index = EntityIndex.open(open_current(root / "out").index)
    order = np.random.default_rng(1).permutation(len(index))
    names = index.table["geid"].take(pa.array(order)).to_pylist()
    keys = [f"bench:{key}" for key in index.table["source_key"].take(pa.array(order)).to_pylist()]
    with _server(root) as url:
        return {
            "by_id": _entities(root, url, names, seconds),
            "by_id_again": _entities(root, url, names[:10_000], seconds),
            "by_source_key": _entities(root, url, keys[::-1], seconds),
        }


@contextmanager
def _server(root: Path) -> Iterator[str]:
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    with _pinned([_program("twin"), "serve", "-C", str(root), "--port", str(port)], f"{url}/livez"):
        time.sleep(2)  # the index is warmed in the background
        yield url


def _entities(root: Path, url: str, names: list[str], seconds: int) -> dict[str, float]:
    return ask(root, url, [f"/entities/{name}" for name in names], seconds)


def ask(root: Path, url: str, paths: list[str], seconds: int) -> dict[str, float]:
    """Asks for addresses one after the other over eight connections, from the beginning again after the last."""
    (root / "paths").write_text("".join(f"{path}\n" for path in paths))
    (root / "paths.lua").write_text(_SCRIPT.format(paths=root / "paths"))
    command = [
        "taskset",
        "-c",
        "1",
        "wrk",
        "-t1",
        "-c8",
        f"-d{seconds}s",
        "--latency",
        "-s",
        str(root / "paths.lua"),
        url,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate, slow = re.search(r"Requests/sec:\s+([0-9.]+)", done), re.search(r"99%\s+([0-9.]+)(us|ms|s)", done)
    if rate is None or slow is None or "Non-2xx" in done:
        raise SystemExit(done)
    unit = {"us": 1e-3, "ms": 1.0, "s": 1e3}[slow[2]]
    return {"requests_per_s": round(float(rate[1])), "p99_ms": round(float(slow[1]) * unit, 2)}


def synthetic(count: int) -> pa.Table:
    """An index table of so many footprints, written by Arrow alone."""
    rng = np.random.default_rng(count)
    block = outlines(100_000, rng)
    side = int(np.ceil(np.sqrt(count / len(block))))
    width = np.ptp(block[..., 0]) + 40.0
    closed = np.concatenate([block, block[:, :1]], axis=1)
    parts = []
    for at in range(-(-count // len(block))):
        shift = np.array([at % side * width, at // side * width])
        parts.append((closed + shift)[: count - at * len(block)].reshape(-1))
    flat = pa.FixedSizeListArray.from_arrays(pa.array(np.concatenate(parts)), 2)
    rings = pa.ListArray.from_arrays(np.arange(0, _CORNERS * count + 1, _CORNERS, dtype=np.int32), flat)
    one = np.arange(count + 1, dtype=np.int32)
    shapes = pa.ListArray.from_arrays(one, pa.ListArray.from_arrays(one, rings))
    keys = pa.array(np.arange(count)).cast(pa.string())
    return pa.table(
        {
            "geid": _names(count),
            "layer": pa.repeat("buildings", count),
            "source": pa.repeat("bench", count),
            "source_key": keys,
            "geometry": shapes.cast(POLYGONS),
            "height": np.zeros(count),
            "height_m": rng.uniform(5, 90, count),
        }
    )


def _names(count: int) -> pa.Array:
    return pa.concat_arrays(
        [
            pa.array(geid.mint("bench", [f"k{i}" for i in range(at, min(at + 1_000_000, count))]))
            for at in range(0, count, 1_000_000)
        ]
    )


def _sizes(root: Path, large: int) -> tuple[dict[str, float], dict[str, Any]]:
    told: dict[str, Any] = {}
    places: dict[str, float] = {}
    for count in (_SERVED, large):
        EntityIndex.write(root / "e.arrow", synthetic(count))
        index = EntityIndex.open(root / "e.arrow")
        begin = time.perf_counter()
        index.at_xy(0.0, 0.0), index._keys()
        made = time.perf_counter() - begin
        told[str(count)] = {**_questions(index), "made_ready_s": round(made, 2), "peak_gib": _peak()}
        places[str(count)] = _places(index)
    return places, told


def _questions(index: EntityIndex) -> dict[str, float]:
    rng = np.random.default_rng(2)
    rows = rng.integers(0, len(index), 2_000)
    names = index.table["geid"].take(pa.array(rows)).to_pylist()
    keys = index.table["source_key"].take(pa.array(rows[:500])).to_pylist()
    corner = index._grid().bounds[rows, :2].tolist()
    return {
        "by_id_us": _each(names, index.find),
        "by_key_us": _each(keys, lambda key: index.by_key("bench", key)),
        "bbox_100_m_us": _each(corner, lambda xy: index._grid().near(xy[0], xy[1], 50.0)),
    }


def _peak() -> float:
    """GiB, of this process so far; the making of the synthetic rows is in it."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def _each(values: list[Any], ask: Callable[[Any], object]) -> float:
    """Microseconds of one question: the median of five passes, the first of which is not counted."""
    passes = []
    for _ in range(6):
        begin = time.perf_counter()
        for value in values:
            ask(value)
        passes.append((time.perf_counter() - begin) / len(values) * 1e6)
    return round(statistics.median(passes[1:]), 1)


def _places(index: EntityIndex) -> float:
    """Places a second, 3D, 100,000 in one call, spread over the whole index."""
    bounds, rng = index._grid().bounds, np.random.default_rng(3)
    box = bounds[rng.integers(0, len(bounds), 100_000)]
    xy = box[:, :2] + rng.random((len(box), 2)) * (box[:, 2:] - box[:, :2]) * 1.5
    h = rng.uniform(0, 60, len(xy))
    index.at_many_xy(xy[:1000], h[:1000])
    begin = time.perf_counter()
    index.at_many_xy(xy, h)
    return round(len(xy) / (time.perf_counter() - begin))


if __name__ == "__main__":
    main()
