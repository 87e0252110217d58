"""A server answers for the areas of the moment asked about: names, borders, what lies in them, what came later."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from pipelines.project import load_project
from pipelines.update import UpdateOptions, run_update
from server.app import Application
from server.settings import Settings
from tests.pipelines.district import ORIGIN
from tests.pipelines.test_areas import GRIDS, STREETS, area_table, box, by_key, district, write_areas
from tests.server.conftest import Answer, request
from twin.crs.reference import parse_crs, to_wgs84_lonlat

BEFORE, AFTER = "datetime=2025-01-01", "datetime=2026-01-01"
SINCE = datetime.datetime(2025, 6, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True)
class World:
    """A district in which street s1 went up in s2, and grid g1 was renamed and took ground from g2, in June 2025.

    Attributes:
        app: Serves it.
        was, now: Rows of the index by id, before and after.
    """

    app: Application
    was: dict[str, dict[str, Any]]
    now: dict[str, dict[str, Any]]

    def get(self, path: str) -> Answer:
        return request(self.app, path)

    def keys(self, geids: set[Any]) -> set[str | None]:
        key = {row["geid"]: name for one in (self.was, self.now) for name, row in one.items()}
        return {key.get(one) for one in geids}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("areas") / "district"
    made = district(root, area_table("streets", "subdistrict") + area_table("grids", "community")).write()
    write_areas(root / "streets.gpkg", STREETS, {"code": ["s1", "s2"], "name": ["Xinhua", "Union"]})
    write_areas(root / "grids.gpkg", GRIDS[:2], {"code": ["g1", "g2"], "name": ["A", "B"]})
    made.build()
    past = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC).timestamp()
    os.utime(root / "out" / "current.json", (past, past))
    was = by_key(made)
    write_areas(root / "streets.gpkg", [box(0, 0, 1000, 500)], {"code": ["s2"], "name": ["Union"]})
    grids = [box(0, 0, 400, 500), box(400, 0, 500, 500)]
    write_areas(root / "grids.gpkg", grids, {"code": ["g1", "g2"], "name": ["A2", "B"]})
    assert run_update(load_project(root), UpdateOptions(valid_from=SINCE)).edition is not None
    made.build()
    app = Application(Settings(root))
    yield World(app, was, by_key(made))


def test_a_building_lies_in_the_areas_of_the_time_asked_for(world: World) -> None:
    parent = {key: {when: world.get(f"/entities/{world.now[key]['geid']}?{when}").json()["parent"]
                    for when in (BEFORE, AFTER)} for key in ("h1", "h2", "h3")}  # fmt: skip
    assert parent == {
        "h1": {BEFORE: world.was["g2"]["geid"], AFTER: world.now["g1"]["geid"]},
        "h2": {BEFORE: world.was["s2"]["geid"], AFTER: world.now["s2"]["geid"]},
        "h3": {BEFORE: None, AFTER: None},
    }


def test_the_history_of_a_building_has_one_version_and_that_of_an_area_says_what_changed(world: World) -> None:
    house = world.get(f"/entities/{world.now['h1']['geid']}/history").json()
    assert len(house["versions"]) == 1
    area = world.get(f"/entities/{world.now['g1']['geid']}/history").json()
    assert [one["changed_fields"] for one in area["versions"]] == [[], ["name", "geometry"]]


def test_an_area_that_ended_is_gone_and_names_the_one_it_went_up_in(world: World) -> None:
    ended = world.get(f"/entities/{world.was['s1']['geid']}")
    assert ended.status == 410 and world.now["s2"]["geid"] in ended.body.decode()
    past = world.get(f"/entities/{world.was['s1']['geid']}?{BEFORE}").json()
    assert (past["name"], past["entity_class"]) == ("Xinhua", "AdministrativeArea")


def test_the_collection_of_areas_answers_for_its_time(world: World) -> None:
    def named(query: str) -> set[tuple[str, str | None]]:
        found = world.get(f"/collections/AdministrativeArea/items?{query}").json()["features"]
        by_geid = {row["geid"]: key for one in (world.was, world.now) for key, row in one.items()}
        return {(one["properties"]["name"], *world.keys({one["properties"]["parent"]})) for one in found if by_geid}

    assert named(BEFORE) == {("Xinhua", None), ("Union", None), ("A", "s1"), ("B", "s1")}
    assert named(AFTER) == named("limit=10") == {("Union", None), ("A2", "s2"), ("B", "s2")}


def test_items_of_an_interval_lie_in_the_areas_at_its_end(world: World) -> None:
    for interval, expected in (
        ("2024-06-01/2025-01-01", {"g1", "g2", "s2", None}),
        ("2024-06-01/..", {"g1", "s2", None}),
    ):
        found = world.get(f"/collections/Building/items?datetime={interval}").json()["features"]
        assert world.keys({one["properties"]["parent"] for one in found}) == expected
        (one,) = [one for one in found if one["id"] == world.now["h1"]["geid"]]
        alone = world.get(f"/collections/Building/items/{one['id']}?datetime={interval}").json()
        assert alone["properties"]["parent"] == one["properties"]["parent"]


@pytest.mark.parametrize(("when", "expected"), [(BEFORE, ["h1", "g2", "s1"]), (AFTER, ["h1", "g1", "s2"])])
def test_a_place_resolves_to_the_building_and_the_areas_of_its_time(
    world: World, when: str, expected: list[str]
) -> None:
    to_degrees = to_wgs84_lonlat(parse_crs("EPSG:4549"))
    import numpy as np

    ((lon, lat),) = to_degrees(np.array([[ORIGIN[0] + 315.0, ORIGIN[1] + 20.0]])).tolist()
    chain = world.get(f"/resolve?lon={lon}&lat={lat}&{when}").json()["chain"]
    rows = {**world.was, **world.now}
    assert [one["geid"] for one in chain] == [rows[key]["geid"] for key in expected]


def test_the_page_of_a_building_names_the_areas_of_the_time(world: World) -> None:
    page = world.get(f"/entities/{world.now['h1']['geid']}?{BEFORE}&f=html").body.decode()
    assert page.index("Xinhua") < page.index(">B<")
