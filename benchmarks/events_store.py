"""How fast the log of events takes reports in for good, and how fast it answers: SQLite and PostgreSQL.

python -m benchmarks.events_store [--where sqlite|postgis] [--rows 300000] [--folder /var/tmp]

Reports lie like those of a district: a third work orders with five reports a case, a third measurements of 400 sensors,
a third positions of 200 patrols; 20,000 entities; Chinese titles, an address, 120 bytes of further JSON. Every commit
is flushed to the disk (PostgreSQL runs with its own settings, fsync on).
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.machine import hardware, load
from tests.postgis import own_cluster
from twin.live.model import EventStore, Filter, Link, Place, Report
from twin.live.open import open_events

BEGIN = 1_790_000_000_000
SIZES = (1, 50, 200, 500)
_LIFE = ("created", "accepted", "dispatched", "handled", "closed")
Rows = list[tuple[Report, Link]]


def report(number: int) -> tuple[Report, Link]:
    """The report of a number, always the same."""
    entity = number * 7919 % 20_000
    geid = f"7k3m-{entity:04d}-qx9{entity % 10}-a{entity % 100:02d}p"
    kind = number % 3
    when = BEGIN + number * 40
    link = Link(geid, "address", 0.9, None, 121.4 + entity * 1e-6, 31.2 + entity * 1e-6, 4.5)
    data = {"caller": "匿名", "photo": f"https://photos.example/{number}.jpg", "road": "道路设施", "level": number % 5}
    if kind == 0:
        case, step = divmod(number // 3, 5)
        name = f"GD2026{case:08d}"
        place = Place(address=f"幸福路{entity % 900}号门前")
        return _one("urn:dispatch", number, name, "work_order", _LIFE[step], when, place, data), link
    if kind == 1:
        place = Place(sensor=f"water-{number % 400}")
        level = _one("urn:sensors", number, f"water-{number % 400}", "observation", "observed", when, place, {})
        return level, link
    place = Place(lon=121.4, lat=31.2, accuracy_m=8.0)
    return _one("urn:patrol", number, f"car-{number % 200}", "position", "observed", when, place, {}), link


def _one(
    source: str, number: int, case: str, kind: str, status: str, when: int, place: Place, data: dict[str, Any]
) -> Report:
    value = number % 97 / 10 if kind == "observation" else None
    title = f"井盖破损，车辆经过有响声 {number}"
    return Report(source, f"m{number}", case, kind, status, "low", title, when, when, None, place, value, None, data)


def _append(store: EventStore, begin: int, count: int, size: int) -> dict[str, float]:
    """Reports a second in batches of a size; making the reports is not counted."""
    batches = [[report(number) for number in range(at, at + size)] for at in range(begin, begin + count, size)]
    times = []
    for batch in batches:
        start = time.perf_counter()
        done = store.append(batch)
        times.append(time.perf_counter() - start)
        if not all(done.fresh):
            raise SystemExit("a report was there already")
    times.sort()
    return {
        "per_s": round(len(batches) * size / sum(times)),
        "median_ms": round(statistics.median(times) * 1000, 2),
        "p99_ms": round(times[int(len(times) * 0.99)] * 1000, 2),
    }


def _asked(store: EventStore, count: int) -> dict[str, float]:
    """Milliseconds of a question, the median of some."""
    entity = report(count // 2)[1].geid
    middle = BEGIN + count * 20
    stored = store.get(count // 2)
    assert stored is not None
    questions: dict[str, Callable[[], Any]] = {
        "the next 1,000 reports": lambda: store.after(count // 2, 1000),
        "reports of an entity": lambda: store.select(Filter(geids=frozenset({str(entity)})), 100),
        "100 youngest of a kind, page in the middle": lambda: store.select(
            Filter(kinds=frozenset({"work_order"})), 100, count // 2
        ),
        "100 youngest open ones": lambda: store.select(Filter(open=True, kinds=frozenset({"work_order"})), 100),
        "100 reports of 10 s in the middle": lambda: store.select(Filter(since_ms=middle, until_ms=middle + 10_000)),
        "state: cases that are open": lambda: store.state(Filter(open=True, kinds=frozenset({"work_order"}))),
        "state: measurements and positions": lambda: store.state(Filter(kinds=frozenset({"observation", "position"}))),
        "state of 5,000 cases": lambda: store.state(Filter(), 5000),
        "all reports of a case": lambda: store.case(stored.report.source, stored.report.case),
        "counts": store.counts,
    }
    return {name: _median_ms(question) for name, question in questions.items()}


def _median_ms(question: Callable[[], Any]) -> float:
    times = []
    for _ in range(7):
        start = time.perf_counter()
        if not question():
            raise SystemExit("nothing was found")
        times.append((time.perf_counter() - start) * 1000)
    return round(statistics.median(times), 2)


@contextmanager
def _place(kind: str, folder: Path) -> Iterator[Path | str]:
    root = Path(tempfile.mkdtemp(prefix="twin-events-", dir=folder))
    root.chmod(0o755)
    try:
        if kind == "sqlite":
            yield root / "events.sqlite"
            return
        with own_cluster(root / "pg", durable=True) as cluster:
            cluster.execute("postgres", "CREATE DATABASE twin")
            yield cluster.url("twin")
    finally:
        shutil.rmtree(root, ignore_errors=True)


def main() -> None:
    """Prints one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--where", choices=("sqlite", "postgis"), default="sqlite")
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"))
    given = parser.parse_args()
    with _place(given.where, given.folder) as where:
        store = open_events(where)
        result: dict[str, Any] = {"where": given.where, "rows": given.rows, "load": load(), **hardware()}
        result["empty"] = {size: _append(store, store.last() + 1, min(200 * size, 20_000), size) for size in SIZES}
        for at in range(store.last() + 1, given.rows, 2000):
            store.append([report(number) for number in range(at, at + 2000)])
        result["full"] = {size: _append(store, store.last() + 1, min(200 * size, 20_000), size) for size in SIZES}
        result["asked_ms"] = _asked(store, store.last())
        start, pruned = time.perf_counter(), store.prune("position", 2**62)
        result["pruned_per_s"] = round(pruned / (time.perf_counter() - start))
        if isinstance(where, Path):
            result["bytes_a_report"] = round(where.stat().st_size / (store.last()))
        store.close()
    print(json.dumps(result, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
