"""A district of many small entities in three classes, for the tests of OGC API Features."""

from __future__ import annotations

import datetime
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import shapely

from tests.server import conftest
from twin.crs.reference import horizontal, parse_crs
from twin.entity import geid

COUNT = 240
NAMES = ("Élan House", "elan tower", "东方大厦", None, "100% Wool_Store")
_TO_DEGREES = horizontal(parse_crs(conftest.CRS), parse_crs("EPSG:4326"))


def _square(x: float, y: float, size: float) -> list[list[float]]:
    return [[x, y], [x + size, y], [x + size, y + size], [x, y + size], [x, y]]


def shape_of(number: int) -> list[list[list[list[float]]]] | None:
    """Squares on a grid of 50 m; every tenth has a courtyard, every seventeenth a second part, one has no outline."""
    if number == 7:
        return None
    east, north = conftest.ORIGIN + np.array([50.0 * (number % 20), 50.0 * (number // 20)])
    rings = [_square(east, north, 20.0)]
    if number % 10 == 0:
        rings.append(_square(east + 5, north + 5, 10.0)[::-1])
    parts = [rings]
    if number % 17 == 0:
        parts.append([_square(east + 25, north, 5.0)])
    return parts


def entity(number: int, authority: str = "310105") -> dict[str, object]:
    """One row of the index."""
    shape = shape_of(number)
    degrees = None
    if shape is not None:
        xy = np.array([point for part in shape for point in part[0]])
        degrees = _TO_DEGREES(xy)
    sides = dict(zip(("west", "south", "east", "north"), [None] * 4, strict=True))
    if degrees is not None:
        low, high = degrees.min(axis=0), degrees.max(axis=0)
        sides = {"west": low[0], "south": low[1], "east": high[0], "north": high[1]}
    height = None if number % 13 == 0 else float(3 * (number % 11 + 1))
    return {
        "geid": geid.mint(authority, [f"survey/{number}"])[0],
        "layer": "buildings",
        "entity_class": ("Building", "BuildingPart", "街道 <Road>")[0 if number % 6 else number % 4 // 2 + 1],
        "source": "survey", "source_key": str(number), "name": NAMES[number % 5], "address": f"{number} Yan'an Road",
        "aliases": [f"NO:{number}", *(["LIST:a"] if number % 2 else [])], "parent": None, "tile": None, "row": -1,
        "lon": None if degrees is None else float(degrees[:, 0].mean()),
        "lat": None if degrees is None else float(degrees[:, 1].mean()),
        "height": None if number % 13 == 0 else 10.0 + number % 7, **sides,
        "base_m": 4.0, "roof_m": None, "height_m": height, "storeys": None, "height_source": "attribute",
        "height_confidence": 0.9, "ground_source": "dem", "lod": "1.2", "outcome": "built", "reasons": [],
        "geometry": shape,
        "attr.built": datetime.date(1990 + number % 30, 1, 1),
        "attr.seen": datetime.datetime(2020, 1, 1 + number % 28, 12, tzinfo=datetime.UTC),
        "attr.flats": number % 9, "attr.listed": number % 4 == 0, "attr.height": f"h{number}",
        "attr.屋顶 colour": "red" if number % 3 else "blue",
    }  # fmt: skip


def table(numbers: range = range(COUNT)) -> pa.Table:
    """The rows of the index."""
    return pa.Table.from_pylist([entity(number) for number in numbers])


def publish(out: Path, numbers: range = range(COUNT)) -> conftest.District:
    """Makes the district the served one; another range of numbers is another release."""
    with patch.object(conftest, "index_table", lambda _: table(numbers)):
        return conftest.publish(out, mark=str(numbers))


def footprint(number: int) -> shapely.Geometry:
    """The footprint in degrees, made without the code under test."""
    shape = shape_of(number)
    assert shape is not None
    return shapely.MultiPolygon(
        [
            shapely.Polygon(_TO_DEGREES(np.array(part[0])), [_TO_DEGREES(np.array(hole)) for hole in part[1:]])
            for part in shape
        ]
    )
