"""Lists, states, CZML and documents of what happens, asked over HTTP."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from tests.server.conftest import BUILDINGS, District, degrees
from tests.server.live_district import BATCH, Sender, at, event, make_key, running, write_project

CLOSED = "twin.work_order.closed"


@pytest.fixture
def sender(district: District, serve: Callable[..., Any]) -> Iterator[Sender]:
    """Speaks with a key that may do everything."""
    root = district.out.parent
    write_project(root)
    _, key = make_key(root, "admin")
    app = serve(root)
    with running(app) as client:
        yield Sender(client, key, app)


def send(sender: Sender, *events: dict[str, Any]) -> list[int]:
    """Offsets of events sent in one batch; all are taken."""
    told = sender.post(list(events), BATCH).json()
    assert told["refused"] == 0, told
    assert told["taken"] == len(events)
    return [one.offset for one in sender.app.live.store.after(0, 100_000)][-len(events) :]  # type: ignore[union-attr]


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["events"]]


def test_what_was_sent_comes_out_as_the_same_cloudevent(sender: Sender) -> None:
    sent = event(id="a", case="W-1", severity="high", photo="p.jpg")
    (offset,) = send(sender, sent)
    answer = sender.get(f"/events/{offset}")
    assert answer.headers["content-type"] == "application/cloudevents+json"
    told = answer.json()
    assert (told["id"], told["source"], told["type"], told["offset"]) == ("a", sent["source"], sent["type"], offset)
    assert told["data"]["photo"] == "p.jpg"
    assert told["subject"] == told["data"]["link"]["geid"] == BUILDINGS[0].geid
    unchanged = sender.get(f"/events/{offset}", if_none_match=answer.headers["etag"])
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert sender.get("/events/999").status_code == 404


def test_pages_tell_every_report_once_the_youngest_first_whatever_comes_in_between(sender: Sender) -> None:
    send(sender, *(event(id=f"n{number}") for number in range(25)))
    seen, path = [], "/events?limit=10"
    while path:
        page = sender.get(path)
        seen += ids(page)
        send(sender, event(id=f"late{len(seen)}"))
        path = next((link["href"] for link in page.json()["links"] if link["rel"] == "next"), "")
    assert seen == [f"n{number}" for number in reversed(range(25))]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("kind=alarm", {"alarm"}),
        ("kind=alarm,work_order&severity=high", {"high", "alarm"}),
        ("status=closed", {"shut"}),
        ("linked=false", {"lost"}),
        ("linked=true&kind=work_order", {"high", "open", "shut"}),
        ("source=urn:other", {"alarm"}),
        ("open=true&kind=work_order", {"high", "lost"}),
        ("q=%E6%B0%B4%E7%AE%A1", {"lost"}),
        ("datetime=2026-03-02T00:00:00Z/..", {"lost"}),
        ("datetime=2026-03-02T04:00:00Z", {"lost"}),
        ("source=urn:test:dispatch&case=C1", {"open", "shut"}),
        ("as-of=2000-01-01", set()),
    ],
)
def test_a_list_holds_what_its_parameters_ask_for(sender: Sender, query: str, expected: set[str]) -> None:
    send(
        sender,
        event(id="open", case="C1"),
        event(id="shut", case="C1", type=CLOSED, time="2026-03-01T09:00:00+08:00"),
        event(id="high", severity="high"),
        event(id="alarm", type="twin.alarm.created", source="urn:other"),
        event(id="lost", title="水管破裂", place={"address": "不存在的地方"}, time="2026-03-02T12:00:00+08:00"),
    )
    assert set(ids(sender.get(f"/events?{query}"))) == expected


@pytest.mark.parametrize(
    "query",
    [
        "bbox=1,2,3", "kind=", "status=gone", "severity=worst", "entity=nonsense", "open=maybe", "case=C1",
        "q=" + "x" * 300, "datetime=yesterday", "as-of=never", "limit=0", "cursor=-1", "colour=red", "area=nonsense",
        "kind=alarm&kind=alarm", f"area={BUILDINGS[0].geid[:-1]}X",
    ],
)  # fmt: skip
def test_a_parameter_that_cannot_be_understood_is_refused_with_400(sender: Sender, query: str) -> None:
    answer = sender.get(f"/events?{query}")
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_box_and_an_area_hold_what_is_drawn_inside(sender: Sender) -> None:
    send(sender, event(id="in", place=at(110, 10)), event(id="out", place=at(300, 10)))
    west, south = degrees(95, -5)
    east, north = degrees(130, 25)
    assert ids(sender.get(f"/events?bbox={west},{south},{east},{north}")) == ["in"]
    assert ids(sender.get(f"/events?area={BUILDINGS[1].geid}")) == ["in"]


def test_geojson_holds_points_where_reports_are_drawn_and_nothing_where_nobody_knows(sender: Sender) -> None:
    send(sender, event(id="a", place=at(110, 10, h=21.5)), event(id="b", place={"address": "不存在的地方"}))
    answer = sender.get("/events", accept="application/geo+json")
    assert answer.headers["content-type"] == "application/geo+json"
    lost, found = answer.json()["features"]
    assert lost["geometry"] is None and lost["properties"]["geid"] is None
    assert found["geometry"]["coordinates"] == pytest.approx([*degrees(110, 10), 21.5], abs=1e-7)
    assert found["properties"]["geid"] == BUILDINGS[1].geid
    assert sender.get("/events?f=geojson").json()["features"] == answer.json()["features"]


def test_an_entity_has_its_reports_under_any_of_its_names(sender: Sender) -> None:
    send(sender, event(id="a"), event(id="b", place={"geid": BUILDINGS[1].geid}))
    geid = BUILDINGS[0].geid
    for name in (geid, geid.lower().replace("-", ""), f"survey:{BUILDINGS[0].key}"):
        assert ids(sender.get(f"/entities/{name}/events")) == ["a"], name
    assert ids(sender.get(f"/entities/{geid}/events?kind=alarm")) == []
    assert sender.get("/entities/310105-nothing/events").status_code == 404


def test_the_state_is_the_last_report_of_every_case_and_a_position_to_go_on_from(sender: Sender) -> None:
    send(sender, event(id="a1", case="A"), event(id="b1", case="B"), event(id="c1", case="C"))
    later = {"time": "2026-03-01T10:00:00+08:00"}
    offsets = send(
        sender, event(id="a2", case="A", severity="high", **later), event(id="b2", case="B", type=CLOSED, **later)
    )
    told = sender.get("/events/state").json()
    assert {one["id"] for one in told["events"]} == {"a2", "c1"}
    assert told["position"] == f"{sender.app.live.store.epoch}-{offsets[-1]}"  # type: ignore[union-attr]
    assert told["truncated"] is False
    assert set(ids(sender.get("/events/state?status=closed"))) == {"b2"}
    assert set(ids(sender.get("/events/state?status=closed,created"))) == {"a2", "b2", "c1"}
    assert sender.get("/events/state?limit=1").json()["truncated"] is True


def test_an_unchanged_state_costs_a_304_and_a_changed_one_does_not(sender: Sender) -> None:
    send(sender, event(id="a"))
    answer = sender.get("/events/state")
    tag = answer.headers["etag"]
    assert sender.get("/events/state", if_none_match=tag).status_code == 304
    assert sender.get("/events/state?kind=alarm", if_none_match=tag).status_code == 200
    send(sender, event(id="b"))
    assert sender.get("/events/state", if_none_match=tag).status_code == 200


def test_czml_of_an_interval_shows_the_life_and_the_way_of_every_case(sender: Sender) -> None:
    car = {"type": "twin.position.observed", "case": "car"}
    send(
        sender,
        event(id="a1", case="A", title="<b>&", time="2026-03-01T00:10:00Z", place=at(110, 10)),
        event(id="a2", case="A", type=CLOSED, time="2026-03-01T00:40:00Z", place=at(110, 10)),
        event(id="p1", time="2026-03-01T00:00:10Z", place=at(0, 0), **car),
        event(id="p3", time="2026-03-01T00:00:30Z", place=at(80, 0), **car),
        event(id="p2", time="2026-03-01T00:00:20Z", place=at(40, 0), **car),
        event(id="lost", place={"address": "不存在的地方"}, time="2026-03-01T00:20:00Z"),
    )
    head, *packets = sender.get("/events/czml?datetime=2026-03-01T00:00:00Z/2026-03-01T01:00:00Z").json()
    assert (head["id"], head["version"]) == ("document", "1.0")
    assert head["clock"]["currentTime"] == "2026-03-01T00:00:00.000Z"
    case, way = sorted(packets, key=lambda one: one["id"])
    assert case["availability"] == "2026-03-01T00:10:00.000Z/2026-03-01T00:40:00.000Z"
    assert "<b>" not in case["description"]
    colours = case["point"]["color"]
    assert [span["interval"].split("/")[0][11:16] for span in colours] == ["00:10", "00:40"]
    samples = way["position"]["cartographicDegrees"]
    assert samples[0::4] == [0.0, 10.0, 20.0]
    assert samples[1::4] == pytest.approx([degrees(x, 0)[0] for x in (0, 40, 80)], abs=1e-7)
    assert way["position"]["epoch"] == "2026-03-01T00:00:10.000Z"


def test_czml_of_now_holds_the_open_cases_without_a_clock(sender: Sender) -> None:
    send(sender, event(id="a", case="A", place=at(110, 10)), event(id="b", case="B", type=CLOSED, place=at(110, 10)))
    head, packet = sender.get("/events/czml").json()
    assert "clock" not in head
    assert packet["id"].endswith("#A") and "availability" not in packet
    assert packet["position"]["cartographicDegrees"][:2] == pytest.approx(degrees(110, 10), abs=1e-7)


def test_a_key_sees_its_kinds_and_areas_and_nothing_else(sender: Sender, district: District) -> None:
    root = district.out.parent
    first, second, third = send(
        sender,
        event(id="mine", place=at(110, 10)),
        event(id="elsewhere", place=at(300, 10)),
        event(id="other", type="twin.alarm.created", place=at(110, 10)),
    )
    _, key = make_key(root, "read", kinds={"work_order"}, areas={BUILDINGS[1].geid})
    narrow = sender.with_key(key)
    assert ids(narrow.get("/events")) == ids(narrow.get("/events/state")) == ["mine"]
    assert ids(narrow.get("/events?kind=alarm")) == []
    assert [narrow.get(f"/events/{offset}").status_code for offset in (first, second, third)] == [200, 404, 404]
    assert sender.with_key(None).get("/events").status_code == 401
    assert sender.with_key(None).get("/events/stream").status_code == 401


def test_the_metrics_count_what_came_in_and_the_page_names_every_one(sender: Sender) -> None:
    send(sender, event(), event())
    told = generate_latest(sender.app.metrics.registry).decode()
    assert 'events_intake_total{result="taken"} 2.0' in told
    page = (Path(__file__).parents[2] / "docs" / "events-out.md").read_text(encoding="utf-8")
    names = set(re.findall(r"^(events_\w+?)(?:\{| )", told, re.MULTILINE))
    assert len(names) >= 9
    for name in names:
        if not name.endswith("_created"):
            assert f"`{name}" in page, name


def test_the_landing_page_leads_to_the_stream_and_its_description(sender: Sender) -> None:
    links = {(one["rel"], one["href"]) for one in sender.get("/").json()["links"]}
    assert {("hub", "/events/stream"), ("service-desc", "/asyncapi.json")} <= links


def test_without_a_table_in_the_project_there_are_no_events(get: Any) -> None:
    for path in ("/events", "/events/state", "/events/1", "/events/czml", "/asyncapi.json"):
        answer = get(path)
        assert (answer.status, answer.json()["code"]) == (404, "events_off"), path


def test_the_asyncapi_document_refers_to_what_it_holds_and_names_every_parameter(sender: Sender) -> None:
    answer = sender.get("/asyncapi.json")
    document = answer.json()
    assert document["asyncapi"] == "3.0.0"
    references = set(re.findall(r'"\$ref":\s*"#/([^"]+)"', answer.text))
    assert len(references) > 15
    for reference in references:
        thing = document
        for part in reference.split("/"):
            if "$defs" in part:
                break
            assert part in thing, reference
            thing = thing[part]
    from server.live.asked import STREAM

    assert set(document["components"]["schemas"]["query"]["properties"]) == {*STREAM, "last_event_id"}
