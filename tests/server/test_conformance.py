"""OGC API - Common Part 1: what `/conformance` declares is true."""

from __future__ import annotations

from typing import Any

from server.features.conformance import FEATURES
from server.routers.landing import CONFORMANCE

COMMON = "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/"


def test_exactly_the_proven_classes_are_declared(get: Any) -> None:
    common = [COMMON + name for name in ("core", "landing-page", "json")]
    assert get("/conformance").json() == {"conformsTo": [*common, *FEATURES]}
    assert len(set(CONFORMANCE)) == 3 + len(FEATURES)


def test_core_unknown_and_invalid_parameters_are_400(get: Any) -> None:
    assert get("/conformance?unknown=1").status == 400
    assert get("/entities?q=a&limit=no").status == 400


def test_landing_page_links_to_definition_and_conformance(get: Any) -> None:
    landing = get("/").json()
    assert landing["title"] == "Sample <District>"
    relations = {link["rel"]: link for link in landing["links"]}
    for rel in (
        "self",
        "service-desc",
        "service-doc",
        "conformance",
        "http://www.opengis.net/def/rel/ogc/1.0/conformance",
    ):
        assert rel in relations
    definition = get(relations["service-desc"]["href"])
    assert definition.headers["content-type"] == relations["service-desc"]["type"]
    assert definition.headers["content-type"] == "application/vnd.oai.openapi+json;version=3.1"
    assert definition.json()["openapi"].startswith("3.1")


def test_json_every_link_and_every_answer_names_its_media_type(get: Any) -> None:
    for link in get("/").json()["links"]:
        query = "?q=a" if link["rel"] == "search" else ""
        answer = get(link["href"] + query)
        assert answer.status == 200
        assert answer.headers["content-type"].split(";")[0] == link["type"].split(";")[0]
