"""A small district for indicators: two subdistricts, four buildings, one of them in parts, and a store in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from twin.entity import geid
from twin.entity.index import EntityIndex
from twin.live.model import Link, Place, Report, Stored
from twin.live.signs.ground import Ground

T0 = 1_790_000_000_000
"""A moment, ms since 1970; a whole multiple of five minutes is not what it is."""
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def name(key: str) -> str:
    return geid.mint("310105", [f"survey/{key}"])[0]


EAST, WEST, DISTRICT = name("east"), name("west"), name("district")
A, B, C, D = name("a"), name("b"), name("c"), name("d")


def box(x: float, y: float, w: float, h: float) -> list[Any]:
    return [[[[x, y], [x + w, y], [x + w, y + h], [x, y + h], [x, y]]]]


def row(key: str, shape: list[Any], parent: str | None, storeys: float | None = None, **own: Any) -> dict[str, Any]:
    building = {"layer": "buildings", "entity_class": "Building", "row": 0, "attr.level": None}
    return {"geid": name(key), "name": key, "geometry": shape, "parent": parent, "storeys": storeys, **building, **own}


def area(key: str, shape: list[Any], level: str, parent: str | None = None) -> dict[str, Any]:
    own: dict[str, Any] = {"layer": "areas", "entity_class": "AdministrativeArea", "row": -1, "attr.level": level}
    return row(key, shape, parent, **own)


def with_hole() -> list[Any]:
    """40 by 40 less 20 by 20: 1200 m²."""
    return [[*box(500, 0, 40, 40)[0], box(510, 10, 20, 20)[0][0][::-1]]]


ROWS = [
    area("district", box(-1000, -1000, 2000, 2000), "district"),
    area("west", box(-1000, -1000, 1000, 2000), "subdistrict", DISTRICT),
    area("east", box(0, -1000, 1000, 2000), "subdistrict", DISTRICT),
    row("a", box(-500, 0, 100, 100), WEST, 5.0),
    row("b", box(-300, 0, 100, 50), WEST, None),
    row("c", with_hole(), EAST, 10.0),
    row("d", box(700, 0, 50, 20), EAST, None),
    row("d1", box(700, 0, 20, 20), D, 3.0),
    row("d2", box(720, 0, 30, 20), D, 2.0),
]
FLOOR = {WEST: 50_000.0, EAST: 12_000.0 + 1_200.0 + 1_200.0}


def index(folder: Path) -> EntityIndex:
    """The district as an index; degrees are metres, divided by 100,000."""
    path = folder / "entities.arrow"
    EntityIndex.write(path, pa.Table.from_pylist(ROWS))
    return EntityIndex.open(path, to_xy)


def to_xy(lon: Any, lat: Any) -> tuple[Any, Any]:
    return lon * 1e5, lat * 1e5


def ground(folder: Path) -> Ground:
    return Ground.of(index(folder), to_xy, "first")


def report(number: int, **own: Any) -> Report:
    """A hotline ticket, unless told otherwise."""
    stated: dict[str, Any] = {
        "source": "urn:test", "id": f"r{number}", "case": f"r{number}", "kind": "hotline", "status": "created",
        "severity": "low", "title": "", "occurred_ms": T0, "place": Place(),
    }  # fmt: skip
    return Report(**{**stated, **own})


def reading(number: int, sensor: str, property: str, value: float | None, at: int, **data: Any) -> Report:
    """A reading of a fixed sensor."""
    return report(
        number, case=sensor, kind="observation", status="observed", severity="info", occurred_ms=at, value=value,
        place=Place(sensor=sensor), data={"property": property, **data},
    )  # fmt: skip


class Log:
    """An event store in memory: reports in the order of their offsets."""

    def __init__(self) -> None:
        self.stored: list[Stored] = []

    def add(
        self, report: Report, to: str | None = None, at: tuple[float, float] | None = None, late: int = 0
    ) -> Stored:
        """Records a report `late` ms after it happened, never before what was recorded already."""
        before = self.stored[-1].recorded_ms if self.stored else 0
        lon, lat = at or (None, None)
        link = Link(to, "geid" if to else "none", 1.0 if to else 0.0, None, lon, lat)
        one = Stored(len(self.stored) + 1, max(before, report.occurred_ms + late), report, link)
        self.stored.append(one)
        return one
