"""Subdistricts of Shanghai above made-up buildings, against the file as `json` and shapely read it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import shapely

from tests.pipelines.district import ORIGIN, District
from twin.crs.reference import horizontal, parse_crs

X, Y = ORIGIN


@pytest.fixture
def streets(real_data: Path) -> Path:
    return real_data / "shanghai" / "streets_named" / "shanghai_streets_named.geojson"


def test_every_street_is_an_area_and_unknown_names_stay_unknown(streets: Path, tmp_path: Path) -> None:
    features = json.loads(streets.read_text(encoding="utf-8"))["features"]
    shapes = [shapely.geometry.shape(one["geometry"]) for one in features]
    spots = [(X + 400 * (at % 10), Y + 400 * (at // 10)) for at in range(100)]
    degrees = horizontal(parse_crs("EPSG:4549"), parse_crs("EPSG:4326"))
    area = f'[[area]]\nname = "streets"\npath = "{streets}"\nlevel = "subdistrict"\n[area.fields]\nname = "name"\n'
    made = District(
        tmp_path,
        [shapely.box(x - 6, y - 6, x + 6, y + 6) for x, y in spots],
        {"id": [str(at) for at in range(100)], "height": [9.0] * 100},
        output=area,
    )
    made.build()
    rows = {row["geid"]: row for row in made.index.table.to_pylist()}
    areas = [row for row in rows.values() if row["layer"] == "areas"]
    assert len(areas) == len(features) == 251
    assert Counter(row["name"] for row in areas) == Counter(one["properties"]["name"] for one in features)
    assert sum(row["name"] is None for row in areas) == 38
    houses = {row["source_key"]: row for row in rows.values() if row["layer"] == "buildings"}
    for at, (lon, lat) in enumerate(degrees(np.array(spots))):
        around = [one["properties"] for one, shape in zip(features, shapes, strict=True)
                  if shape.contains(shapely.Point(lon, lat))]  # fmt: skip
        parent = houses[str(at)]["parent"]
        assert len(around) == (parent is not None)
        if around:
            above = rows[parent]
            assert (above["name"], above["attr.code"]) == (around[0]["name"], around[0]["code"])
    assert len({row["parent"] for row in houses.values()}) > 3
