"""Places, codes and addresses lead to entities; each row of a batch gets the answer it would get alone."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import anyio
import httpx
import numpy as np
import orjson
import pyarrow as pa
import pytest

from server.routers.resolve import MOST_ROWS
from tests.server import conftest
from tests.server.conftest import ORIGIN
from twin.crs.reference import horizontal, parse_crs
from twin.entity import geid

TYPE = "application/x-ndjson"


def post(app: Any, body: bytes, query: str = "") -> httpx.Response:
    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await client.post(f"/resolve{query}", content=body)

    return anyio.run(run)


def lines(answer: httpx.Response) -> list[Any]:
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(TYPE)
    return [orjson.loads(line) for line in answer.content.splitlines()]


def test_a_place_leads_from_the_storey_to_the_building(get: Any, district: Any) -> None:
    lon, lat = district.degrees(110, 10)
    told = get(f"/resolve?lon={lon}&lat={lat}&h=40").json()
    tower = district.buildings[1].geid
    assert [item["geid"] for item in told["items"]] == [tower]
    storey, building = told["chain"]
    # 10 storeys over 120 m from a base at 15 m: 40 m lies in the third.
    assert (storey["entity_class"], storey["number"], storey["of"], storey["derived"]) == ("Storey", 3, tower, True)
    assert "geid" not in storey
    assert building["geid"] == tower


@pytest.mark.parametrize(("h", "number"), [(15.0, 1), (26.9, 1), (27.1, 2), (135.0, 10)])
def test_storeys_are_equal_shares_of_the_height(get: Any, district: Any, h: float, number: int) -> None:
    lon, lat = district.degrees(110, 10)
    assert get(f"/resolve?lon={lon}&lat={lat}&h={h}").json()["chain"][0]["number"] == number


def test_a_place_in_another_crs_is_the_same_place(get: Any, district: Any) -> None:
    lon, lat = district.degrees(110, 10)
    wanted = get(f"/resolve?lon={lon}&lat={lat}").json()
    x, y = horizontal(parse_crs("EPSG:4326"), parse_crs("EPSG:4549"))(np.array([[lon, lat]]))[0]
    assert wanted["items"]
    assert get(f"/resolve?lon={x}&lat={y}&crs=EPSG:4549").json() == wanted
    for crs in ("EPSG:1", "nonsense", "EPSG:999999", "%2Bproj%3Dpipeline"):
        assert get(f"/resolve?lon={lon}&lat={lat}&crs={crs}").status == 400


@pytest.mark.parametrize(
    "text", ["1 Yan'an Road", "1 yanan rd.", "Yanan Rd 1", "YAN’AN ROAD　１", "No. 1 Yan'an Rd, Room 3"]
)
def test_an_address_is_found_however_it_is_written(get: Any, district: Any, text: str) -> None:
    best = get(f"/resolve?address={quote(text)}").json()["items"][0]
    assert best["geid"] == district.buildings[1].geid
    assert best["score"] == 1.0
    assert "same number 1" in best["why"]


def test_a_code_is_found_and_an_unknown_one_gives_nothing(get: Any, district: Any) -> None:
    for building in district.buildings:
        assert get(f"/resolve?code={quote('survey:' + building.key)}").json()["items"][0]["geid"] == building.geid
    assert get("/resolve?code=nothing").json()["items"] == []


@pytest.mark.parametrize(
    "query",
    ["", "lon=1", "lat=1", "lon=1&lat=1&code=a", "code=a&address=b", "code=", "lon=181&lat=1", "lon=1&lat=91",
     "lon=nan&lat=1", "code=a&unknown=1", "lon=1e300&lat=1&crs=EPSG:4549"],
)  # fmt: skip
def test_what_is_no_question_is_refused(get: Any, query: str) -> None:
    assert get(f"/resolve?{query}").status == 400


def test_each_row_of_a_batch_gets_the_answer_it_would_get_alone(app: Any, get: Any, district: Any) -> None:
    lon, lat = district.degrees(110, 10)
    rows: list[dict[str, Any]] = [
        {"id": "a", "lon": lon, "lat": lat, "h": 40},
        {"id": 7, "address": "1 Yan'an Road"},
        {"code": "survey:2"},
        {"lon": lon, "lat": lat, "h": 1000},
        {"lon": lon + 0.0002, "lat": lat, "tolerance": 30},
    ]
    for body in (orjson.dumps(rows), b"\n".join(map(orjson.dumps, rows)) + b"\n"):
        told = lines(post(app, body))
        assert [one["id"] for one in told] == ["a", 7, 2, 3, 4]
        for row, answer in zip(rows, told, strict=True):
            query = "&".join(f"{key}={quote(str(value))}" for key, value in row.items() if key != "id")
            alone = get(f"/resolve?{query}&limit=5").json()
            assert {key: value for key, value in answer.items() if key != "id"} == {
                key: value for key, value in alone.items() if key != "release"
            }


def test_a_wrong_row_says_so_and_the_others_are_answered(app: Any) -> None:
    wrong = b'{"lon":"x","lat":1}\n{"code":5}\n{}\n3\n{"lon":1}\n{"lon":true,"lat":1}\n{"code":"a","z":1}\n'
    body = wrong + b'{"code":"survey:2"}'
    told = lines(post(app, body))
    assert [one.get("error", {}).get("code") for one in told] == ["invalid_parameter"] * 7 + [None]


def test_a_batch_that_cannot_be_read_or_is_too_long_is_refused(app: Any) -> None:
    assert post(app, b"{not json").status_code == 400
    assert post(app, b"[1,").status_code == 400
    assert post(app, b'{"code":"a"}\n' * (MOST_ROWS + 1)).status_code == 413
    assert post(app, b" " * (9 << 20)).status_code == 413
    assert post(app, b"[]", "?crs=nonsense").status_code == 400
    assert lines(post(app, b"")) == lines(post(app, b"[]")) == []


def test_ten_thousand_rows_are_answered(app: Any, district: Any) -> None:
    lon, lat = district.degrees(110, 10)
    told = lines(post(app, orjson.dumps([{"lon": lon, "lat": lat}] * MOST_ROWS)))
    assert len(told) == MOST_ROWS
    assert {one["items"][0]["geid"] for one in told} == {district.buildings[1].geid}


LEVELS = ("community_grid", "subdistrict", "district")


def with_areas(rows: pa.Table) -> pa.Table:
    """The sample with areas around it, each part of the next; house 2 names the smallest as its parent."""
    listed = rows.to_pylist()
    ids = [geid.mint("310105", [f"areas/{level}"])[0] for level in LEVELS]
    areas = []
    for at, level in enumerate(LEVELS):
        reach = 500.0 * (at + 1)
        west, south, east, north = (*(ORIGIN - reach), *(ORIGIN + reach))
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        parent = ids[at + 1] if at + 1 < len(ids) else None
        unknown = dict.fromkeys(listed[0])
        areas.append(
            {**unknown, "geid": ids[at], "layer": "areas", "entity_class": "AdministrativeArea", "source": "areas",
             "source_key": level, "name": level, "parent": parent, "row": -1, "reasons": [], "geometry": [[ring]],
             "attr.level": level}
        )  # fmt: skip
    listed[1]["parent"] = ids[0]
    return pa.Table.from_pylist([{"attr.level": None, **row} for row in listed] + areas)


def test_a_chain_leads_from_the_storey_over_the_building_to_the_district(
    tmp_path: Any, serve: Any, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = conftest.index_table
    monkeypatch.setattr(conftest, "index_table", lambda key: with_areas(plain(key)))
    district = conftest.publish(tmp_path / "out")
    app = serve(district.out)
    # House 2 names its parent; house 3 does not, so the areas it lies in are told by where they are.
    for number, x in ((1, 110), (2, 130)):
        lon, lat = district.degrees(x, 10)
        told = ask(app, f"/resolve?lon={lon}&lat={lat}&h=20").json()
        house = district.buildings[number].geid
        assert [one["geid"] for one in told["items"]] == [house]
        storey, building, *areas = told["chain"]
        assert (storey["entity_class"], storey["of"], building["geid"]) == ("Storey", house, house)
        assert [one["level"] for one in areas] == list(LEVELS)
        assert {one["entity_class"] for one in areas} == {"AdministrativeArea"}
        assert [ask(app, one["href"]).json()["geid"] for one in areas] == [one["geid"] for one in areas]
    lon, lat = district.degrees(110, -200)
    street = ask(app, f"/resolve?lon={lon}&lat={lat}").json()
    assert street["items"] == [] and [one["level"] for one in street["chain"]] == list(LEVELS)
