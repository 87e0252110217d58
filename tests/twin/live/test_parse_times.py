"""Moments are read strictly, in the forms sources have, and written the one way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.errors import MisuseError
from twin.live.refusals import Refused
from twin.live.times import LATEST_MS, read_time, write_time, zone_of

SHANGHAI = zone_of("Asia/Shanghai")
MOMENTS = st.integers(0, LATEST_MS - 1)


@given(MOMENTS)
def test_what_is_written_is_read_back(moment: int) -> None:
    assert read_time(write_time(moment)) == moment


@given(MOMENTS, st.integers(-14 * 60, 14 * 60))
def test_the_offset_in_which_a_moment_is_written_does_not_matter(moment: int, minutes: int) -> None:
    zone = timezone(timedelta(minutes=minutes))
    text = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment)).astimezone(zone).isoformat()
    assert read_time(text) == moment


@given(st.text(max_size=40) | st.integers() | st.floats() | st.none() | st.booleans() | st.lists(st.none()))
def test_anything_else_is_refused_and_never_breaks_the_reader(value: object) -> None:
    for formats in ((), ("%Y-%m-%d %H",)):
        try:
            moment = read_time(value, SHANGHAI, formats)
        except Refused as refused:
            assert refused.code in {"bad_time", "wrong_type"}
        else:
            assert 0 <= moment < LATEST_MS


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02T03:04:05+08:00",
        "2026-01-01T19:04:05Z",
        "2026-01-02 03:04:05",
        " 2026-01-02T03:04:05.000 ",
        "2026/1/2 3:04:05",
        "2026.1.2 3:4:5",
        "2026年1月2日 3时4分5秒",
        "2026年1月2日3时04分05秒",
        "20260102030405",
        "1767294245",
        "1767294245000",
        1767294245,
        1767294245000,
        1767294245.0,
        datetime(2026, 1, 2, 3, 4, 5),
        datetime(2026, 1, 1, 19, 4, 5, tzinfo=UTC),
    ],
)
def test_all_the_ways_platforms_write_one_moment_mean_it(text: object) -> None:
    assert write_time(read_time(text, SHANGHAI)) == "2026-01-01T19:04:05.000Z"


def test_the_hour_24_ends_a_day_in_loose_texts_and_in_formats() -> None:
    assert read_time("2026-1-2 24:00", UTC) == read_time("2026-01-03T00:00Z")
    assert read_time("2023 12 31 24", UTC, ["%Y %m %d %H"]) == read_time("2024-01-01T00:00Z")
    with pytest.raises(Refused):
        read_time("2026-1-2 24:01", UTC)


def test_a_format_reads_only_itself() -> None:
    pattern = ["%m/%d/%Y %I:%M:%S %p"]
    assert read_time("01/16/2014 08:48:47 PM", UTC, pattern) == read_time("2014-01-16T20:48:47Z")
    with pytest.raises(Refused, match="none of the formats"):
        read_time("2014-01-16T20:48:47Z", UTC, pattern)


def test_a_zone_with_summer_time_is_followed_and_the_hour_that_occurs_twice_is_the_first() -> None:
    zone = zone_of("America/New_York")
    assert read_time("2014-07-01T12:00", zone) == read_time("2014-07-01T16:00Z")
    assert read_time("2014-01-01T12:00", zone) == read_time("2014-01-01T17:00Z")
    assert read_time("2014-11-02T01:30", zone) == read_time("2014-11-02T05:30Z")


def test_a_time_without_an_offset_is_refused_where_no_zone_is_set() -> None:
    with pytest.raises(Refused, match="no offset") as raised:
        read_time("2026-01-02T03:04:05")
    assert raised.value.code == "bad_time"


@pytest.mark.parametrize(
    "value",
    ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "9999-12-31 24:00", "1969-12-31T23:59:59Z", "", "today"],
)
def test_times_beyond_all_sense_are_refused(value: str) -> None:
    with pytest.raises(Refused):
        read_time(value, SHANGHAI)


@pytest.mark.parametrize(
    ("text", "hours"), [("+08:00", 8), ("-0530", -5.5), ("Z", 0), ("utc", 0), ("Asia/Shanghai", 8)]
)
def test_zones_are_names_or_offsets(text: str, hours: float) -> None:
    assert datetime(2026, 1, 1, tzinfo=zone_of(text)).utcoffset() == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["+25:00", "Mars/Olympus", "", "../etc/passwd", "/etc/localtime"])
def test_what_is_no_zone_is_misuse(text: str) -> None:
    with pytest.raises(MisuseError):
        zone_of(text)
