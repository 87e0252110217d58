"""A district that is really served: `twin serve` in a process of its own, asked over a socket."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

from twin.crs.frame import LocalFrame
from twin.entity.index import EntityIndex
from twin.store.release import open_current

_TWIN = (sys.executable, "-c", "from pipelines.cli import main; main()")
_STOP_SECONDS = 20


@dataclass(frozen=True)
class Served:
    """Where a district is served.

    Attributes:
        root: Project folder.
        url: Address everything stands below, with its final slash.
        metrics: Address of its metrics, if they are on.
    """

    root: Path
    url: str
    metrics: str | None = None

    @property
    def viewer(self) -> str:
        """Address of the page."""
        return f"{self.url}viewer/"

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return "/".join(self.url.split("/")[:3])

    def get(self, path: str) -> Any:
        """A JSON answer; `path` stands below the prefix or is path-absolute."""
        address = f"{self.origin}{path}" if path.startswith("/") else f"{self.url}{path}"
        with urlopen(address, timeout=30) as answer:
            return json.load(answer)

    def entity(self, geid: str) -> Any:
        """What `/entities/{geid}` says."""
        return self.get(f"entities/{quote(geid)}")

    def find(self, text: str) -> Any:
        """What `/entities?q=` says."""
        return self.get(f"entities?q={quote(text)}")["items"]

    def rows(self, *columns: str) -> Any:
        """Columns of the entity index."""
        return EntityIndex.open(open_current(self.root / "out").index).table.select(list(columns)).to_pylist()

    def tallest(self, count: int) -> list[str]:
        """Identifiers of the tallest buildings whose centre is in their own footprint, the tallest first."""
        rows = sorted(self.rows("geid", "height_m", "lon", "lat"), key=lambda row: -(row["height_m"] or 0.0))
        found = []
        for row in rows[: 5 * count]:
            there = self.get(f"resolve?lon={row['lon']}&lat={row['lat']}")["items"]
            if there and there[0]["geid"] == row["geid"]:
                found.append(row["geid"])
        return found[:count]


def ecef(lon: float, lat: float, h: float) -> list[float]:
    """Earth-centred coordinates of a place, metres."""
    return [float(value) for value in LocalFrame(lon, lat, h).matrix[12:15]]


@contextmanager
def serving(root: Path, *options: str) -> Iterator[Served]:
    """Runs `twin serve` on a free port until the block ends, and sees to it that it stops when told to."""
    command = [*_TWIN, "serve", "-C", str(root), "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            metrics, told = None, process.stdout.readline()
            if told.startswith("Metrics on port "):
                metrics, told = f"http://127.0.0.1:{told.split()[-1]}/metrics", process.stdout.readline()
            assert told.startswith("Serving http://"), told
            yield Served(root, told.split()[1], metrics)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
