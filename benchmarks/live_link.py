"""Linking reports to 100,000 entities: by position, address, identifier and code, in batches.

usage: python benchmarks/live_link.py [ENTITIES] [REPORTS]    prints one JSON document
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import pyarrow as pa
from lookup import synthetic
from machine import hardware, load

from twin.crs.reference import horizontal, parse_crs
from twin.entity.index import EntityIndex
from twin.live.kinds import starter_kinds
from twin.live.link import Linker
from twin.live.model import Place, Report

_ORIGIN = np.array([630_000.0, 3_452_000.0])  # EPSG:4549, so that degrees go through the projection a district has
_BATCH = 5_000
_PASSES = 5
_FIRST = "天仙虹长华安新金银东万嘉恒尚凯汇宏锦绿明国兴"
_SECOND = "山霞桥宁阳顺泰源都丰瑞利茂信悦澜庭苑城联达景"


def main() -> None:
    """Runs the benchmark."""
    entities = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    reports = int(sys.argv[2]) if len(sys.argv) > 2 else 20_000
    with tempfile.TemporaryDirectory(prefix="twin-bench-") as folder:
        told = _measured(Path(folder) / "e.arrow", entities, reports)
    print(json.dumps({**told, "load": round(load(), 2), "machine": hardware()}, indent=1, ensure_ascii=False))


def _measured(path: Path, entities: int, reports: int) -> dict[str, Any]:
    rng = np.random.default_rng(7)
    addresses = _addresses(entities, rng)
    table = synthetic(entities)
    codes = pa.array([[f"REF:{number}"] for number in range(entities)], pa.list_(pa.string()))
    table = table.append_column("address", pa.array(addresses)).append_column("aliases", codes)
    EntityIndex.write(path, table)
    to_xy, to_lonlat = _projection()
    index = EntityIndex.open(path, to_xy)
    begin = time.perf_counter()
    _linker(index).warm()
    made = time.perf_counter() - begin
    rows = rng.integers(0, entities, reports)
    box = index._grid().bounds[rows]
    places = to_lonlat(box[:, :2] + rng.random((reports, 2)) * (box[:, 2:] - box[:, :2]) * 1.5).tolist()
    texts = index.table["address"].take(pa.array(rows)).to_pylist()
    names = index.table["geid"].take(pa.array(rows)).to_pylist()
    kinds: dict[str, list[Place]] = {
        "position": [Place(lon=lon, lat=lat) for lon, lat in places],
        "position_3d_accuracy_30_m": [Place(lon=lon, lat=lat, h=8.0, accuracy_m=30.0) for lon, lat in places],
        "address": [Place(address=text) for text in texts],
        "address_told": [Place(address=f"市民来电反映长宁区{text}门口有人乱堆垃圾") for text in texts],
        "address_and_position": [
            Place(address=text, lon=lon, lat=lat) for text, (lon, lat) in zip(texts, places, strict=True)
        ],
        "geid": [Place(geid=name) for name in names],
        "code": [Place(code=f"REF:{row}") for row in rows.tolist()],
    }
    told = {name: _rate(lambda: _linker(index), asked) for name, asked in kinds.items()}
    return {"entities": entities, "made_ready_s": round(made, 2), "reports_per_s": told}


def _addresses(count: int, rng: np.random.Generator) -> list[str]:
    """Addresses on 484 streets, a third of them in lanes."""
    streets = [first + second + "路" for first in _FIRST for second in _SECOND]
    street, number, inner = (
        rng.integers(0, len(streets), count),
        rng.integers(1, 900, count),
        rng.integers(1, 60, count),
    )
    lane = rng.random(count) < 0.35
    rows = zip(street.tolist(), number.tolist(), inner.tolist(), lane.tolist(), strict=True)
    return [f"{streets[at]}{no}弄{last}号" if in_lane else f"{streets[at]}{no}号" for at, no, last, in_lane in rows]


def _projection() -> tuple[Callable[[Any, Any], tuple[Any, Any]], Callable[[Any], Any]]:
    working, degrees = parse_crs("EPSG:4549"), parse_crs("EPSG:4326")
    forward, back = horizontal(degrees, working), horizontal(working, degrees)

    def to_xy(lon: Any, lat: Any) -> tuple[Any, Any]:
        xy = forward(np.column_stack([np.atleast_1d(lon), np.atleast_1d(lat)])) - _ORIGIN
        return xy[:, 0], xy[:, 1]

    return to_xy, lambda xy: back(xy + _ORIGIN)


def _linker(index: EntityIndex) -> Linker:
    return Linker(index, lambda _: None, {}, {}, starter_kinds())


def _rate(fresh: Callable[[], Linker], places: list[Place]) -> dict[str, float]:
    """Reports a second, median of passes with a linker that has seen nothing yet, and the share that was linked."""
    reports = [
        Report("bench", str(at), str(at), "work_order", "created", "low", "", 0, place=place)
        for at, place in enumerate(places)
    ]
    rates, linked = [], 0
    for _ in range(_PASSES):
        linker = fresh()
        begin = time.perf_counter()
        links = [link for at in range(0, len(reports), _BATCH) for link in linker.link(reports[at : at + _BATCH])]
        rates.append(len(reports) / (time.perf_counter() - begin))
        linked = sum(link.geid is not None for link in links)
    return {"per_s": round(statistics.median(rates)), "linked": round(linked / len(reports), 3)}


if __name__ == "__main__":
    main()
