"""Real exports of events are read through mappings: every row counted, every status change told, reading again adds
nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from twin.live.cloudevents import parse_cloudevent, to_cloudevent
from twin.live.formats import read_rows
from twin.live.mapping import read_mapping
from twin.live.model import Report
from twin.live.refusals import Refused
from twin.live.rules import ParseRules
from twin.live.times import read_time, write_time

pytestmark = pytest.mark.real
MAPPINGS = Path(__file__).parent / "mappings"


def taken(path: Path, mapping: str) -> list[Report]:
    rows = list(read_rows(path, read_mapping(MAPPINGS / mapping)))
    refused = [row for row in rows if isinstance(row, Refused)]
    assert not refused, refused[:3]
    return [row for row in rows if isinstance(row, Report)]


def test_seven_thousand_hotline_tickets_tell_their_creation_and_their_closing(real_data: Path) -> None:
    path = real_data / "events/baltimore_311_dev/baltimore_311_dev.csv"
    found = taken(path, "baltimore_311.toml")
    # SOURCE.txt: Closed 6,769 + Closed (Duplicate) 152 + Open (Duplicate) 3; Pending 13; 407 without coordinates
    assert Counter(report.status for report in found) == {"created": 7000, "closed": 6924, "accepted": 13}
    created = [report for report in found if report.status == "created"]
    assert sum(report.place.lon is None for report in created) == 407
    assert len({(report.case, report.status) for report in found}) == len(found)
    assert write_time(created[0].occurred_ms) == "2014-01-01T08:53:10.000Z"  # 03:53:10 in New York, in winter
    summer = next(report for report in created if write_time(report.occurred_ms).startswith("2014-07"))
    assert summer.place.address
    assert all(report.title for report in found)
    assert {report.id for report in taken(path, "baltimore_311.toml")} == {report.id for report in found}


def test_tickets_become_events_and_reports_again(real_data: Path) -> None:
    rules = ParseRules()
    for report in taken(real_data / "events/baltimore_311_dev/baltimore_311_dev.csv", "baltimore_311.toml")[:2000]:
        assert parse_cloudevent(to_cloudevent(report), rules) == report


def test_a_year_of_weather_is_four_series_without_a_gap(real_data: Path) -> None:
    found = taken(real_data / "events/weather_hourly/athens_2023.epw", "epw.toml")
    series = Counter(report.place.sensor for report in found)
    assert len(series) == 4 and set(series.values()) == {8760}
    air = [report for report in found if report.case == "air-temperature"]
    times = np.array([report.occurred_ms for report in air])
    assert (np.diff(times) == 3_600_000).all()
    # the hour that ends at 1:00 of local standard time, UTC+2, to the one that ends the year
    assert (times[0], times[-1]) == (read_time("2022-12-31T23:00Z"), read_time("2023-12-31T22:00Z"))
    assert air[0].value == 7.3 and air[0].unit == "Cel"
    pressure = next(report for report in found if report.case == "pressure")
    assert pressure.value == pytest.approx(1009.75)


def test_positions_of_vehicles_follow_each_other(real_data: Path) -> None:
    found = taken(real_data / "events/athens_vehicles_pneuma/data_sparsify.csv", "vehicles.toml")
    assert len(found) == 23_293
    assert len({report.case for report in found}) == 50
    assert len({report.id for report in found}) == len(found)
    assert {report.status for report in found} == {"observed"}
    assert all(report.place.lon is not None and 23 < report.place.lon < 24 for report in found)
