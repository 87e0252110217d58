"""Subdistricts of Shanghai above made-up buildings, now and over time, against the file as shapely reads it."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from pipelines.project import load_project
from pipelines.project_registry import open_project_history
from pipelines.update import UpdateOptions, run_update, undo_update
from pipelines.update_plan import to_json
from tests.pipelines.district import ORIGIN, District
from twin.crs.reference import horizontal, parse_crs
from twin.registry.history_areas import placed
from twin.registry.versions import Window

X, Y = ORIGIN
SPOTS = [(X + 400 * (at % 10), Y + 400 * (at // 10)) for at in range(100)]


@pytest.fixture
def streets(real_data: Path) -> Path:
    return real_data / "shanghai" / "streets_named" / "shanghai_streets_named.geojson"


def housed(root: Path, area: str) -> District:
    """A hundred houses on a grid."""
    shapes = [shapely.box(x - 6, y - 6, x + 6, y + 6) for x, y in SPOTS]
    return District(root, shapes, {"id": [str(at) for at in range(100)], "height": [9.0] * 100}, output=area)


def test_every_street_is_an_area_and_unknown_names_stay_unknown(streets: Path, tmp_path: Path) -> None:
    features = json.loads(streets.read_text(encoding="utf-8"))["features"]
    shapes = [shapely.geometry.shape(one["geometry"]) for one in features]
    degrees = horizontal(parse_crs("EPSG:4549"), parse_crs("EPSG:4326"))
    area = f'[[area]]\nname = "streets"\npath = "{streets}"\nlevel = "subdistrict"\n[area.fields]\nname = "name"\n'
    made = housed(tmp_path, area)
    made.build()
    rows = {row["geid"]: row for row in made.index.table.to_pylist()}
    areas = [row for row in rows.values() if row["layer"] == "areas"]
    assert len(areas) == len(features) == 251
    assert Counter(row["name"] for row in areas) == Counter(one["properties"]["name"] for one in features)
    assert sum(row["name"] is None for row in areas) == 38
    houses = {row["source_key"]: row for row in rows.values() if row["layer"] == "buildings"}
    for at, (lon, lat) in enumerate(degrees(np.array(SPOTS))):
        around = [one["properties"] for one, shape in zip(features, shapes, strict=True)
                  if shape.contains(shapely.Point(lon, lat))]  # fmt: skip
        parent = houses[str(at)]["parent"]
        assert len(around) == (parent is not None)
        if around:
            above = rows[parent]
            assert (above["name"], above["attr.code"]) == (around[0]["name"], around[0]["code"])
    assert len({row["parent"] for row in houses.values()}) > 3


def write(path: Path, features: list[dict[str, Any]]) -> None:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")


def around(features: list[dict[str, Any]]) -> Counter[str]:
    """How many houses stand in each street, by its code."""
    lonlat = horizontal(parse_crs("EPSG:4549"), parse_crs("EPSG:4326"))(np.array(SPOTS))
    points = shapely.points(lonlat)
    shapes = np.array([shapely.geometry.shape(one["geometry"]) for one in features], dtype=object)
    point, area = shapely.STRtree(shapes).query(points, predicate="within")
    assert len(set(point.tolist())) == len(point)
    return Counter(features[at]["properties"]["code"] for at in area.tolist())


def names_of(features: list[dict[str, Any]]) -> list[str | None]:
    """Names of the areas there are: pieces with one code are one area, with the first of their names."""
    pieces: dict[Any, list[str]] = {}
    for at, one in enumerate(features):
        pieces.setdefault(one["properties"]["code"] or at, []).append(one["properties"]["name"] or "")
    return [min((name for name in names if name), default=None) for names in pieces.values()]


def joined(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The first street with the ground of both."""
    shape = shapely.union_all([shapely.geometry.shape(street["geometry"]) for street in (one, other)])
    return {**one, "geometry": shapely.geometry.mapping(shape)}


def test_streets_renamed_gone_and_joined_are_so_from_their_day_on_and_no_house_has_a_version(
    streets: Path, tmp_path: Path
) -> None:
    was = json.loads(streets.read_text(encoding="utf-8"))["features"]
    often = Counter(one["properties"]["code"] for one in was)  # some pieces share a code, some have none
    by_code = {one["properties"]["code"]: one for one in was if often[one["properties"]["code"]] == 1}
    inhabited = [code for code, _ in around(was).most_common() if code in by_code]
    gone, absorbed, renamed = inhabited[:3]
    ground = shapely.geometry.shape(by_code[absorbed]["geometry"])
    border = {code: shapely.intersection(ground, shapely.geometry.shape(one["geometry"])).length
              for code, one in by_code.items() if code not in (gone, absorbed, renamed)}  # fmt: skip
    taker = max(border, key=border.__getitem__)
    now = [one for one in was if one["properties"]["code"] not in (gone, absorbed, renamed, taker)]
    properties = {**by_code[renamed]["properties"], "name": "改名街道"}
    now += [{**by_code[renamed], "properties": properties}, joined(by_code[taker], by_code[absorbed])]
    write(tmp_path / "streets.geojson", was)
    area = '[[area]]\nname = "streets"\npath = "streets.geojson"\nlevel = "subdistrict"\n'
    made = housed(tmp_path, area + '[area.fields]\nid = "code"\nname = "name"\n')
    made.build()
    areas = {row["geid"]: row for row in made.index.table.to_pylist() if row["layer"] == "areas"}
    assert len(areas) == len(names_of(was)) < len(was)
    geid = {row["source_key"]: row["geid"] for row in areas.values()}
    write(tmp_path / "streets.geojson", now)
    day = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
    applied = run_update(load_project(tmp_path), UpdateOptions(valid_from=day))
    plan = to_json(applied.plan)
    told = {(one["change"], frozenset(side["key"] for side in one["before"])) for one in plan["changes"]}
    assert told == {
        ("attributes_changed", frozenset({renamed})),
        ("gone", frozenset({gone})),
        ("merged", frozenset({absorbed, taker})),
    }
    assert plan["areas"]["unchanged"] == len(areas) - 4 and plan["doubtful"] == 0
    history = open_project_history(load_project(tmp_path))
    written = {row["geid"] for row in history.during().to_pylist() if row["edition"] == 2}
    assert written == {geid[code] for code in (gone, absorbed, renamed, taker)}
    assert history.successors(geid[absorbed]) == (geid[taker],)
    for moment, features in ((day - datetime.timedelta(milliseconds=1), was), (day, now)):
        window = Window(valid=moment)
        rows = placed(history, history.snapshot(window), window).to_pylist()
        code = {row["geid"]: row["source_key"] for row in rows if row["layer"] == "areas"}
        named = Counter(row["name"] for row in rows if row["layer"] == "areas")
        assert named == Counter(names_of(features)) and named[None] == 38
        lived = Counter(code[row["parent"]] for row in rows if row["layer"] == "buildings" and row["parent"])
        assert lived == around(features)
    assert not history.verify()
    history.close()
    assert undo_update(load_project(tmp_path))[1].undoes == 2
    write(tmp_path / "streets.geojson", was)
    assert made.build().tiles_written == 0
    assert {row["geid"]: row for row in made.index.table.to_pylist() if row["layer"] == "areas"} == areas
