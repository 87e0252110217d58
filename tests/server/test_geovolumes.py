"""OGC API - 3D GeoVolumes, draft 22-029: containers have a 3D extent and lead to a tileset."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from server.routers.geovolumes import CRS84H, RELATION
from tests.pipelines.district import district


def test_every_layer_is_a_container_that_leads_to_its_tileset(get: Any, district: Any) -> None:
    (container,) = get("/geovolumes").json()["collections"]
    assert container == get("/geovolumes/buildings").json()
    (tiles,) = [link for link in container["links"] if link["rel"] == RELATION]
    answer = get(tiles["href"])
    assert answer.body == district.tileset
    assert answer.headers["content-type"].split(";")[0] == tiles["type"]
    assert container["content"][0]["href"] == tiles["href"]


def test_the_extent_is_in_three_dimensions(get: Any) -> None:
    (box,) = get("/geovolumes/buildings").json()["extent"]["spatial"]["bbox"]
    west, south, low, east, north, high = box
    assert west < east and south < north and low < high
    assert (low, high) == (10, 150)


def test_an_unknown_container_or_parameter_is_refused(get: Any) -> None:
    assert get("/geovolumes/nothing").status == 404
    assert get("/geovolumes?bbox=1").status == 400


def references(tile: Any) -> Iterator[str]:
    """Addresses of every content below a tile."""
    yield from [tile["content"]["uri"]] if "content" in tile else []
    for child in tile.get("children", ()):
        yield from references(child)


def test_everything_a_tileset_refers_to_is_available(get: Any, district: Any) -> None:
    """Requirement /req/3dtiles/tileset, part 2: followed through the external tilesets down to the content."""
    (tiles,) = [link for link in get("/geovolumes/buildings").json()["links"] if link["rel"] == RELATION]
    wanted, seen = [tiles["href"]], dict[str, bytes]()
    while wanted:
        address = wanted.pop()
        answer = get(address)
        assert answer.status == 200, address
        seen[address] = answer.body
        if address.endswith(".json"):
            wanted += [urljoin(address, uri) for uri in references(json.loads(answer.body)["root"])]
    assert sorted(seen.values()) == sorted([district.tileset, *district.contents.values()])


def test_the_extent_of_a_built_layer_names_its_crs_and_holds_every_building(
    tmp_path: Path, serve: Any, ask: Any
) -> None:
    """Requirement /req/core/collections, part 1."""
    made = district(tmp_path / "district", 12)
    made.build()
    spatial = ask(serve(made.root), "/geovolumes/buildings").json()["extent"]["spatial"]
    assert spatial["crs"] == CRS84H
    west, south, low, east, north, high = spatial["bbox"][0]
    digit = 1e-7  # the last one that is written, a centimetre
    for one in made.index.table.to_pylist():
        assert west - digit <= one["west"] and one["east"] <= east + digit
        assert south - digit <= one["south"] and one["north"] <= north + digit
        assert low - 0.01 <= one["height"] and one["height"] + one["height_m"] <= high + 0.01


def test_every_container_and_the_list_lead_to_each_other(get: Any) -> None:
    listed = get("/geovolumes").json()
    (own,) = [link["href"] for link in listed["links"] if link["rel"] == "self"]
    assert get(own).json() == listed
    for container in listed["collections"]:
        links = {link["rel"]: link["href"] for link in container["links"]}
        assert get(links["self"]).json() == container
        assert get(links["collection"]).json() == listed


def test_classes_of_a_draft_that_is_met_only_in_part_are_not_declared(get: Any) -> None:
    assert not [one for one in get("/conformance").json()["conformsTo"] if "geovolumes" in one]


def test_the_landing_page_and_its_page_for_people_lead_to_the_containers_and_say_that_it_is_a_draft(get: Any) -> None:
    (link,) = [one for one in get("/").json()["links"] if one["rel"] == RELATION]
    assert get(link["href"]).json()["collections"]
    assert "draft 22-029" in link["title"]
    page = get("/?f=html").body.decode()
    assert f'href="{link["href"]}"' in page and "draft 22-029" in page
    described = get("/api").json()["paths"]["/geovolumes"]["get"]
    assert "draft" in described["summary"] and "22-029" in described["summary"]
