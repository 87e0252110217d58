"""CQL2: a filter gives what a plain loop over the entities gives, in text, in JSON, and as pygeofilter writes it."""

# ruff: noqa: E501 - a case is read best on one line
from __future__ import annotations

import datetime
import json
import re
import unicodedata
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import cql2
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.app import create_app
from server.settings import Settings
from tests.server.features_district import COUNT, entity, footprint, publish
from twin.query.cql import DEEPEST, LONGEST

ENTITIES = [one for one in map(entity, range(COUNT)) if one["entity_class"] == "Building"]
SHAPES = {str(e["geid"]): footprint(int(str(e["source_key"]))) for e in ENTITIES if e["geometry"]}
ONE = next(iter(SHAPES.values()))
LON, LAT = ONE.centroid.x, ONE.centroid.y
Truth = Callable[[Any], Any]
WKT = shapely.to_wkt(ONE.buffer(0.0008), rounding_precision=-1)
DAY = datetime.datetime(2020, 1, 10, 12, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Any:
    app = create_app(Settings(publish(tmp_path_factory.mktemp("filter") / "out").out))
    yield app
    app.releases.close()


@pytest.fixture(scope="module")
def select(features: Any) -> Any:
    """`select(filter, language)` gives the identifiers that match, or the code of the problem."""
    from tests.server.conftest import request

    def get(text: str, language: str = "cql2-text", more: str = "") -> Any:
        query = f"filter={quote(text)}&filter-lang={language}&limit=1000{more}"
        answer = request(features, f"/collections/Building/items?{query}")
        if answer.status != 200:
            assert answer.status == 400 and answer.headers["content-type"] == "application/problem+json"
            return answer.json()["code"]
        return [one["id"] for one in answer.json()["features"]]

    return get


def plain(text: str | None) -> str | None:
    return (
        None if text is None else "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    )


def shape(one: Any) -> Any:
    return SHAPES.get(one["geid"])


def known(truth: Truth, *names: str) -> Truth:
    """A truth that is unknown, and so no match, where a value is missing."""
    return lambda one: all(one[name] is not None for name in names) and truth(one)


CASES: list[tuple[str, Truth]] = [
    ("height_m > 20", known(lambda e: e["height_m"] > 20, "height_m")),
    ("NOT height_m > 20", known(lambda e: e["height_m"] <= 20, "height_m")),
    ("height_m > 20 OR name = 'elan tower'", lambda e: (e["height_m"] or 0) > 20 or e["name"] == "elan tower"),
    ("NOT (height_m > 20 AND listed = true)", lambda e: (e["height_m"] is not None and e["height_m"] <= 20) or not e["attr.listed"]),
    ("height_m <> 9", known(lambda e: e["height_m"] != 9, "height_m")),
    ("name = '东方大厦'", lambda e: e["name"] == "东方大厦"),
    ("name LIKE '%ouse'", known(lambda e: e["name"].endswith("ouse"), "name")),
    ("name LIKE '100\\% Wool\\_Store'", lambda e: e["name"] == "100% Wool_Store"),
    ("name LIKE '_lan%'", known(lambda e: e["name"][1:4] == "lan", "name")),
    ("name NOT LIKE '%o%'", known(lambda e: "o" not in e["name"], "name")),
    ("CASEI(name) LIKE CASEI('ÉLAN%')", known(lambda e: e["name"].lower().startswith("élan"), "name")),
    ("ACCENTI(CASEI(name)) LIKE ACCENTI(CASEI('ÉLAN%'))", known(lambda e: plain(e["name"].lower()).startswith("elan"), "name")),
    ("flats BETWEEN 2 AND 4", lambda e: 2 <= e["attr.flats"] <= 4),
    ("flats NOT BETWEEN 2 AND 4", lambda e: not 2 <= e["attr.flats"] <= 4),
    ("flats IN (1, 3, 77)", lambda e: e["attr.flats"] in (1, 3)),
    ("name NOT IN ('elan tower', 'nobody')", known(lambda e: e["name"] != "elan tower", "name")),
    ("CASEI(name) IN (CASEI('ELAN TOWER'))", lambda e: e["name"] == "elan tower"),
    ("name IS NULL", lambda e: e["name"] is None),
    ("name IS NOT NULL AND height IS NULL", lambda e: e["name"] is not None and e["height"] is None),
    ("geometry IS NULL", lambda e: e["geometry"] is None),
    ("listed = false", lambda e: not e["attr.listed"]),
    ("height_m > height", known(lambda e: e["height_m"] > e["height"], "height_m", "height")),
    ("flats * 3 + 1 = height_m", known(lambda e: e["attr.flats"] * 3 + 1 == e["height_m"], "height_m")),
    ("flats % 4 = 3", lambda e: e["attr.flats"] % 4 == 3),
    ("flats div 4 = 1", lambda e: e["attr.flats"] // 4 == 1),
    ("flats ^ 2 > 10 - flats / 2", lambda e: e["attr.flats"] ** 2 > 10 - e["attr.flats"] / 2),
    ("10 / flats > 3", lambda e: e["attr.flats"] == 0 or 10 / e["attr.flats"] > 3),
    ("built >= DATE('2000-01-01')", lambda e: e["attr.built"] >= datetime.date(2000, 1, 1)),
    ("seen < TIMESTAMP('2020-01-10T12:00:00Z')", lambda e: e["attr.seen"] < DAY),
    ("seen = TIMESTAMP('2020-01-10T20:00:00+08:00')", lambda e: e["attr.seen"] == DAY),
    ("T_AFTER(seen, TIMESTAMP('2020-01-10T12:00:00Z'))", lambda e: e["attr.seen"] > DAY),
    ("T_BEFORE(seen, DATE('2020-01-10'))", lambda e: e["attr.seen"].day < 10),
    ("T_DURING(seen, INTERVAL('2020-01-05T12:00:00Z', '2020-01-10T12:00:00Z'))", lambda e: 5 < e["attr.seen"].day < 10),
    ("T_INTERSECTS(seen, INTERVAL('2020-01-10T12:00:00Z', '..'))", lambda e: e["attr.seen"].day >= 10),
    ("T_DISJOINT(built, INTERVAL('2000-01-01', '2005-12-31'))", lambda e: not 2000 <= e["attr.built"].year <= 2005),
    ("T_EQUALS(built, DATE('2000-01-01'))", lambda e: e["attr.built"] == datetime.date(2000, 1, 1)),
    ("T_STARTS(seen, INTERVAL('2020-01-10T12:00:00Z', '2020-02-01T00:00:00Z'))", lambda e: e["attr.seen"] == DAY),
    ("T_FINISHES(seen, INTERVAL('2019-01-10T12:00:00Z', '2020-01-10T12:00:00Z'))", lambda e: e["attr.seen"] == DAY),
    ("A_CONTAINS(aliases, ('LIST:a', 'NO:5'))", lambda e: {"LIST:a", "NO:5"} <= set(e["aliases"])),
    ("A_EQUALS(aliases, ('NO:4'))", lambda e: set(e["aliases"]) == {"NO:4"}),
    ("A_OVERLAPS(aliases, ('NO:4', 'NO:5'))", lambda e: bool({"NO:4", "NO:5"} & set(e["aliases"]))),
    ("A_CONTAINEDBY(aliases, ('NO:4', 'NO:5', 'LIST:a'))", lambda e: set(e["aliases"]) <= {"NO:4", "NO:5", "LIST:a"}),
    (f"S_INTERSECTS(geometry, POINT({LON} {LAT}))", lambda e: shape(e) and shape(e).intersects(shapely.Point(LON, LAT))),
    (f"S_INTERSECTS(geometry, {WKT})", lambda e: shape(e) and shape(e).intersects(ONE.buffer(0.0008))),
    (f"S_WITHIN(geometry, {WKT})", lambda e: shape(e) and shape(e).within(ONE.buffer(0.0008))),
    (f"S_CONTAINS({WKT}, geometry)", lambda e: shape(e) and shape(e).within(ONE.buffer(0.0008))),
    (f"S_DISJOINT(geometry, {WKT})", lambda e: shape(e) and shape(e).disjoint(ONE.buffer(0.0008))),
    (f"S_OVERLAPS(geometry, {WKT})", lambda e: shape(e) and shape(e).overlaps(ONE.buffer(0.0008))),
    (f"NOT S_INTERSECTS(geometry, {WKT})", lambda e: shape(e) and not shape(e).intersects(ONE.buffer(0.0008))),
    (f"S_CROSSES(LINESTRING(121.3 {LAT}, 121.5 {LAT}), geometry)", lambda e: shape(e) and shapely.LineString([(121.3, LAT), (121.5, LAT)]).crosses(shape(e))),
    (f"S_INTERSECTS(geometry, BBOX({LON}, {LAT}, {LON + 0.002}, {LAT + 0.002}))", lambda e: shape(e) and shape(e).intersects(shapely.box(LON, LAT, LON + 0.002, LAT + 0.002))),
    ("\"屋顶 colour\" = 'blue' AND \"attr.height\" LIKE 'h1%'", lambda e: e["attr.屋顶 colour"] == "blue" and e["attr.height"].startswith("h1")),
    ("name = 'it''s' OR TRUE", lambda e: True),
]  # fmt: skip


@pytest.mark.parametrize(("text", "truth"), CASES, ids=[text[:60] for text, _ in CASES])
def test_a_filter_matches_exactly_what_a_loop_would(select: Any, text: str, truth: Truth) -> None:
    wanted = sorted(str(one["geid"]) for one in ENTITIES if truth(one))
    assert select(text) == wanted
    written = json.dumps(cql2.Expr(text).to_json())
    assert select(written, "cql2-json") == wanted


def test_the_cases_above_are_worth_asking() -> None:
    counts = [sum(bool(truth(one)) for one in ENTITIES) for _, truth in CASES]
    assert sum(0 < count < len(ENTITIES) for count in counts) > 0.85 * len(CASES)


def test_what_pygeofilter_writes_is_understood(select: Any) -> None:
    from pygeofilter.backends.cql2_json import to_cql2
    from pygeofilter.parsers.ecql import parse

    for ecql, truth in (
        ("height_m > 20 AND name LIKE 'elan%'", CASES[0][1]),
        ("flats BETWEEN 2 AND 4 OR name IS NULL", lambda e: 2 <= e["attr.flats"] <= 4 or e["name"] is None),
        (f"INTERSECTS(geometry, {WKT})", lambda e: shape(e) and shape(e).intersects(ONE.buffer(0.0008))),
    ):
        wanted = [str(e["geid"]) for e in ENTITIES if truth(e)]
        if "LIKE" in ecql:
            wanted = [str(e["geid"]) for e in ENTITIES if truth(e) and (e["name"] or "").startswith("elan")]
        assert select(to_cql2(parse(ecql)), "cql2-json") == sorted(wanted)


def test_coordinates_of_a_filter_may_be_in_another_crs(select: Any) -> None:
    wanted = select(f"S_INTERSECTS(geometry, POINT({LON} {LAT}))")
    uri = quote("http://www.opengis.net/def/crs/EPSG/0/4326")
    assert select(f"S_INTERSECTS(geometry, POINT({LAT} {LON}))", more=f"&filter-crs={uri}") == wanted
    assert len(wanted) == 1 and wanted != select(f"S_INTERSECTS(geometry, POINT({LAT} {LON}))")


def test_filter_bbox_and_order_work_together(select: Any) -> None:
    found = select(
        "height_m > 20", more=f"&bbox={LON - 0.002},{LAT - 0.002},{LON + 0.002},{LAT + 0.002}&sortby=-height_m"
    )
    box = shapely.box(LON - 0.002, LAT - 0.002, LON + 0.002, LAT + 0.002)
    wanted = [e for e in ENTITIES if (e["height_m"] or 0) > 20 and shape(e) and shape(e).intersects(box)]
    wanted.sort(key=lambda e: (-e["height_m"], e["geid"]))
    assert found == [e["geid"] for e in wanted] and len(found) > 3


HOSTILE = [
    "", " ", "(", "a", "name", "name =", "nothing = 1", "name = 1", "flats = 'x'", "listed > 'a'", "flats + name = 1",
    "name LIKE flats", "name LIKE 5", "flats LIKE '1%'", "CASEI(flats) = 'a'", "f(name) = 1", "name IN (1)", "1", "'x'",
    "S_INTERSECTS(geometry, POINT(1e400 0))", "S_INTERSECTS(name, POINT(0 0))", "S_INTERSECTS(geometry, name)",
    "S_INTERSECTS(geometry, POLYGON((0 0,1 1)))", "S_NOTHING(geometry, POINT(0 0))", "S_DWITHIN(geometry, POINT(0 0), 5)",
    "T_AFTER(name, DATE('2020-01-01'))", "T_AFTER(built, DATE('2020-13-01'))", "T_AFTER(built, TIMESTAMP('x'))",
    "built > DATE('0000-00-00')", "A_CONTAINS(name, ('a'))", "A_CONTAINS(aliases, 5)", "aliases = 'NO:1'",
    "geometry = 1", "built = 'x'", "NOT flats", "flats AND listed", "name = name = name", "\0", "name = 'x",
    "(" * 100_0 + "flats=1" + ")" * 100_0, "NOT " * 1500 + "flats=1", "flats=" + "-" * 3000 + "1", "flats=" + "+".join("1" * 900),
    "f(" * 1200 + "flats" + ")" * 1200 + "=1", " OR ".join(["flats=1"] * 700), "flats IN (" + ",".join("1" * 5000) + ")",
    "x" * (LONGEST + 1), "geid = 'a' ;DROP TABLE entities", "flats=1e999", "flats = NULL", "'; --",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=[re.sub(r"\W+", "_", text[:30]) for text in HOSTILE])
def test_a_hostile_filter_is_refused_or_answered_but_never_breaks(select: Any, text: str) -> None:
    answer = select(text)
    assert answer in ("invalid_filter", "invalid_parameter") or isinstance(answer, list)


JSON_HOSTILE = [
    "{}", "[]", "null", "5", "{", '{"op":"and"}', '{"op":"and","args":[]}', '{"op":"not","args":[]}', '{"op":5,"args":[1]}',
    '{"op":"=","args":[{"property":"flats"}]}', '{"op":"=","args":[{"property":5},1]}', '{"op":"=","args":[[1],[2]]}',
    '{"op":"in","args":[{"property":"flats"},5]}', '{"op":"between","args":[{"property":"flats"},1]}',
    '{"op":"s_intersects","args":[{"property":"geometry"},{"type":"Point","coordinates":[]}]}',
    '{"op":"s_intersects","args":[{"property":"geometry"},{"type":"Polygon","coordinates":[[[0,0]]]}]}',
    '{"op":"s_intersects","args":[{"property":"geometry"},{"bbox":[1,2]}]}',
    '{"op":"t_after","args":[{"property":"seen"},{"interval":["x"]}]}',
    '{"op":"t_after","args":[{"property":"seen"},{"timestamp":"x"}]}',
    '{"op":"=","args":[{"property":"flats"},{"date":5}]}', '{"op":"isNull","args":[]}', '{"op":"casei","args":[]}',
    '{"op":"not","args":[' * 400 + "true" + "]}" * 400, "[" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("text", JSON_HOSTILE, ids=[re.sub(r"\W+", "_", text[:40]) for text in JSON_HOSTILE])
def test_a_hostile_filter_in_json_is_refused(select: Any, text: str) -> None:
    assert select(text, "cql2-json") in ("invalid_filter", "invalid_parameter")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.lists(st.sampled_from(["(", ")", "NOT ", "flats", "name", "=", "<", "1", "'a'", " AND ", " OR ", "LIKE ", ",", "IN",
                                      "geometry", "S_WITHIN", "POINT(1 2)", "-", "+", "BETWEEN ", "IS NULL", "DATE('2020-01-01')", "built"]),
                     max_size=14).map("".join))  # fmt: skip
def test_scrambled_filters_never_break_the_server(select: Any, text: str) -> None:
    answer = select(text)
    assert answer in ("invalid_filter", "invalid_parameter") or isinstance(answer, list)


def test_the_bounds_of_nesting_are_as_documented(select: Any) -> None:
    deep = "(" * DEEPEST + "flats=1" + ")" * DEEPEST
    assert isinstance(select(deep), list)
    assert select(f"({deep})") == "invalid_filter"
