"""How many requests for 1,000 features one process answers: `python -m benchmarks.features [count]`."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa

from server.app import create_app
from server.settings import Settings
from tests.server import conftest, features_district


def main(count: int = 100_000, seconds: float = 5.0) -> None:
    """Boxes at random places, all with about 1,000 features, through the whole application but the socket."""
    table = pa.Table.from_pylist([features_district.entity(number) for number in range(count)])
    out = Path(tempfile.mkdtemp()) / "out"
    with patch.object(conftest, "index_table", lambda _: table):
        app = create_app(Settings(conftest.publish(out).out))
    rng = np.random.default_rng(1)
    south, north = table["south"].to_numpy(), table["north"].to_numpy()
    span = np.nanmax(north) - np.nanmin(south)
    low = np.nanmin(south)
    times: list[float] = []
    sizes: list[int] = []
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds:
        at = low + rng.random() * span * 0.95
        share = 1200 / count * span
        start = time.perf_counter()
        answer = conftest.request(app, f"/collections/Building/items?limit=1000&bbox=121,{at},122,{at + share}")
        times.append(time.perf_counter() - start)
        sizes.append(answer.body.count(b'"Feature"'))
    half = times[len(times) // 2 :]
    print(f"{count:,} entities: {1 / np.mean(half):.0f} req/s warm, {1 / np.mean(times):.0f} over all, "
          f"p99 {np.quantile(half, 0.99) * 1000:.1f} ms, {np.mean(sizes):.0f} features an answer")  # fmt: skip


if __name__ == "__main__":
    main(*(int(text) for text in sys.argv[1:]))
