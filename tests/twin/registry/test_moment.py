"""A moment is read as it was written, wherever it is written; what could mean several is refused."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.errors import MisuseError
from twin.registry.moment import parse_moment

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: datetime.timezone(datetime.timedelta(minutes=minutes)))


@given(st.datetimes(datetime.datetime(1900, 1, 2), datetime.datetime(2200, 1, 1)), ZONES)
def test_a_moment_is_read_as_written_whatever_its_offset(local: datetime.datetime, zone: datetime.timezone) -> None:
    time = local.replace(tzinfo=zone)
    written = time.isoformat()
    for text in (written, written.replace("+", " "), written.replace("T", " "), written.lower(), f" {written} "):
        assert parse_moment(text) == time
        assert parse_moment(text).utcoffset() == datetime.timedelta()


@given(st.dates())
def test_a_date_is_its_beginning_in_utc(date: datetime.date) -> None:
    assert parse_moment(date.isoformat()) == datetime.datetime.combine(date, datetime.time(), datetime.UTC)


@given(st.datetimes())
def test_a_time_without_its_offset_is_refused_and_the_message_says_what_to_add(local: datetime.datetime) -> None:
    with pytest.raises(MisuseError, match="zone") as error:
        parse_moment(local.isoformat())
    assert "offset" in str(error.value) + str(error.value.next_step)


@pytest.mark.parametrize(
    "text",
    ["today", "", "2026-02-30", "20260501", "2026-W18-5", "2026-05-01T25:00:00Z", "2026-05-01Z", "2026-05",
     "2026-05-01T08:00:00+24:00", "0001-01-01T00:00:00+08:00", "9999-12-31T23:59:59-23:00", "２０２６-05-01"],
)  # fmt: skip
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(MisuseError, match="no time"):
        parse_moment(text)
