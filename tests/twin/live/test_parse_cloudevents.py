"""CloudEvents become reports by stated rules, come back as they were, and nothing but a refusal is ever raised."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import jsonschema
import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.crs.datum_cn import wgs84_to_gcj02
from twin.entity import geid as geids
from twin.live.cloudevents import parse_batch, parse_cloudevent, to_cloudevent
from twin.live.kinds import kinds_from, starter_kinds
from twin.live.model import SEVERITIES, STATUSES, Link, Place, Report, Stored
from twin.live.refusals import REFUSALS, Refused
from twin.live.rules import ParseRules
from twin.live.schema import event_schema
from twin.live.times import LATEST_MS, read_time, zone_of

NOW = read_time("2026-11-22T08:00:00Z")
RULES = ParseRules(now=lambda: NOW)
GEID = geids.mint("CN310000", ["one"])[0]
VALID = jsonschema.Draft202012Validator(event_schema())


def event(data: object = None, **attributes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": "m-1",
        "source": "urn:city:12345",
        "type": "twin.hotline.created",
        "time": "2026-11-22T07:00:00Z",
        "data": {} if data is None else data,
        **attributes,
    }


def refusal(document: object, rules: ParseRules = RULES) -> str:
    with pytest.raises(Refused) as raised:
        parse_cloudevent(document, rules)  # type: ignore[arg-type]
    assert raised.value.code in REFUSALS
    assert raised.value.reason
    return raised.value.code


TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=20)
WORD = TEXT.map(str.strip).filter(bool)
SCALAR = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
EXTRA = st.recursive(
    SCALAR | TEXT, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3)
)
FINITE = st.floats(-1e9, 1e9)
MOMENT = st.integers(0, NOW)


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


PLACES = st.builds(
    Place,
    optional(WORD),
    optional(WORD),
    optional(WORD),
    optional(WORD),
    st.floats(-180, 180).filter(bool),
    st.floats(-90, 90),
    optional(FINITE),
    optional(st.floats(0, 1e6)),
)
OTHER_KEYS = WORD.filter(lambda key: key not in {"link", "source_link"})


@st.composite
def reports(draw: st.DrawFn) -> Report:
    """Any report that a source could have meant."""
    kind = draw(st.sampled_from(list(starter_kinds())))
    name = draw(WORD)
    known = {"case", "title", "severity", "status", "occurred", "reported", "due", "place", "value", "unit"}
    data = draw(st.dictionaries(OTHER_KEYS.filter(lambda key: key not in known), EXTRA, max_size=3))
    data.update(
        draw(st.dictionaries(st.from_regex(r"ce-[a-z0-9]{1,12}", fullmatch=True), TEXT.filter(bool), max_size=2))
    )
    data = {key: value for key, value in data.items() if key not in {"ce-offset", "ce-recordedtime", "ce-id"}}
    place = draw(PLACES if "position" in kind.needs else st.just(Place()) | PLACES)
    return Report(
        draw(st.from_regex(r"(urn|https):[a-z0-9/.:_-]{1,40}", fullmatch=True)),
        name,
        draw(WORD),
        kind.id,
        draw(st.sampled_from(kind.statuses)),
        draw(st.sampled_from(SEVERITIES)),
        " ".join(draw(TEXT).split()),
        draw(MOMENT),
        draw(optional(MOMENT)),
        draw(optional(st.integers(0, LATEST_MS - 1))),
        place,
        draw(FINITE if "value" in kind.needs else optional(FINITE)),
        draw(optional(WORD)),
        data,
    )


LINKS = st.builds(
    Link, optional(st.just(GEID)), st.sampled_from(["geid", "near", "none"]), st.floats(0, 1), optional(FINITE)
)


@given(reports())
def test_a_report_comes_back_out_of_its_event_as_it_was(report: Report) -> None:
    outgoing = to_cloudevent(report, "https://twin.example/")
    assert parse_cloudevent(outgoing, RULES) == report


@given(reports())
def test_the_event_passes_through_json_and_is_valid_by_the_schema(report: Report) -> None:
    outgoing = orjson.loads(orjson.dumps(to_cloudevent(report, "https://twin.example")))
    VALID.validate(outgoing)
    assert parse_cloudevent(outgoing, RULES) == report
    assert json.loads(json.dumps(outgoing)) == outgoing


@given(reports(), LINKS, st.integers(1, 2**53))
def test_what_another_twin_sends_on_says_where_it_was_linked_and_nothing_else_of_that_twin(
    report: Report, link: Link, offset: int
) -> None:
    outgoing = to_cloudevent(Stored(offset, NOW, report, link))
    assert outgoing["offset"] == offset
    assert outgoing["recordedtime"] == "2026-11-22T08:00:00.000Z"
    assert outgoing["data"]["link"]["method"] == link.method
    VALID.validate(outgoing)
    again = parse_cloudevent(outgoing, RULES)
    named = report.place.geid or report.place.code
    place = report.place if named or link.geid is None else replace(report.place, geid=link.geid)
    assert again == replace(report, place=place)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.just("2026-11-22T07:00:00Z"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELD = st.sampled_from(
    ["case", "title", "status", "severity", "occurred", "reported", "due", "place", "value", "unit", "link", "photos"]
)
PLACE_KEY = st.sampled_from(
    ["geid", "code", "sensor", "address", "lon", "lat", "x", "y", "h", "crs", "accuracy_m", "z"]
)
GOOD = st.sampled_from(
    [0, 1, 121.4, 31.2, "31.2", "gcj02", "EPSG:4549", "closed", "已办结", "2026-11-22", NOW, "", None]
)
NEARLY = st.dictionaries(FIELD, GOOD | ANYTHING | st.dictionaries(PLACE_KEY, GOOD | ANYTHING, max_size=6), max_size=6)
ATTRIBUTE = st.sampled_from(
    [
        "specversion",
        "id",
        "source",
        "type",
        "subject",
        "time",
        "datacontenttype",
        "dataschema",
        "data_base64",
        "offset",
        "x",
    ]
)
TYPES = st.sampled_from(["twin.hotline", "twin.observation.observed", "twin.position", "twin.a.b", "other"])


@given(ANYTHING | st.dictionaries(ATTRIBUTE, ANYTHING, max_size=6))
def test_arbitrary_json_gives_a_report_or_a_refusal(document: object) -> None:
    try:
        report = parse_cloudevent(document, RULES)  # type: ignore[arg-type]
    except Refused as refused:
        assert refused.code in REFUSALS
    else:
        assert isinstance(report, Report)


@given(NEARLY, TYPES, st.dictionaries(ATTRIBUTE, ANYTHING, max_size=2))
def test_events_that_are_nearly_right_are_taken_in_only_if_they_keep_every_promise(
    data: dict[str, Any], kind: str, attributes: dict[str, Any]
) -> None:
    document = event(data, type=kind) | attributes
    rules = replace(RULES, zone=zone_of("Asia/Shanghai"))
    try:
        report = parse_cloudevent(document, rules)
    except Refused as refused:
        assert refused.code in REFUSALS
        return
    assert report.status in STATUSES and report.severity in SEVERITIES
    assert 0 <= report.occurred_ms <= NOW + rules.max_skew_ms
    assert (report.place.lon is None) == (report.place.lat is None)
    assert report.place.lon is None or abs(report.place.lon) <= 180
    VALID.validate(document)
    assert orjson.dumps(to_cloudevent(report))
    assert parse_cloudevent(orjson.loads(orjson.dumps(to_cloudevent(report))), rules) == report


@given(st.lists(st.tuples(NEARLY, TYPES), max_size=5))
def test_a_batch_gives_row_for_row_what_one_by_one_gives(rows: list[tuple[dict[str, Any], str]]) -> None:
    documents = [event(data, type=kind) for data, kind in rows]
    found = parse_batch(documents, RULES)
    assert len(found) == len(documents)
    for document, row in zip(documents, found, strict=True):
        try:
            alone = parse_cloudevent(document, RULES)
        except Refused as refused:
            assert isinstance(row, Refused) and (row.code, row.reason) == (refused.code, refused.reason)
        else:
            assert row == alone


def test_a_full_event_says_everything() -> None:
    place = {"sensor": "w-7", "address": "人民路 12 号", "lon": 121.4, "lat": 31.2, "h": 4.5, "accuracy_m": 10}
    data = {
        "case": "A-1",
        "title": "路灯\n 不亮",
        "severity": "紧急",
        "status": "已派遣",
        "occurred": "2026-11-22T14:00:00+08:00",
        "reported": 1795305600,
        "due": "2026-11-25T00:00:00Z",
        "place": {**place, "storey": "3F"},
        "value": "2.50",
        "unit": "m",
        "photos": ["https://x/1.jpg"],
    }
    report = parse_cloudevent(event(data, type="twin.work_order", traceparent="00-ab"), RULES)
    assert report == Report(
        source="urn:city:12345",
        id="m-1",
        case="A-1",
        kind="work_order",
        status="dispatched",
        severity="high",
        title="路灯 不亮",
        occurred_ms=read_time("2026-11-22T06:00:00Z"),
        reported_ms=1795305600_000,
        due_ms=read_time("2026-11-25T00:00:00Z"),
        place=Place(None, None, "w-7", "人民路 12 号", 121.4, 31.2, 4.5, 10.0),
        value=2.5,
        unit="m",
        data={"photos": ["https://x/1.jpg"], "place": {"storey": "3F"}, "ce-traceparent": "00-ab"},
    )


def test_a_half_empty_event_has_its_gaps_filled_by_rule() -> None:
    bare = {key: value for key, value in event().items() if key not in {"time", "data"}} | {"type": "twin.alarm"}
    report = parse_cloudevent(bare, RULES)
    assert (report.case, report.status, report.severity, report.title) == ("m-1", "created", "high", "")
    assert report.occurred_ms == NOW
    assert report.data == {"occurred_from": "receipt"}
    assert report.place == Place()


def test_the_time_of_an_event_is_occurred_then_time_then_reported() -> None:
    first = event({"occurred": "2026-11-22T01:00:00Z", "reported": "2026-11-22T03:00:00Z"}, time="2026-11-22T02:00:00Z")
    second = {**first, "data": {"reported": "2026-11-22T03:00:00Z"}}
    third = {**second, "time": None}
    hours = [parse_cloudevent(document, RULES).occurred_ms for document in (first, second, third)]
    assert hours == [read_time(f"2026-11-22T0{hour}:00:00Z") for hour in (1, 2, 3)]


def test_subject_is_an_identifier_or_a_code_and_yields_to_the_place() -> None:
    assert parse_cloudevent(event(subject=GEID.upper()), RULES).place == Place(geid=GEID.upper())
    assert parse_cloudevent(event(subject="lamp:17"), RULES).place == Place(code="lamp:17")
    assert parse_cloudevent(event({"place": {"code": "a:1"}}, subject=GEID), RULES).place == Place(code="a:1")


def test_late_reports_are_taken_in_and_future_ones_only_within_the_skew() -> None:
    for shift, taken in ((-40 * 365 * 86_400_000, True), (0, True), (300_000, True), (300_001, False)):
        document = event(time=NOW + shift)
        if taken:
            assert parse_cloudevent(document, RULES).occurred_ms == NOW + shift
        else:
            assert refusal(document) == "event_in_future"
    assert refusal(event({"reported": NOW + 300_001})) == "event_in_future"
    assert refusal(event(), replace(RULES, max_age_ms=3_599_999)) == "event_too_old"
    assert parse_cloudevent(event(), replace(RULES, max_age_ms=3_600_000))


def test_what_is_never_due_is_due_never() -> None:
    assert parse_cloudevent(event({"due": "9999-12-31T23:59:59"}), RULES).due_ms is None


def test_positions_of_web_maps_and_grids_are_brought_to_wgs84_and_what_was_given_is_kept() -> None:
    true = (121.4737, 31.2304)
    shifted = wgs84_to_gcj02(np.array([true]))[0].tolist()
    report = parse_cloudevent(event({"place": {"lon": shifted[0], "lat": shifted[1], "crs": "gcj02"}}), RULES)
    assert report.place.lon == pytest.approx(true[0], abs=1e-6)
    assert report.place.lat == pytest.approx(true[1], abs=1e-6)
    assert report.data["place"]["given"] == {"x": shifted[0], "y": shifted[1], "crs": "gcj02"}
    again = parse_cloudevent(to_cloudevent(report), RULES)
    assert again == report

    grid = parse_cloudevent(event({"place": {"x": 500_000, "y": 3_456_000, "crs": "EPSG:4549"}}), RULES)
    assert grid.place.lon == pytest.approx(120.0, abs=1e-7)
    assert grid.place.lat == pytest.approx(31.22, abs=0.05)


def test_a_batch_of_many_systems_puts_every_position_where_it_belongs() -> None:
    places: list[Mapping[str, Any]] = [
        {"lon": 121.4, "lat": 31.2},
        {"lon": 121.4, "lat": 31.2, "crs": "bd09"},
        {"x": 500_000, "y": 3_456_000, "crs": "EPSG:4549"},
        {"x": 1e12, "y": 1e12, "crs": "EPSG:4549"},
        {"lon": 121.4, "lat": 31.2, "crs": "gcj02"},
        {"x": 1, "y": 1, "crs": "EPSG:1"},
        {"address": "x"},
    ] * 3
    documents = [event({"place": place}, id=str(at)) for at, place in enumerate(places)]
    rows = parse_batch(documents, RULES)
    codes = [row.code if isinstance(row, Refused) else "" for row in rows[:7]]
    assert codes == ["", "", "", "position_outside", "", "unknown_crs", ""]
    for document, row in zip(documents, rows, strict=True):
        if isinstance(row, Refused):
            assert refusal(document) == row.code
        else:
            assert row == parse_cloudevent(document, RULES)


def test_a_private_default_system_is_used_and_never_shown() -> None:
    secret = "+proj=tmerc +lat_0=0 +lon_0=121.4667 +k=1 +x_0=12345 +y_0=-3400000 +ellps=WGS84 +towgs84=0,0,0 +units=m"
    report = parse_cloudevent(event({"place": {"x": 12_345, "y": 55_000}}), replace(RULES, crs=secret))
    assert report.place.lon == pytest.approx(121.4667, abs=1e-6)
    told = json.dumps(to_cloudevent(report))
    assert "12345.0" not in told and "proj" not in told and "55000" not in told
    assert refusal(event({"place": {"x": 12_345, "y": 55_000, "crs": secret}})) == "unknown_crs"


def test_zero_zero_is_what_broken_devices_send_and_is_no_position() -> None:
    assert parse_cloudevent(event({"place": {"lon": 0, "lat": 0.0, "address": "x"}}), RULES).place == Place(address="x")
    assert refusal(event({"place": {"lon": 0, "lat": 0}}, type="twin.position")) == "incomplete"


def test_foreign_types_and_words_are_translated_by_tables() -> None:
    kinds = starter_kinds().with_words({"Geschlossen": "closed"}, {"5": "critical"})
    types = {"com.platform.ticket": "hotline", "com.platform.done": "hotline.closed"}
    rules = replace(RULES, kinds=kinds_from({"types": types}, kinds))
    report = parse_cloudevent(event({"status": " GESCHLOSSEN ", "severity": 5}, type="com.platform.ticket"), rules)
    assert (report.kind, report.status, report.severity) == ("hotline", "closed", "critical")
    assert parse_cloudevent(event(type="com.platform.done"), rules).status == "closed"
    assert refusal(event(type="com.platform.else"), rules) == "unknown_type"


def test_a_source_may_have_a_link_of_its_own() -> None:
    report = parse_cloudevent(event({"link": "https://platform/1"}), RULES)
    assert report.data == {"source_link": "https://platform/1"}


def test_more_kinds_are_known_when_a_file_says_so() -> None:
    kinds = kinds_from({"kinds": {"tree_check": {"zh": "树", "en": "Tree", "needs": ["place"]}}}, starter_kinds())
    rules = replace(RULES, kinds=kinds)
    assert refusal(event(type="twin.tree_check.created")) == "unknown_kind"
    assert refusal(event(type="twin.tree_check.created"), rules) == "incomplete"
    assert parse_cloudevent(event({"place": "人民路"}, type="twin.tree_check.created"), rules).place.address == "人民路"


DEEP: Any = 1
for _ in range(9):
    DEEP = [DEEP]

REFUSED: list[tuple[str, Callable[[], object]]] = [
    ("not_an_object", lambda: [event()]),
    ("not_an_object", lambda: "event"),
    ("spec_version", lambda: event(specversion="0.3")),
    ("spec_version", lambda: {key: value for key, value in event().items() if key != "specversion"}),
    ("missing", lambda: event(id=" ")),
    ("missing", lambda: event(source=None)),
    ("missing", lambda: event(type="")),
    ("bad_source", lambda: event(source="the city")),
    ("bad_source", lambda: event(source="urn:a\nb")),
    ("wrong_type", lambda: event(id=True)),
    ("wrong_type", lambda: event({"title": ["a"]})),
    ("wrong_type", lambda: event({"place": 7})),
    ("wrong_type", lambda: event({"occurred": {"at": 1}})),
    ("wrong_type", lambda: event({"value": True})),
    ("wrong_type", lambda: event(Traceparent="00")),
    ("wrong_type", lambda: event(extension={"a": 1})),
    ("too_long", lambda: event({"title": "长" * 2001})),
    ("too_long", lambda: event(id="x" * 257)),
    ("bad_text", lambda: event({"title": "a\0b"})),
    ("bad_text", lambda: event({"note": {"deep": "a\0"}})),
    ("bad_text", lambda: event({"note\0": 1})),
    ("bad_text", lambda: event({"note": "\ud83d"})),
    ("not_json_data", lambda: event("text")),
    ("not_json_data", lambda: event([1])),
    ("not_json_data", lambda: event(data_base64="AAAA")),
    ("not_json_data", lambda: event(datacontenttype="application/xml")),
    ("unknown_type", lambda: event(type="org.other.thing")),
    ("unknown_type", lambda: event(type="twin.")),
    ("unknown_kind", lambda: event(type="twin.ufo.created")),
    ("unknown_status", lambda: event(type="twin.hotline.finished")),
    ("unknown_status", lambda: event({"status": "finished"}, type="twin.hotline")),
    ("unknown_status", lambda: event(type="twin.hotline.observed")),
    ("unknown_severity", lambda: event({"severity": "horrible"})),
    ("contradiction", lambda: event({"status": "closed"})),
    ("incomplete", lambda: event(type="twin.observation")),
    ("incomplete", lambda: event({"place": "人民路"}, type="twin.patrol")),
    ("bad_time", lambda: event(time="yesterday")),
    ("bad_time", lambda: event(time="2026-11-22T07:00:00")),
    ("bad_time", lambda: event({"due": "2200-01-01T00:00:00Z"})),
    ("bad_number", lambda: event({"value": "wet"})),
    ("bad_number", lambda: event({"value": float("nan")})),
    ("bad_number", lambda: event({"value": 10**5000})),
    ("bad_number", lambda: event({"value": "1_000"})),
    ("bad_number", lambda: event({"count": 2**64})),
    ("bad_number", lambda: event({"place": {"accuracy_m": -1}})),
    ("bad_position", lambda: event({"place": {"lon": 121.4}})),
    ("bad_position", lambda: event({"place": {"lon": 31.2, "lat": 121.4}})),
    ("bad_position", lambda: event({"place": {"lon": 121.4, "lat": 31.2, "x": 1, "y": 2}})),
    ("bad_position", lambda: event({"place": {"lon": 500_000, "lat": 3_400_000}})),
    ("unknown_crs", lambda: event({"place": {"x": 1, "y": 2, "crs": "the usual"}})),
    ("unknown_crs", lambda: event({"place": {"x": 1, "y": 2, "crs": "EPSG:99999"}})),
    ("too_deep", lambda: event({"note": DEEP})),
    ("too_large", lambda: event({"note": ["x" * 1000] * 70})),
    ("too_large", lambda: event({"note": [0] * 70_000})),
]


@pytest.mark.parametrize(("code", "make"), REFUSED, ids=[f"{code}-{at}" for at, (code, _) in enumerate(REFUSED)])
def test_what_cannot_be_meant_is_refused_by_its_code(code: str, make: Callable[[], object]) -> None:
    assert refusal(make()) == code


def test_what_is_just_within_the_limits_is_taken_in() -> None:
    note: Any = 1
    for _ in range(6):
        note = [note]
    data = {"title": "长" * 2000, "note": note, "long": "x" * 60_000, "count": 2**63 - 1}
    assert parse_cloudevent(event(data, id="x" * 256), RULES).data["note"] == note


def test_the_refusals_of_a_batch_say_whose_they_are() -> None:
    rows = parse_batch([event(type="other"), 7], RULES)
    assert [row.source for row in rows if isinstance(row, Refused)] == ["urn:city:12345", ""]


def test_small_events_are_read_at_thirty_thousand_a_second() -> None:
    data = {
        "case": "A1",
        "title": "路灯不亮",
        "severity": "low",
        "place": {"address": "人民路12号", "lon": 121.4, "lat": 31.2},
    }
    documents = [event(data, id=str(at)) for at in range(10_000)]
    best = 0.0
    for _ in range(5):  # what else runs on the machine only ever slows it down
        start = time.perf_counter()
        rows = parse_batch(documents, RULES)
        best = max(best, len(rows) / (time.perf_counter() - start))
    assert all(isinstance(row, Report) for row in rows)
    print(f"{best:,.0f} reports/s")
    assert best >= 30_000 / 3, "three times slower than promised even for a busy machine"
