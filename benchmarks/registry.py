"""The registry's database: look-ups and boxes among 100,000 and 10,000,000 entities, and how fast rows go in.

usage: python -m benchmarks.registry [--counts N ...] [--databases sqlite postgis] [--folder FOLDER [--only-make]]

Prints one JSON document. A folder keeps the databases: made once (the long part), asked whenever the machine is quiet.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import pyarrow as pa
from machine import hardware, load
from registry_rows import AUTHORITY, BEGIN, DEGREE_M, SCHEME, SOURCE, STEP_M, Synthetic

from tests.postgis import Cluster, own_cluster
from twin.registry.matching import Anchors
from twin.registry.open import open_history, open_registry
from twin.registry.transfer_database import copy_tables, writing
from twin.registry.versions import EditionKind, History, Window

_PASSES = 3
Where = Path | str


def main() -> None:
    """Makes what is missing, then asks."""
    given = _arguments()
    with nullcontext(given.folder) if given.folder else tempfile.TemporaryDirectory(prefix="twin-bench-") as folder:
        root = Path(folder)
        root.mkdir(parents=True, exist_ok=True)
        told: dict[str, Any] = {}
        for database in given.databases:
            with _places(database, root, given.counts) as places:
                made = {str(count): _made(places[count], root / f"{database}-{count}.json", count) for count in places}
                told[database] = {"import": made}
                if not given.only_make:
                    told[database] |= _answers(places, given.questions)
            if not given.only_make:
                with _places(database, root, [0]) as places:
                    told[database]["write"] = _written(places[0])
    print(json.dumps({**told, "load": round(load(), 2), "machine": hardware()}, indent=1))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[100_000, 10_000_000])
    parser.add_argument("--databases", nargs="+", choices=("sqlite", "postgis"), default=["sqlite", "postgis"])
    parser.add_argument("--questions", type=int, default=1_000)
    parser.add_argument("--folder", type=Path, help="keeps the databases")
    parser.add_argument("--only-make", action="store_true", help="asks nothing; needs --folder")
    return parser.parse_args()


@contextmanager
def _places(database: str, root: Path, counts: Sequence[int]) -> Iterator[dict[int, Where]]:
    """Where the registry of each size lies; 0 is an empty one."""
    if database == "sqlite":
        (root / "registry-0.sqlite").unlink(missing_ok=True)
        yield {count: root / f"registry-{count}.sqlite" for count in counts}
        return
    with own_cluster(root / "cluster", durable=True) as cluster:
        yield {count: _database(cluster, f"registry_{count}") for count in counts}


def _database(cluster: Cluster, name: str) -> str:
    import psycopg

    if name.endswith("_0"):
        cluster.execute("postgres", f"DROP DATABASE IF EXISTS {name}")
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
            connection.execute(f"CREATE DATABASE {name}".encode())
    return cluster.url(name)


def _made(where: Where, note: Path, count: int) -> dict[str, float]:
    """Fills a registry as `twin registry import` does; rows and entities a second."""
    if note.is_file():
        told: dict[str, float] = json.loads(note.read_text())
        return told
    rows = Synthetic(count)
    rows.order.sum()  # made before the clock runs
    begin = time.perf_counter()
    with writing(where, AUTHORITY, with_history=True) as target:
        counts = copy_tables(rows, target)
    seconds = time.perf_counter() - begin
    told = {
        "seconds": round(seconds, 1),
        "rows_per_s": round(sum(counts.values()) / seconds),
        "entities_per_s": round(count / seconds),
        "load": round(load(), 2),
    }
    note.write_text(json.dumps(told))
    return told


def _answers(places: dict[int, Where], questions: int) -> dict[str, Any]:
    """Microseconds of every kind of question by size, and how many times longer the largest takes."""
    by_size = {count: _asked(where, count, questions) for count, where in places.items()}
    few, many = by_size[min(by_size)], by_size[max(by_size)]
    times = {
        name: [round(many[name][what] / few[name][what], 2) for what in ("median_us", "first_round_us")] for name in few
    }
    return {"questions": {str(count): told for count, told in by_size.items()}, "times_longer": times}


def _asked(where: Where, count: int, questions: int) -> dict[str, dict[str, float]]:
    rows = Synthetic(count)
    numbers = np.random.default_rng(7).integers(0, count, questions)
    names = rows.geids.take(pa.array(numbers)).to_pylist()
    keys, codes = rows.keys(numbers).to_pylist(), rows.keys(numbers, "C").to_pylist()
    small, large = (_boxes(rows, numbers, side) for side in (100.0, 620.0))
    few = max(questions // 10, 1)
    with open_registry(where, AUTHORITY, read_only=True) as registry:
        told = {
            "identity by id": _each(names, registry.entity),
            "identity by source:key": _each([f"{SOURCE}:{key}" for key in keys], registry.lookup),
            "identity by scheme:value": _each([f"{SCHEME}:{code}" for code in codes], registry.lookup),
            "identity by bare code": _each(codes, registry.lookup),
        }
    with open_history(where, AUTHORITY, read_only=True) as history:
        told["state by id"] = _each(names, history.entity)
        told["versions by id"] = _each(names, history.versions)
        told["box of 100 m"] = _each(small[:few], lambda box: _inside(history, box, 16, 50))
        told["box of 1,000 entities"] = _each(large[:few], lambda box: _inside(history, box, 900, 1_100))
        told["the first 100 in that box"] = _each(large[:few], lambda box: _inside(history, box, 100, 100, limit=100))
        pages = [name for name in names if name < "t"][:few]  # none so near the end that there are no 1,000 left
        told["page of 1,000 by id"] = _each(pages, lambda name: history.snapshot(Window(after=name, limit=1_000)))
    return told


def _boxes(rows: Synthetic, numbers: np.ndarray[Any, Any], side_m: float) -> list[tuple[float, float, float, float]]:
    """Boxes around entities, none of them over the edge of the grid."""
    inner = int(np.ceil(side_m / STEP_M)) + 1
    column, row = (np.clip(at, inner, rows.side - 2 * inner) for at in (numbers % rows.side, numbers // rows.side))
    lon, lat = rows.corner(row * rows.side + column)
    half = side_m / 2 / DEGREE_M
    return list(zip(*((side.tolist()) for side in (lon - half, lat - half, lon + half, lat + half)), strict=True))


def _inside(history: History, box: tuple[float, float, float, float], least: int, most: int, **window: Any) -> None:
    found = history.snapshot(Window(valid=BEGIN, bbox=box, **window)).num_rows
    if not least <= found <= most:
        raise SystemExit(f"{found} entities in a box, not {least} to {most}")


def _each(values: Sequence[Any], ask: Callable[[Any], Any]) -> dict[str, float]:
    """Microseconds of one question, asked three times round: the first, which may find nothing in memory, by itself."""
    rounds = []
    for _ in range(_PASSES):
        times = []
        for value in values:
            begin = time.perf_counter()
            found = ask(value)
            times.append((time.perf_counter() - begin) * 1e6)
            if found is not None and not found:
                raise SystemExit(f"nothing was found for {value!r}")
        rounds.append(times)
    every = [one for times in rounds[1:] for one in times]
    return {
        "median_us": round(statistics.median(every), 1),
        "first_round_us": round(statistics.median(rounds[0]), 1),
        "p99_us": round(float(np.percentile(every, 99)), 1),
    }


def _written(where: Where, count: int = 100_000) -> dict[str, float]:
    """Entities a second through the ways of a build and of an update: all checks, one transaction each."""
    rows = Synthetic(count)
    keys = rows.keys(np.arange(count))
    nowhere = np.zeros(count)
    with open_registry(where, AUTHORITY) as registry:
        begin = time.perf_counter()
        resolved = registry.resolve("buildings", SOURCE, keys, Anchors(*[nowhere] * 7))
        registry.record(resolved, pa.repeat("Building", count))
        registry.commit("r1")
        identities = time.perf_counter() - begin
    versions = pa.Table.from_batches(
        batch for table in rows.tables() if table.name == "history_version" for batch in rows.read(table)
    )
    wanted = [
        name for name in versions.column_names if name not in ("id", "edition", "valid_from", "valid_to", "aliases")
    ]
    with open_history(where, AUTHORITY) as history:
        begin = time.perf_counter()
        with history.write(EditionKind.ADOPT, "bench", BEGIN) as pen:
            pen.assert_versions(versions.select(wanted))
        states = time.perf_counter() - begin
    return {"identities_per_s": round(count / identities), "versions_per_s": round(count / states)}


if __name__ == "__main__":
    main()
