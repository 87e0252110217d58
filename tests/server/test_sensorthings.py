"""The read subset of SensorThings: every path leads where it says, pages lose nothing, keys hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.server.conftest import BUILDINGS, District
from tests.server.live_district import BATCH, Sender, at, event, make_key, running, write_project

ROOT = "/sta/v1.1"
SERIES = ("level", "it's # a/b", "温度 1")


@pytest.fixture
def sender(district: District, serve: Callable[..., Any]) -> Iterator[Sender]:
    root = district.out.parent
    write_project(root)
    _, key = make_key(root, "admin")
    with running(app := serve(root)) as client:
        sender = Sender(client, key, app)
        rows = [
            observation(case, minute, place=at(110, 10, h=5.0) if number else {"geid": BUILDINGS[0].geid})
            for minute in range(7)
            for number, case in enumerate(SERIES)
        ]
        rows += [event(), observation("lost", 0, place={"sensor": "S-9"})]
        told = sender.post(rows, BATCH).json()
        assert told["refused"] == 0, told
        yield sender


def observation(case: str, minute: int, **data: Any) -> dict[str, Any]:
    moment = f"2026-03-01T00:{minute:02}:00Z"
    return event(
        type="twin.observation.observed",
        source="urn:gauges",
        case=case,
        time=moment,
        value=minute / 2,
        unit="m",
        **data,
    )


def ask(sender: Sender, path: str) -> Any:
    parts = urlsplit(path)
    answer = sender.get(path if parts.path.startswith(ROOT) else f"{ROOT}/{path}")
    assert answer.status_code == 200, (path, answer.text)
    return answer.json()


def every(sender: Sender, path: str) -> list[Any]:
    """All pages."""
    found: list[Any] = []
    while path:
        page = ask(sender, path)
        found += page["value"]
        path = page.get("@iot.nextLink", "")
    return found


def test_the_root_lists_the_sets_and_claims_nothing(sender: Sender) -> None:
    told = sender.get(ROOT).json()
    assert [one["name"] for one in told["value"]] == ["Things", "Locations", "Datastreams", "Observations"]
    assert told["serverSettings"]["conformance"] == []
    for one in told["value"]:
        assert ask(sender, one["url"])["value"]


def test_every_link_of_every_entity_leads_to_something_that_leads_back(sender: Sender) -> None:
    for name in ("Things", "Locations", "Datastreams", "Observations"):
        for entity in every(sender, f"{name}?$top=2"):
            again = ask(sender, entity["@iot.selfLink"])
            assert again == entity
            for key, address in entity.items():
                if key.endswith("@iot.navigationLink"):
                    led = ask(sender, address)
                    nowhere = (name, entity["@iot.id"], key[:9]) == ("Things", "S-9", "Locations")
                    assert bool(led.get("value", [led])) != nowhere, address


def test_a_series_holds_its_observations_and_no_other(sender: Sender) -> None:
    streams = {one["properties"]["case"]: one for one in every(sender, "Datastreams")}
    assert set(streams) == {*SERIES, "lost"}
    for case in SERIES:
        values = every(sender, streams[case]["Observations@iot.navigationLink"] + "?$top=3")
        assert [one["result"] for one in values] == [minute / 2 for minute in reversed(range(7))]
    assert streams["level"]["unitOfMeasurement"]["symbol"] == "m"


def test_an_entity_is_a_thing_with_the_series_that_were_linked_to_it(sender: Sender) -> None:
    thing = ask(sender, f"Things('{BUILDINGS[0].geid}')")
    assert thing["properties"]["geid"] == BUILDINGS[0].geid
    (stream,) = ask(sender, thing["Datastreams@iot.navigationLink"])["value"]
    assert stream["properties"]["case"] == "level"
    assert ask(sender, stream["Thing@iot.navigationLink"]) == thing
    (place,) = ask(sender, f"Things('{BUILDINGS[1].geid}')/Locations")["value"]
    assert place["location"]["type"] == "Point" and place["location"]["coordinates"][2] == 5.0
    assert ask(sender, "Things('S-9')")["properties"] == {"sensor": "S-9"}


def test_a_filter_on_time_holds_and_pages_keep_it(sender: Sender) -> None:
    name = quote("urn:gauges level", safe=":")
    when = quote("phenomenonTime ge 2026-03-01T00:01:00Z and phenomenonTime lt 2026-03-01T00:05:00Z")
    values = every(sender, f"Datastreams('{name}')/Observations?$filter={when}&$top=1")
    assert [one["result"] for one in values] == [2.0, 1.5, 1.0, 0.5]


def test_sets_are_counted_and_skipped(sender: Sender) -> None:
    told = ask(sender, "Datastreams?$count=true&$top=2&$skip=1")
    assert (told["@iot.count"], len(told["value"])) == (4, 2)
    assert len({one["@iot.id"] for one in every(sender, "Datastreams?$top=1")}) == 4


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("Sensors", 404), ("Things('no')", 404), ("Things(1)", 404), ("Observations('1')", 404),
        ("Observations(9999)", 404), ("Observations(22)", 404), ("Datastreams('x')", 404),
        ("Things('S-9')/Observations", 404), ("Things('S-9'", 404), ("Things?$expand=Datastreams", 400),
        ("Observations?$filter=result gt 3", 400), ("Observations?$count=true", 400),
        ("Things?$filter=name eq 'a'", 400), ("Things?$top=-1", 400),
    ],
)  # fmt: skip
def test_what_is_not_there_or_not_understood_is_said_so(sender: Sender, path: str, status: int) -> None:
    assert sender.get(f"{ROOT}/{path}").status_code == status


def test_a_key_sees_its_area_alone(sender: Sender, district: District) -> None:
    _, key = make_key(district.out.parent, "read", areas={BUILDINGS[1].geid})
    narrow = sender.with_key(key)
    assert {one["properties"]["case"] for one in every(narrow, "Datastreams")} == set(SERIES[1:])
    assert len(every(narrow, "Observations")) == 14
    _, alarms = make_key(district.out.parent, "read", kinds={"alarm"})
    assert every(sender.with_key(alarms), "Things") == []
    assert sender.with_key(None).get(f"{ROOT}/Things").status_code == 401
