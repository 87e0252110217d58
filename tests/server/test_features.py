"""OGC API Features: what a client gets is what a plain loop over the entities would give it."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.app import Application, create_app
from server.settings import Settings
from tests.server.features_district import COUNT, entity, footprint, publish
from twin.crs.reference import horizontal, parse_crs

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
ENTITIES = {str(one["geid"]): one for one in map(entity, range(COUNT))}
BUILDINGS = {key: one for key, one in ENTITIES.items() if one["entity_class"] == "Building"}
SHAPES = {key: footprint(int(str(one["source_key"]))) for key, one in BUILDINGS.items() if one["geometry"]}


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Any:
    app = create_app(Settings(publish(tmp_path_factory.mktemp("features") / "out").out))
    yield app
    app.releases.close()


Fetch = Callable[..., Any]


@pytest.fixture(scope="module")
def fetch(features: Application) -> Fetch:
    """`fetch("Building", bbox="…")` gives the decoded feature collection; a status that is no 200 fails the test."""
    from tests.server.conftest import request

    def get(collection: str = "Building", **parameters: Any) -> Any:
        query = urlencode({name.replace("_", "-"): value for name, value in parameters.items()})
        answer = request(features, f"/collections/{quote(collection)}/items?{query}")
        assert answer.status == 200, answer.body
        return answer.json()

    return get


def ids(document: Any) -> list[str]:
    return [one["id"] for one in document["features"]]


def test_every_entity_stands_in_the_collection_of_its_class_and_nowhere_else(
    features: Any, ask: Any, fetch: Any
) -> None:
    collections = [one["id"] for one in ask(features, "/collections").json()["collections"]]
    assert collections == sorted({str(one["entity_class"]) for one in ENTITIES.values()})
    found = [one for name in collections for one in ids(fetch(name, limit=1000))]
    assert sorted(found) == sorted(ENTITIES)


def test_properties_are_those_of_the_source_with_their_types(fetch: Any) -> None:
    for feature in fetch(limit=1000)["features"]:
        own, properties = ENTITIES[feature["id"]], feature["properties"]
        assert properties["flats"] == own["attr.flats"] and type(properties["flats"]) is int
        assert properties["listed"] is own["attr.listed"]
        assert properties["built"] == own["attr.built"].isoformat()  # type: ignore[attr-defined]
        assert properties["seen"] == own["attr.seen"].isoformat()  # type: ignore[attr-defined]
        assert properties["height"] == own["height"]  # the fact keeps its name, the attribute its prefix
        assert properties["attr.height"] == own["attr.height"]
        assert properties["屋顶 colour"] == own["attr.屋顶 colour"]
        assert properties["height_confidence"] == 0.9
        assert properties["aliases"] == own["aliases"]


def test_geometries_are_the_footprints_with_courtyards_and_parts(fetch: Any) -> None:
    for feature in fetch(limit=1000)["features"]:
        if feature["id"] not in SHAPES:
            assert feature["geometry"] is None
            continue
        written, wanted = shapely.from_geojson(json.dumps(feature["geometry"])), SHAPES[feature["id"]]
        assert shapely.hausdorff_distance(written, wanted) < 1e-8
        assert shapely.symmetric_difference(written, wanted).area < 1e-11
        assert (feature["geometry"]["type"] == "MultiPolygon") is (len(wanted.geoms) > 1)


@pytest.mark.parametrize("code", [4326, 4490, 3857, 4549, 4528, 4499, 4510, 4979, 4480])
def test_coordinates_follow_the_axis_order_of_the_crs(fetch: Any, code: int) -> None:
    flat = {4979: 4326, 4480: 4490}.get(code, code)
    move = horizontal(parse_crs("EPSG:4326"), parse_crs(f"EPSG:{flat}"))
    step = 2e-8 if flat in (4326, 4490) else 2e-3
    for feature in fetch(limit=1000, crs=f"{EPSG}{code}")["features"]:
        if feature["id"] in SHAPES:
            written = shapely.from_geojson(json.dumps(feature["geometry"]))
            xy = shapely.get_coordinates(written)[:, :: 1 if code == 3857 else -1]
            wanted = move(shapely.get_coordinates(SHAPES[feature["id"]]))
            assert np.abs(np.sort(xy, axis=0) - np.sort(wanted, axis=0)).max() < step
            has_z = bool(shapely.has_z(written))
            assert has_z is (code in (4979, 4480) and ENTITIES[feature["id"]]["height"] is not None)


def test_a_crs_with_heights_has_the_base_as_third_coordinate(fetch: Any) -> None:
    document = fetch(limit=1000, crs="http://www.opengis.net/def/crs/OGC/0/CRS84h")
    for feature in document["features"]:
        if feature["geometry"]:
            z = shapely.get_coordinates(shapely.from_geojson(json.dumps(feature["geometry"])), include_z=True)[:, 2]
            height = ENTITIES[feature["id"]]["height"]
            assert np.isnan(z).all() if height is None else (z == height).all()


def test_the_answer_names_its_crs(features: Any, ask: Any) -> None:
    assert ask(features, "/collections/Building/items").headers["content-crs"] == f"<{CRS84}>"
    crs = quote(f"{EPSG}4549")
    assert ask(features, f"/collections/Building/items?crs={crs}").headers["content-crs"] == f"<{EPSG}4549>"
    assert ask(features, f"/collections/Building/items/{next(iter(BUILDINGS))}").headers["content-crs"] == f"<{CRS84}>"


def boxes() -> st.SearchStrategy[tuple[float, float, float, float]]:
    west, south, east, north = shapely.total_bounds(list(SHAPES.values())).tolist()
    lon, lat = st.floats(west - 1e-3, east + 1e-3), st.floats(south - 1e-3, north + 1e-3)
    sides = st.tuples(lon, lat, lon, lat)
    return sides.map(lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3])))


def inside(box: tuple[float, float, float, float]) -> list[str]:
    return sorted(key for key, shape in SHAPES.items() if shape.intersects(shapely.box(*box)))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(box=boxes())
def test_bbox_finds_exactly_what_meets_the_box(fetch: Any, box: tuple[float, float, float, float]) -> None:
    found = fetch(limit=1000, bbox=",".join(map(repr, box)))
    assert ids(found) == inside(box)
    assert found["numberMatched"] == found["numberReturned"] == len(found["features"])
    turned = (box[1], box[0], box[3], box[2])
    assert ids(fetch(limit=1000, bbox=",".join(map(repr, turned)), bbox_crs=f"{EPSG}4326")) == inside(box)


def test_bbox_inside_a_courtyard_finds_nothing(fetch: Any) -> None:
    shape = next(shape for shape in SHAPES.values() if shape.geoms[0].interiors)
    hole = shapely.Polygon(shape.geoms[0].interiors[0])
    box = shapely.bounds(hole.buffer(-hole.length / 20)).tolist()
    assert ids(fetch(bbox=",".join(map(repr, box)))) == []


def test_bbox_in_a_projected_crs_has_northing_first(fetch: Any) -> None:
    xy = horizontal(parse_crs("EPSG:4326"), parse_crs("EPSG:4549"))
    key, shape = next(iter(SHAPES.items()))
    east, north = xy(np.array(shape.representative_point().coords))[0].tolist()
    assert ids(fetch(bbox=f"{north - 1},{east - 1},{north + 1},{east + 1}", bbox_crs=f"{EPSG}4549")) == [key]


def test_a_box_of_six_numbers_also_asks_for_heights(fetch: Any) -> None:
    west, south, east, north = shapely.total_bounds(list(SHAPES.values())).tolist()
    found = ids(fetch(limit=1000, bbox=f"{west},{south},30,{east},{north},31"))

    def reaches(one: Any) -> bool:
        return one["height"] is None or (one["height"] <= 31 and one["height"] + one["height_m"] >= 30)

    assert found == sorted(key for key in SHAPES if reaches(ENTITIES[key]))


def test_a_box_across_the_antimeridian_is_two_boxes(fetch: Any) -> None:
    assert ids(fetch(limit=1000, bbox="170,-90,-170,90")) == []
    assert ids(fetch(limit=1000, bbox="121,-90,-170,90")) == sorted(SHAPES)


def follow(app: Any, ask: Any, path: str) -> list[Any]:
    """Every page from an address on."""
    pages = []
    while path:
        answer = ask(app, path)
        assert answer.status == 200
        pages.append(answer.json())
        path = next((one["href"] for one in pages[-1]["links"] if one["rel"] == "next"), "")
    return pages


@pytest.mark.parametrize("sortby", ["", "name", "-name", "-height_m,built", "listed,-flats", "-seen", "-geid"])
@pytest.mark.parametrize("limit", [1, 7, 64])
def test_pages_give_every_feature_once_in_order(features: Any, ask: Any, sortby: str, limit: int) -> None:
    start = f"/collections/BuildingPart/items?limit={limit}" + (f"&sortby={quote(sortby)}" if sortby else "")
    pages = follow(features, ask, start)
    found = [feature for page in pages for feature in page["features"]]
    wanted = [one for one in ENTITIES.values() if one["entity_class"] == "BuildingPart"]
    wanted.sort(key=lambda one: str(one["geid"]))
    for name in reversed([one for one in sortby.split(",") if one]):
        bare = name.lstrip("-")
        key = lambda one, bare=bare: one.get(bare, one.get(f"attr.{bare}"))  # noqa: E731
        known = sorted((o for o in wanted if key(o) is not None), key=key, reverse=name != bare)
        if name != bare:  # Python keeps equals in order when reversed, too
            assert all(key(a) >= key(b) for a, b in pairwise(known))
        wanted = known + [one for one in wanted if key(one) is None]
    assert [one["id"] for one in found] == [one["geid"] for one in wanted]
    assert {page["numberMatched"] for page in pages} == {len(wanted)}
    assert all(page["numberReturned"] == len(page["features"]) <= limit for page in pages)


def test_pages_go_on_when_another_release_is_published_meanwhile(tmp_path: Path, ask: Any) -> None:
    district = publish(tmp_path / "out", range(0, 100))
    app = create_app(Settings(district.out))
    first = ask(app, "/collections/Building/items?limit=30").json()
    publish(district.out, range(20, 130))
    assert app.releases.refresh()
    following = next(one["href"] for one in first["links"] if one["rel"] == "next")
    found = ids(first) + [one for page in follow(app, ask, following) for one in ids(page)]
    assert len(found) == len(set(found))
    stayed = {str(e["geid"]) for e in map(entity, range(20, 100)) if e["entity_class"] == "Building"}
    assert stayed <= set(found)
    app.releases.close()


def test_a_limit_above_the_maximum_is_no_error(fetch: Any) -> None:
    assert len(fetch(limit=10**12)["features"]) == len(BUILDINGS)


def test_a_large_answer_is_streamed_and_whole(monkeypatch: Any, features: Any, ask: Any) -> None:
    from server.features import render
    from server.routers import features as router

    whole = ask(features, "/collections/Building/items?limit=1000").json()
    monkeypatch.setattr(render, "BLOCK", 7)
    monkeypatch.setattr(router, "BLOCK", 7)
    streamed = ask(features, "/collections/Building/items?limit=1000")
    assert "content-length" not in streamed.headers
    assert streamed.json()["features"] == whole["features"]


def test_properties_chooses_and_refuses(features: Any, ask: Any, fetch: Any) -> None:
    found = fetch(properties="name,屋顶 colour")["features"]
    assert all(set(one["properties"]) == {"name", "屋顶 colour"} and "geometry" in one for one in found)
    assert fetch(properties="")["features"][0]["properties"] == {}
    assert ask(features, "/collections/Building/items?properties=nothing").status == 400


def test_one_feature_is_the_one_of_the_list_in_any_spelling(features: Any, ask: Any, fetch: Any) -> None:
    wanted = fetch()["features"][3]
    for spelling in (wanted["id"], wanted["id"].replace("-", "").upper()):
        answer = ask(features, f"/collections/Building/items/{spelling}")
        assert answer.headers["content-type"] == "application/geo+json"
        found = answer.json()
        assert {key: found[key] for key in wanted} == wanted
        assert {"self", "collection", "alternate"} <= {one["rel"] for one in found["links"]}
    assert ask(features, f"/collections/BuildingPart/items/{wanted['id']}").status == 404
    assert ask(features, "/collections/Building/items/nothing").status == 404
    assert ask(features, "/collections/Nothing/items").status == 404


def test_an_answer_that_has_not_changed_is_304(features: Any, ask: Any) -> None:
    for path in (
        "/collections",
        "/collections/Building/items?limit=3",
        f"/collections/Building/items/{min(BUILDINGS)}",
    ):
        answer = ask(features, path)
        assert ask(features, path, if_none_match=answer.headers["etag"]).status == 304
        assert ask(features, path, method="HEAD").body == b""
    other = ask(features, "/collections/Building/items?limit=4").headers["etag"]
    assert ask(features, "/collections/Building/items?limit=3", if_none_match=other).status == 200


def test_pages_for_people_ask_for_nothing_from_outside(features: Any, ask: Any) -> None:
    road = quote("街道 <Road>")
    building = f"/Building/items/{min(BUILDINGS)}"
    for path in ("", "/Building", "/Building/items", building, "/Building/queryables", f"/{road}", f"/{road}/items"):
        answer = ask(features, f"/collections{path}", accept="text/html,application/json;q=0.5")
        assert answer.headers["content-type"].startswith("text/html")
        assert "script" not in answer.headers["content-security-policy"].replace("script-src 'none'", "")
        text = answer.body.decode()
        assert "<script" not in text and "<Road>" not in text and "src=" not in text
    listed = ask(features, "/collections/Building/items?f=html&limit=10").body.decode()
    assert listed.count('<td><a href="/collections/Building/items/') == 10 and "Next page" in listed
