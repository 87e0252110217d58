"""Entities are found by identifier, key, text and place, and say where they come from."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.context import Context
from server.entity_document import bounding_box
from server.routers.landing import prefers_html


@pytest.mark.parametrize(
    "spelling",
    [
        str,
        str.upper,
        lambda g: g.replace("-", ""),
        lambda g: f" {g} ",
        lambda g: f"urn:geid:{g}",
        lambda g: g.replace("0", "O"),
    ],
)
def test_an_identifier_is_found_in_any_spelling(get: Any, district: Any, spelling: Any) -> None:
    for building in district.buildings:
        answer = get(f"/entities/{quote(spelling(building.geid))}")
        assert answer.status == 200
        assert answer.json()["geid"] == building.geid


def test_a_source_key_is_an_alias_even_with_a_slash_in_it(get: Any, district: Any) -> None:
    for building in district.buildings:
        for text in (f"survey:{building.key}", quote(f"survey:{building.key}", safe="")):
            assert get(f"/entities/{text}").json()["geid"] == building.geid
    assert get("/entities/other:1").status == 404
    assert get("/entities/survey:99").status == 404


def test_a_slip_of_the_pen_is_answered_with_what_was_meant(get: Any, district: Any) -> None:
    geid = district.buildings[0].geid
    swapped = geid[:-2] + geid[-1] + geid[-2] if geid[-1] != geid[-2] else geid[1] + geid[0] + geid[2:]
    answer = get(f"/entities/{swapped}")
    assert answer.status == 404
    assert geid in answer.json()["detail"]


def test_an_entity_tells_its_attributes_provenance_and_tile(get: Any, district: Any, app: Any) -> None:
    tower = district.buildings[1]
    answer = get(f"/entities/{tower.geid}")
    entity = answer.json()
    assert entity["attributes"] == {"USE": "住宅"}
    assert entity["provenance"] == {
        "source": "survey",
        "source_key": "2",
        "outcome": "built",
        "reasons": ["geometry_repaired"],
        "height_source": "attribute",
        "confidence": pytest.approx(0.9),
        "ground_source": "dem",
    }
    assert entity["tile"]["row"] == 1
    assert get(entity["tile"]["url"]).body == district.contents[district.tile]
    west, south, low, east, north, high = entity["bbox"]
    assert west < entity["lon"] < east and south < entity["lat"] < north
    assert (low, high) == (15.0, 135.0)
    assert f'</entities/{tower.geid}>; rel="canonical"' in answer.headers["link"]
    again = get(f"/entities/{tower.geid}", if_none_match=answer.headers["etag"])
    assert (again.status, again.body) == (304, b"")


def test_the_tile_of_an_implicit_layer_is_pinned_to_its_release(district: Any, serve: Any, ask: Any) -> None:
    built = district.publish(encoder="implicit")
    app = serve(built.out)
    url = ask(app, f"/entities/{built.buildings[0].geid}").json()["tile"]["url"]
    answer = ask(app, url)
    assert answer.body == built.contents["0/0/0.glb"]
    assert "immutable" in answer.headers["cache-control"]


def test_geojson_has_the_footprint_in_degrees_to_a_millimetre(get: Any, district: Any) -> None:
    for building in district.buildings:
        answer = get(f"/entities/{building.geid}?f=geojson")
        assert answer.headers["content-type"] == "application/geo+json"
        feature = answer.json()
        assert (feature["type"], feature["id"]) == ("Feature", building.geid)
        assert feature["geometry"]["type"] == "Polygon"
        for ring, expected in zip(feature["geometry"]["coordinates"], building.rings, strict=True):
            for (lon, lat), (x, y) in zip(ring, expected, strict=True):
                assert (lon, lat) == pytest.approx(district.degrees(x, y), abs=1e-8)


def test_search_finds_names_addresses_keys_and_identifiers(get: Any, district: Any) -> None:
    def names(query: str) -> list[str]:
        return [item["name"] for item in get(f"/entities?q={quote(query)}").json()["items"]]

    assert names("tower") == ["Tower 东方"]
    assert names("1 yan")[0] == "Tower 东方"
    assert names("way/3") == ["Annex, Courtyard Street"]
    assert names(district.buildings[0].geid[:9].upper()) == ["Courtyard House"]
    assert names("东方") == ["Tower 东方"]
    assert names("nothing of the kind") == []


def test_a_limit_cuts_and_says_so(get: Any) -> None:
    one = get("/entities?q=Courtyard&limit=1").json()
    assert (one["numberReturned"], one["truncated"]) == (1, True)
    all_ = get("/entities?q=Courtyard&limit=1000000").json()
    assert (all_["numberReturned"], all_["truncated"]) == (2, False)
    assert all_["items"][0]["name"] == one["items"][0]["name"] == "Courtyard House"


def test_an_item_links_to_its_entity(get: Any, district: Any) -> None:
    (item,) = get("/entities?q=tower").json()["items"]
    entity = get(item["href"]).json()
    assert {key: entity[key] for key in ("geid", "name", "lon", "lat", "height", "bbox", "layer")} == {
        key: item[key] for key in ("geid", "name", "lon", "lat", "height", "bbox", "layer")
    }


def stands(get: Any, district: Any, x: float, y: float, **more: float) -> list[str]:
    lon, lat = district.degrees(x, y)
    query = "".join(f"&{name}={value}" for name, value in more.items())
    answer = get(f"/resolve?lon={lon!r}&lat={lat!r}{query}")
    assert answer.status == 200
    return [item["name"] for item in answer.json()["items"]]


def test_a_point_is_resolved_to_what_stands_there_courtyards_left_out(get: Any, district: Any) -> None:
    assert stands(get, district, 2, 2) == ["Courtyard House"]
    assert stands(get, district, 10, 10) == []
    assert stands(get, district, 10, 10, tolerance=4.9) == []
    assert stands(get, district, 10, 10, tolerance=5.1) == ["Courtyard House"]
    assert stands(get, district, 110, 10) == ["Tower 东方"]
    assert stands(get, district, 60, 10) == []


def test_the_nearest_comes_first_within_the_tolerance(get: Any, district: Any) -> None:
    assert stands(get, district, 120.4, 10, tolerance=1) == ["Tower 东方", "Annex, Courtyard Street"]
    assert stands(get, district, 120.6, 10, tolerance=1) == ["Annex, Courtyard Street", "Tower 东方"]


def test_a_height_is_checked_against_base_and_roof(get: Any, district: Any) -> None:
    for h, found in ((20, True), (134.9, True), (150, False), (0, False)):
        assert bool(stands(get, district, 110, 10, h=h)) is found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(x=st.floats(-5, 145), y=st.floats(-5, 25))
def test_resolve_agrees_with_plain_arithmetic(get: Any, district: Any, x: float, y: float) -> None:
    corners = {"Courtyard House": 0.0, "Tower 东方": 100.0, "Annex, Courtyard Street": 121.0}
    edges = [value for start in corners.values() for value in (start, start + 20)] + [5.0, 15.0]
    if min(abs(x - edge) for edge in edges) < 1e-3 or min(abs(y - edge) for edge in (0, 5, 15, 20)) < 1e-3:
        return
    inside = [name for name, start in corners.items() if start < x < start + 20 and 0 < y < 20]
    if 5 < x < 15 and 5 < y < 15:
        inside = []
    assert stands(get, district, x, y) == inside


def test_a_place_the_crs_cannot_express_holds_nothing(get: Any) -> None:
    for lon, lat in ((-60, 0), (0, 90), (180, -90), (-180, 90)):
        answer = get(f"/resolve?lon={lon}&lat={lat}")
        assert (answer.status, answer.json()["items"]) == (200, [])


def test_a_private_crs_is_never_told(district: Any, serve: Any, ask: Any, tmp_path: Any) -> None:
    shape = "+proj=tmerc +lat_0=0 +lon_0=121.4666666 +k=1 +ellps=GRS80 +towgs84=0,0,0,0,0,0,0"
    secret = f"{shape} +x_0=-3457147.81 +y_0=0 +units=m +no_defs"
    path = district.out / "releases" / district.release / "release.json"
    info = json.loads(path.read_bytes())
    path.write_text(json.dumps({**info, "working_crs": None}))
    bare = serve(district.out)
    geid = district.buildings[0].geid
    for place in ("/resolve?lon=121.4&lat=31.2", f"/entities/{geid}?f=geojson"):
        answer = ask(bare, place)
        assert (answer.status, answer.json()["code"]) == (501, "crs_private")
    assert ask(bare, f"/entities/{geid}").status == 200
    (tmp_path / "twin.toml").write_text(f'[project]\nworking_crs = "{secret}"\n[output]\npath = "out"\n')
    whole = serve(tmp_path)
    for place in ("/resolve?lon=121.4&lat=31.2", f"/entities/{geid}?f=geojson", "/release", "/api", "/docs", "/"):
        answer = ask(whole, place)
        assert answer.status == 200
        assert b"3457147" not in answer.body and b"tmerc" not in answer.body
    assert ask(whole, "/release").json()["working_crs"] is None


def test_a_box_without_a_height_is_flat() -> None:
    sides = {"west": 1.0, "south": 2.0, "east": 3.0, "north": 4.0}
    assert bounding_box(sides) == [1.0, 2.0, 3.0, 4.0]
    assert bounding_box({**sides, "west": None}) is None
    assert bounding_box({**sides, "height": 5.0}) == [1.0, 2.0, 5.0, 3.0, 4.0, 5.0]


def test_addresses_are_escaped_and_stand_below_the_prefix(app: Any, district: Any) -> None:
    from server.settings import Settings

    context = Context(Settings(district.out, base_path="twin/"), app.releases, False)
    assert context.url("tiles", "建筑 ?", "c/a.glb") == "/twin/tiles/%E5%BB%BA%E7%AD%91%20%3F/c/a.glb"


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        ("text/html,application/xhtml+xml,*/*;q=0.8", True),
        ("application/json", False),
        ("*/*", False),
        ("", False),
        ("application/json, text/html;q=0.9", False),
        ("text/html;q=0.2, application/json;q=0.1", True),
        ("text/html;q=oops", False),
    ],
)
def test_only_a_browser_gets_html(accept: str, html: bool) -> None:
    assert prefers_html(accept) is html
