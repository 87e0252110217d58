"""The sample's events are read without a refusal, and lead to the houses they are truly about."""

from __future__ import annotations

import json
import shutil
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

import data_samples
from data_samples.events import EVENTS, SENSORS, TRUTH
from data_samples.events_address import FORMS, spoken
from pipelines.demo_life import demo_linker
from pipelines.project import load_project
from pipelines.run import build
from twin.live.cloudevents import parse_batch
from twin.live.config import read_live
from twin.live.model import STATUSES, Link, Report
from twin.live.rules import ParseRules
from twin.live.sensors import read_sensors

COMMITTED = Path(data_samples.__file__).parent / "extract"
LEAST = 0.95


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (COMMITTED / EVENTS).read_bytes().splitlines()]


@pytest.fixture(scope="module")
def reports(events: list[dict[str, Any]]) -> list[Report]:
    rows = parse_batch(events, ParseRules())
    assert all(isinstance(row, Report) for row in rows), [row for row in rows if not isinstance(row, Report)][:3]
    return [row for row in rows if isinstance(row, Report)]


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    return dict(json.loads((COMMITTED / TRUTH).read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def linked(reports: list[Report], tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Link], dict[str, str]]:
    """The links of the events in the built extract, and the FWBH of a geid."""
    folder = tmp_path_factory.mktemp("living") / "extract"
    shutil.copytree(COMMITTED, folder)
    project = load_project(folder)
    build(project)
    linker, index = demo_linker(project)
    keys = dict(zip(index.table["geid"].to_pylist(), index.table["source_key"].to_pylist(), strict=True))
    return linker.link(reports), keys


def test_events_stand_in_the_order_of_the_day_and_no_message_twice(events: list[dict[str, Any]]) -> None:
    times = [event["time"] for event in events]
    assert times == sorted(times) and times[0][:10] == times[-1][:10] == "2024-07-01"
    assert len({(event["source"], event["id"]) for event in events}) == len(events)


def test_the_truth_counts_what_is_written(reports: list[Report], truth: dict[str, Any]) -> None:
    assert Counter(report.kind for report in reports) == truth["events"]
    told = {report.case for report in reports if report.kind in ("hotline", "work_order")}
    assert told == set(truth["cases"])


def test_a_case_goes_through_its_states_in_order(reports: list[Report], truth: dict[str, Any]) -> None:
    lives: dict[str, list[str]] = defaultdict(list)
    for report in reports:
        if report.case in truth["cases"]:
            lives[report.case].append(report.status)
    assert all(life == list(STATUSES[: len(life)]) for life in lives.values())
    assert {len(life) for life in lives.values()} >= {1, 5}, "some are closed, some have just been told"


def test_addresses_in_ten_forms_lead_to_the_right_house(
    reports: list[Report], linked: tuple[list[Link], dict[str, str]], truth: dict[str, Any]
) -> None:
    links, keys = linked
    asked, right = Counter[str](), Counter[str]()
    for report, link in zip(reports, links, strict=True):
        said = truth["cases"].get(report.case)
        if said and said["by"] == "address" and report.status == "created":
            assert link.method in ("address", "none")
            asked[said["form"]] += 1
            right[said["form"]] += keys.get(link.geid or "") == said["FWBH"]
    assert set(asked) == set(FORMS) and len(FORMS) == 10
    shares = {form: right[form] / asked[form] for form in FORMS}
    share = right.total() / asked.total()
    print(f"{share:.1%} of {asked.total()} addresses", shares)
    assert share >= LEAST, shares


@pytest.mark.parametrize("by", ["code", "position"])
def test_codes_and_positions_inside_lead_to_the_house(
    by: str, reports: list[Report], linked: tuple[list[Link], dict[str, str]], truth: dict[str, Any]
) -> None:
    links, keys = linked
    found = [
        (keys.get(link.geid or ""), truth["cases"][report.case]["FWBH"], link.method)
        for report, link in zip(reports, links, strict=True)
        if truth["cases"].get(report.case, {}).get("by") == by
    ]
    assert len(found) > 30
    assert {method for *_, method in found} == {"alias" if by == "code" else "contains"}
    assert all(key == wanted for key, wanted, _ in found)


def test_readings_lead_to_the_house_their_sensor_hangs_on(
    reports: list[Report], linked: tuple[list[Link], dict[str, str]], truth: dict[str, Any]
) -> None:
    links, keys = linked
    met = set()
    for report, link in zip(reports, links, strict=True):
        wanted = truth["sensors"].get(report.place.sensor)
        if wanted:
            met.add(report.place.sensor)
            assert (link.method, keys.get(link.geid or "")) == ("sensor", wanted)
    assert met == set(truth["sensors"])


def test_every_reading_is_of_a_sensor_in_the_table_that_live_names(reports: list[Report]) -> None:
    config = read_live(COMMITTED)
    assert config is not None and config.sensors == SENSORS
    known = read_sensors(config.path(SENSORS))
    measured = {report.place.sensor for report in reports if report.kind == "observation"}
    assert measured == set(known)
    for report in reports:
        if report.kind == "observation":
            streams = {one.property: one for one in known[str(report.place.sensor)].datastreams}
            assert streams[report.data["property"]].unit == report.unit


def test_patrols_move_along_as_fast_as_they_say(reports: list[Report]) -> None:
    tracks: dict[str, list[Report]] = defaultdict(list)
    for report in reports:
        if report.kind == "patrol":
            tracks[report.case].append(report)
    assert len(tracks) >= 2
    for track in tracks.values():
        lon, lat = (np.array([getattr(one.place, name) for one in track], dtype=float) for name in ("lon", "lat"))
        step_m = np.hypot(np.diff(lon) * 111_320 * np.cos(np.radians(31.2)), np.diff(lat) * 110_950)
        seconds = np.diff([one.occurred_ms for one in track]) / 1000
        assert (step_m / seconds).max() <= track[0].data["speed"] / 3.6 * 1.02, "no jump"
        assert np.median(step_m / seconds) > 0.5 * track[0].data["speed"] / 3.6, "not standing about"


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "零"), (7, "七"), (10, "十"), (16, "十六"), (105, "一百零五"), (110, "一百一十"), (2004, "二千零四")],
)
def test_a_number_is_spoken(number: int, text: str) -> None:
    assert spoken(number) == text
