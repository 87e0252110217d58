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
    """

    root: Path
    url: str

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

    def tallest(self, count: int) -> list[str]:
        """Identifiers of the tallest buildings whose centre is in their own footprint, the tallest first."""
        index = EntityIndex.open(open_current(self.root / "out").index)
        table = index.table.select(["geid", "height_m", "lon", "lat"]).sort_by([("height_m", "descending")])
        found = []
        for row in table.slice(0, 5 * count).to_pylist():
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
            told = process.stdout.readline()
            assert told.startswith("Serving http://"), told
            yield Served(root, told.split()[1])
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
