"""What `/conformance` declares of OGC API Features and CQL2, one test for each class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from server.app import create_app
from server.features.conformance import FEATURES
from server.settings import Settings
from tests.server.features_district import publish

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
ITEMS = "/collections/Building/items"
#: A filter for each class of CQL2; what it finds is compared with plain loops in test_features_filter.py.
CQL2 = {
    "cql2-text": "flats = 1",
    "basic-cql2": "NOT (flats > 1 AND listed = true OR name IS NULL)",
    "advanced-comparison-operators": "name LIKE '%o%' AND flats BETWEEN 1 AND 8 AND flats IN (1, 2, 3)",
    "case-insensitive-comparison": "CASEI(name) = CASEI('ELAN TOWER')",
    "accent-insensitive-comparison": "ACCENTI(name) = ACCENTI('Élan House')",
    "basic-spatial-functions": "S_INTERSECTS(geometry, BBOX(121, 31, 122, 32))",
    "basic-spatial-functions-plus": "S_INTERSECTS(geometry, POLYGON((121 31, 122 31, 122 32, 121 32, 121 31)))",
    "spatial-functions": "S_WITHIN(geometry, POLYGON((121 31, 122 31, 122 32, 121 32, 121 31)))",
    "temporal-functions": "T_DURING(seen, INTERVAL('2020-01-02T00:00:00Z', '..'))",
    "array-functions": "A_CONTAINS(aliases, ('LIST:a'))",
    "property-property": "height_m > flats",
    "arithmetic": "flats * 2 > 5",
}


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Any:
    app = create_app(Settings(publish(tmp_path_factory.mktemp("conformance") / "out").out))
    yield app
    app.releases.close()


@pytest.fixture
def fetch(features: Any, ask: Any) -> Any:
    return lambda path, **headers: ask(features, path, **headers)


def relations(links: list[dict[str, str]]) -> dict[str, dict[str, str]]:
    return {link["rel"]: link for link in links}


def test_every_declared_class_has_a_test_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    for uri in FEATURES:
        name = uri.rsplit("/", 1)[-1]
        assert name in CQL2 or f"def test_{name.replace('-', '_')}_" in text, uri


def test_collections_the_landing_page_leads_to_every_collection_and_its_items(fetch: Any) -> None:
    data = relations(fetch("/").json()["links"])["data"]
    listed = fetch(data["href"]).json()
    assert {"self", "alternate"} <= set(relations(listed["links"]))
    for one in listed["collections"]:
        links = relations(one["links"])
        alone = fetch(links["self"]["href"]).json()
        assert alone == one and alone["itemType"] == "feature"
        assert fetch(f"/collections/{quote(one['id'])}/items").json()["numberMatched"] > 0


def test_core_extent_holds_every_feature(fetch: Any) -> None:
    one = fetch("/collections/Building").json()
    extent = one["extent"]["spatial"]
    assert extent["crs"] == "http://www.opengis.net/def/crs/OGC/0/CRS84h"
    west, south, low, east, north, high = extent["bbox"][0]
    every = fetch(f"{ITEMS}?limit=1000").json()
    inside = fetch(f"{ITEMS}?limit=1000&bbox={west},{south},{low},{east},{north},{high}").json()
    flat = [feature for feature in every["features"] if feature["geometry"]]
    assert inside["features"] == flat


@pytest.mark.parametrize(
    "query",
    ["unknown=1", "limit=0", "limit=-1", "limit=x", "bbox=1,2,3", "bbox=a,b,c,d", "bbox=1,2,nan,4", "bbox=1,2,1e999,4",
     "bbox=0,80,1,-80", "bbox=0,0,1e300,1", "bbox=0,0,500,10,10,1", "bbox-crs=x", "bbox=1,2,3,4&bbox-crs=x", "crs=x",
     "crs=EPSG:2326", "datetime=x", "datetime=2020-13-01", "datetime=2021-01-01/2020-01-01", "datetime=a/b/c",
     "datetime=99999-01-01T00:00:00Z", "datetime=2020-01-01T00:00:00", "as-of=x", "as-of=2020-01-01", "sortby=nothing",
     "sortby=aliases", "sortby=name,name", "properties=nothing", "cursor=x", "cursor=////", "filter-crs=x", "f=xml",
     "filter=flats=1&filter-lang=sql", "cursor=WyJhIl0", "limit=1&limit=2", "offset=3"],
)  # fmt: skip
def test_core_wrong_parameters_are_400_problems(fetch: Any, query: str) -> None:
    answer = fetch(f"{ITEMS}?{query}")
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 400 and len(answer.json()["detail"]) > 10


@pytest.mark.parametrize("time", ["2020-01-01T00:00:00Z", "2020-01-01", "2020-01-01/..", "../2020-01-01", "/2020-01-01",
                                  "2019-01-01T00:00:00%2B08:00/2020-01-01", "../..", "0001-01-01", "9999-12-31"])  # fmt: skip  # noqa: E501
def test_core_without_a_history_every_feature_matches_any_time(fetch: Any, time: str) -> None:
    assert fetch(f"{ITEMS}?datetime={time}&limit=3").json()["features"] == fetch(f"{ITEMS}?limit=3").json()["features"]


def test_core_every_link_of_every_document_leads_somewhere_of_its_type(fetch: Any) -> None:
    for path in ("/collections", "/collections/Building", f"{ITEMS}?limit=2&sortby=-name"):
        answer = fetch(path)
        document = answer.json()
        links = document["links"] + [link for one in document.get("collections", ()) for link in one["links"]]
        for link in links:
            found = fetch(link["href"])
            assert found.status == 200
            assert found.headers["content-type"].split(";")[0] == link["type"].split(";")[0]
        if "items" in path:
            assert all(f'<{link["href"]}>; rel="{link["rel"]}"' in answer.headers["link"] for link in links)


def test_geojson_answers_have_the_members_of_the_standard(fetch: Any) -> None:
    answer = fetch(f"{ITEMS}?limit=2")
    assert answer.headers["content-type"] == "application/geo+json"
    document = answer.json()
    assert document["type"] == "FeatureCollection" and document["timeStamp"].endswith("Z")
    assert document["numberReturned"] == 2 < document["numberMatched"]
    for feature in document["features"]:
        assert feature["type"] == "Feature" and feature["id"] and {"geometry", "properties"} <= set(feature)
        alone = fetch(f"{ITEMS}/{feature['id']}")
        assert alone.headers["content-type"] == "application/geo+json" and alone.json()["id"] == feature["id"]


def test_html_every_resource_is_a_page_for_those_who_ask(fetch: Any) -> None:
    feature = fetch(ITEMS).json()["features"][0]["id"]
    for path in ("/collections", "/collections/Building", ITEMS, f"{ITEMS}/{feature}"):
        page = fetch(path, accept="text/html")
        assert page.headers["content-type"].startswith("text/html")
        assert page.body == fetch(f"{path}?f=html").body
        assert page.body.decode().startswith("<!doctype html>")


def test_crs_every_listed_crs_is_served_and_named_in_the_header(fetch: Any) -> None:
    one = fetch("/collections/Building").json()
    assert one["crs"][0] == CRS84 and one["storageCrs"] in one["crs"]
    for uri in one["crs"]:
        answer = fetch(f"{ITEMS}?limit=1&crs={quote(uri)}")
        assert answer.status == 200 and answer.headers["content-crs"] == f"<{uri}>"


def test_queryables_name_exactly_what_a_filter_may(fetch: Any) -> None:
    document = fetch("/collections/Building/queryables")
    assert document.headers["content-type"] == "application/schema+json"
    properties = document.json()["properties"]
    assert document.json()["$schema"].endswith("2020-12/schema") and document.json()["additionalProperties"] is False
    assert properties["flats"]["type"] == "integer" and properties["built"]["format"] == "date"
    assert properties["geometry"]["x-ogc-role"] == "primary-geometry"
    for name in properties:
        condition = quote(f'"{name}" IS NULL')
        assert fetch(f"{ITEMS}?limit=1&filter={condition}").status == 200
    assert set(fetch(ITEMS).json()["features"][0]["properties"]) == set(properties) - {"geometry"}


def test_filter_both_languages_give_the_same(fetch: Any) -> None:
    text = fetch(f"{ITEMS}?filter=flats=1&filter-lang=cql2-text").json()
    encoded = quote(json.dumps({"op": "=", "args": [{"property": "flats"}, 1]}))
    assert fetch(f"{ITEMS}?filter-lang=cql2-json&filter={encoded}").json()["features"] == text["features"]


def test_features_filter_pages_keep_the_filter(fetch: Any) -> None:
    first = fetch(f"{ITEMS}?filter=flats%20%3E%202&limit=5").json()
    following = fetch(relations(first["links"])["next"]["href"]).json()
    assert following["numberMatched"] == first["numberMatched"]
    assert all(one["properties"]["flats"] > 2 for one in first["features"] + following["features"])


def test_cql2_json_is_read(fetch: Any) -> None:
    assert fetch(f"{ITEMS}?filter-lang=cql2-json&filter=%7B%22op%22:%22=%22,%22args%22:[1,1]%7D").status == 200


@pytest.mark.parametrize("name", CQL2)
def test_a_class_of_cql2_is_understood(fetch: Any, name: str) -> None:
    found = fetch(f"{ITEMS}?limit=1000&filter={quote(CQL2[name])}").json()
    assert 0 < found["numberMatched"] <= fetch(ITEMS).json()["numberMatched"]
