"""OGC API - 3D GeoVolumes, draft 22-029: containers have a 3D extent and lead to a tileset."""

from __future__ import annotations

from typing import Any

from server.routers.geovolumes import RELATION


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
