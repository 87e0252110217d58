"""Observations of SensorThings become reports of their Datastream's sensor and Observations again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.live.model import Link, Report, Stored
from twin.live.refusals import REFUSALS, Refused
from twin.live.rules import ParseRules
from twin.live.sensorthings import (
    observations_of_array,
    report_of_observation,
    reports_of_observations,
    to_observation,
)
from twin.live.times import read_time

RULES = ParseRules(now=lambda: read_time("2026-11-22T08:00:00Z"), crs="gcj02")
SOURCE = "https://frost.example/v1.1"
STREAM: dict[str, Any] = {
    "@iot.id": 5,
    "name": "River level at the east bridge",
    "unitOfMeasurement": {"name": "metre", "symbol": "m", "definition": "http://unitsofmeasure.org/ucum.html#para-30"},
    "Thing": {"Locations": [{"location": {"type": "Point", "coordinates": [121.4, 31.2, 4.0]}}]},
}
OBSERVATION: dict[str, Any] = {
    "@iot.id": 1001,
    "phenomenonTime": "2026-11-22T06:00:00Z/2026-11-22T07:00:00Z",
    "resultTime": "2026-11-22T07:00:05Z",
    "result": 3.25,
    "parameters": {"gate": "open"},
    "Datastream": STREAM,
}


def test_an_observation_says_what_was_measured_by_which_sensor_and_when() -> None:
    report = report_of_observation(OBSERVATION, SOURCE, RULES)
    assert (report.source, report.id, report.case, report.kind, report.status) == (
        SOURCE,
        "1001",
        "5",
        "observation",
        "observed",
    )
    assert (report.value, report.unit, report.title) == (3.25, "m", "River level at the east bridge")
    assert report.place.sensor == "5"
    assert report.occurred_ms == read_time("2026-11-22T07:00:00Z")
    assert report.reported_ms == read_time("2026-11-22T07:00:05Z")
    assert report.data == {"parameters": {"gate": "open"}}


def test_geojson_is_wgs84_whatever_the_twin_takes_positions_for() -> None:
    place = report_of_observation(OBSERVATION, SOURCE, RULES).place
    assert (place.lon, place.lat, place.h) == (121.4, 31.2, 4.0)
    feature = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [121.5, 31.3]}}
    moved = report_of_observation({**OBSERVATION, "FeatureOfInterest": {"feature": feature}}, SOURCE, RULES).place
    assert (moved.lon, moved.lat, moved.h) == (121.5, 31.3, None)


def test_a_delivery_repeated_without_an_id_is_known_by_stream_and_time() -> None:
    bare = {key: value for key, value in OBSERVATION.items() if key != "@iot.id"} | {"Datastream": {"@iot.id": "w-7"}}
    one, two = (report_of_observation(bare, SOURCE, RULES) for _ in range(2))
    later = report_of_observation({**bare, "phenomenonTime": "2026-11-22T07:30:00Z"}, SOURCE, RULES)
    assert one == two
    assert one.id != later.id and one.case == later.case == "w-7"


@given(st.floats(-1e12, 1e12), st.integers(0, RULES.now()), st.none() | st.integers(0, RULES.now()))
def test_what_goes_out_as_an_observation_comes_in_with_the_same_value_and_times(
    value: float, occurred: int, reported: int | None
) -> None:
    report = Report("urn:a", "1", "5", "observation", "observed", "info", "", occurred, reported, value=value)
    observation = to_observation(Stored(9, RULES.now(), report, Link()), "https://twin.example/sta/v1.1/")
    assert observation["@iot.selfLink"] == "https://twin.example/sta/v1.1/Observations(9)"
    back = report_of_observation({**observation, "Datastream": {"@iot.id": "5"}}, "urn:b", RULES)
    assert (back.value, back.occurred_ms, back.case, back.id) == (value, occurred, "5", "9")
    assert back.reported_ms == (occurred if reported is None else reported)


def test_a_data_array_is_its_observations_row_for_row() -> None:
    body = [
        {
            "Datastream": {"@iot.id": 5},
            "components": ["phenomenonTime", "result"],
            "dataArray": [["2026-11-22T06:00:00Z", 1.5], ["2026-11-22T06:10:00Z"], ["2026-11-22T06:20:00Z", "wet"]],
        },
        {"Datastream": {"@iot.id": 6}},
        {
            "Datastream": {"@iot.id": 6},
            "components": ["id", "phenomenonTime", "result"],
            "dataArray": [[7, "2026-11-22T06:00:00Z", 2]],
        },
    ]
    rows = reports_of_observations(list(observations_of_array(body)), SOURCE, RULES)
    assert [row.code if isinstance(row, Refused) else (row.case, row.value) for row in rows] == [
        ("5", 1.5),
        "bad_row",
        "bad_number",
        "wrong_type",
        ("6", 2.0),
    ]
    last = rows[-1]
    assert isinstance(last, Report) and last.id == "7"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Datastream": None}, "missing"),
        ({"Datastream": {"@iot.id": ""}}, "missing"),
        ({"phenomenonTime": None}, "missing"),
        ({"phenomenonTime": "then"}, "bad_time"),
        ({"phenomenonTime": "2026-11-22T06:00:00"}, "bad_time"),
        ({"result": "wet"}, "bad_number"),
        ({"result": {"level": 1}}, "wrong_type"),
        ({"result": None}, "incomplete"),
    ],
)
def test_an_observation_that_says_too_little_is_refused(change: dict[str, Any], code: str) -> None:
    with pytest.raises(Refused) as raised:
        report_of_observation({**OBSERVATION, **change}, SOURCE, RULES)
    assert raised.value.code == code


KEYS = ["@iot.id", "phenomenonTime", "resultTime", "result", "Datastream", "FeatureOfInterest", "feature", "Thing"]
NESTED = [*KEYS, "Locations", "location", "geometry", "coordinates", "type", "unitOfMeasurement", "symbol", "name"]
ANYTHING = st.recursive(
    st.none() | st.integers() | st.floats() | st.sampled_from(["Point", "2026-11-22T06:00:00Z", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NESTED), inner, max_size=5),
)


@given(st.dictionaries(st.sampled_from(KEYS), ANYTHING, max_size=6), ANYTHING)
def test_arbitrary_json_gives_reports_or_refusals(observation: dict[str, Any], other: object) -> None:
    for row in reports_of_observations([observation, {**OBSERVATION, **observation}, other], SOURCE, RULES):
        assert isinstance(row, Report) or row.code in REFUSALS
    group = {"Datastream": other, "components": ["result"], "dataArray": [[1], other]}
    for row in reports_of_observations(list(observations_of_array([other, group])), SOURCE, RULES):
        assert isinstance(row, Report) or row.code in REFUSALS
