"""How many requests for 1,000 features as GeoJSON one process answers through a socket, and what it spends on them.

usage: python -m benchmarks.features [ENTITIES] [SECONDS]    needs wrk; prints one JSON document
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import pyarrow as pa
from lookup import ask
from machine import hardware, load
from tile_path import _free_port, _pinned, _program

from tests.server import conftest, features_district

_BOXES = 2_000
_FEATURES = 1_200  # entities of all classes in a box; four of five are buildings


def main(count: int = 100_000, seconds: int = 5) -> None:
    """Boxes at random places, all with about 1,000 features; the first round renders, the second mostly remembers."""
    table = pa.Table.from_pylist([features_district.entity(number) for number in range(count)])
    with tempfile.TemporaryDirectory(prefix="twin-bench-") as folder:
        root = Path(folder)
        with patch.object(conftest, "index_table", lambda _: table):
            conftest.publish(root / "out")
        paths = _paths(table, count)
        port = _free_port()
        url = f"http://127.0.0.1:{port}"
        command = [_program("twin"), "serve", "-C", str(root / "out"), "--port", str(port)]
        with _pinned(command, f"{url}/collections"):
            time.sleep(2)  # the index is warmed in the background
            told = {name: ask(root, url, paths, seconds) for name in ("first_round", "second_round")}
            sizes = [_size(url + path) for path in paths[:: _BOXES // 20]]
    features, size = np.mean(sizes, axis=0)
    document = {"entities": count, **told, "features_an_answer": round(features), "kib_an_answer": round(size / 1024)}
    print(json.dumps({**document, "load_before": round(load(), 2), "machine": hardware()}, indent=1))


def _paths(table: pa.Table, count: int) -> list[str]:
    south, north = (table[side].to_numpy() for side in ("south", "north"))
    low, span = np.nanmin(south), np.nanmax(north) - np.nanmin(south)
    at = low + np.random.default_rng(1).random(_BOXES) * span * 0.95
    high = at + _FEATURES / count * span
    return [
        f"/collections/Building/items?limit=1000&bbox=121,{a},122,{b}"
        for a, b in zip(at.tolist(), high.tolist(), strict=True)
    ]


def _size(url: str) -> tuple[int, int]:
    with urllib.request.urlopen(url) as answer:
        body = answer.read()
    return json.loads(body)["numberReturned"], len(body)


if __name__ == "__main__":
    main(*(int(text) for text in sys.argv[1:]))
