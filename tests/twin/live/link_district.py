"""A hand-made index for tests of linking: degrees are metres divided by a million, so that places are easy to write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from twin.entity import geid
from twin.entity.index import EntityIndex
from twin.entity.index_schema import POLYGONS
from twin.live.kinds import Kinds, kinds_from, starter_kinds
from twin.live.link import Linker
from twin.live.model import Place, Report
from twin.live.sensors import Sensor

SCALE = 1e6


@dataclass(frozen=True)
class Thing:
    """An entity with a rectangular footprint.

    Attributes:
        key: Source key, and what tests call it.
        box: West, south, east, north, metres; None without a footprint.
        entity_class, layer, name, address, aliases, parent, base, height, level: As in the index; `parent` is a key.
    """

    key: str
    box: tuple[float, float, float, float] | None = None
    entity_class: str = "Building"
    layer: str = "buildings"
    name: str | None = None
    address: str | None = None
    aliases: tuple[str, ...] = ()
    parent: str | None = None
    base: float | None = 10.0
    height: float | None = 20.0
    level: str | None = None

    @property
    def geid(self) -> str:
        """Its identifier."""
        return geid.mint("t", [f"s/{self.key}"])[0]


def index_of(path: Path, things: Sequence[Thing], *, placed: bool = True) -> EntityIndex:
    """Writes and opens an index; `placed` False leaves out `to_xy`, as where the working CRS is private."""
    of_key = {thing.key: thing.geid for thing in things}
    boxes = [thing.box for thing in things]
    middle = [None if box is None else ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) for box in boxes]
    table = pa.table(
        {
            "geid": [thing.geid for thing in things],
            "layer": [thing.layer for thing in things],
            "source": ["s"] * len(things),
            "source_key": [thing.key for thing in things],
            "entity_class": [thing.entity_class for thing in things],
            "name": pa.array([thing.name for thing in things], pa.string()),
            "address": pa.array([thing.address for thing in things], pa.string()),
            "aliases": pa.array([list(thing.aliases) for thing in things], pa.list_(pa.string())),
            "parent": pa.array([of_key.get(thing.parent or "") for thing in things], pa.string()),
            "lon": pa.array([None if one is None else one[0] / SCALE for one in middle], pa.float64()),
            "lat": pa.array([None if one is None else one[1] / SCALE for one in middle], pa.float64()),
            "height": pa.array([thing.base for thing in things], pa.float64()),
            "height_m": pa.array([thing.height for thing in things], pa.float64()),
            "geometry": pa.array([None if box is None else _rings(box) for box in boxes], POLYGONS),
            "attr.level": pa.array([thing.level for thing in things], pa.string()),
        }
    )
    EntityIndex.write(path, table)
    return EntityIndex.open(path, (lambda lon, lat: (lon * SCALE, lat * SCALE)) if placed else None)


def _rings(box: tuple[float, float, float, float]) -> list[list[list[list[float]]]]:
    west, south, east, north = box
    return [[[[west, south], [east, south], [east, north], [west, north], [west, south]]]]


def kinds(**prefer: Sequence[str]) -> Kinds:
    """The kinds that come with the program, with other preferences."""
    return kinds_from({"kinds": {name: {"prefer": list(words)} for name, words in prefer.items()}}, starter_kinds())


def linker(
    index: EntityIndex,
    *,
    codes: Mapping[str, str] | None = None,
    sensors: Sequence[Sensor] = (),
    learnt: Mapping[str, str] | None = None,
    known: Kinds | None = None,
    after: Mapping[str, Sequence[str]] | None = None,
    **options: Any,
) -> Linker:
    """A linker over an index; everything but the index may be left out."""
    stands = after or {}
    table = {sensor.id: sensor for sensor in sensors}
    words = starter_kinds() if known is None else known
    return Linker(
        index, (codes or {}).get, table, learnt or {}, words, successors=lambda name: stands.get(name, ()), **options
    )


def report(kind: str = "work_order", x: float | None = None, y: float | None = None, **place: Any) -> Report:
    """A report at a place in metres, or anywhere else a place may say."""
    if x is not None and y is not None:
        place |= {"lon": x / SCALE, "lat": y / SCALE}
    return Report("urn:test", "1", "1", kind, "created", "low", "t", 0, place=Place(**place))


def random_things(rng: np.random.Generator, count: int) -> list[Thing]:
    """Boxes of many sizes and heights that overlap, lie apart, or are areas; some without a footprint."""
    things = []
    for number in range(count):
        x, y = rng.uniform(-120, 120, 2)
        wide, deep = rng.choice([2.0, 8.0, 25.0], 2)
        area = rng.random() < 0.15
        things.append(
            Thing(
                str(number),
                None if rng.random() < 0.05 else (x, y, x + wide * (8 if area else 1), y + deep * (8 if area else 1)),
                entity_class="AdministrativeArea" if area else str(rng.choice(["Building", "BuildingPart", "Lamp"])),
                layer="areas" if area else str(rng.choice(["buildings", "things"])),
                base=None if area or rng.random() < 0.2 else float(rng.uniform(0, 20)),
                height=None if area or rng.random() < 0.2 else float(rng.uniform(3, 60)),
                level=str(rng.choice(["district", "subdistrict"])) if area else None,
                parent=str(rng.integers(0, number)) if number and rng.random() < 0.2 else None,
            )
        )
    return things
