"""The demo's day is lived once, whole, from the past into the present, and again the next time around."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import data_samples
from data_samples.events import EVENTS
from pipelines.demo_life import BEGIN_H, SPEED, Day, Life, read_day
from pipelines.project import load_project
from pipelines.run import build
from twin.errors import SourceError, TwinError
from twin.live.model import Filter
from twin.live.open import open_events

COMMITTED = Path(data_samples.__file__).parent / "extract"
START = 1_790_000_000_000
ROUND_MS = int((24 - BEGIN_H) * 3_600_000 / SPEED)
DAY = read_day(COMMITTED / EVENTS)


def test_the_start_finds_the_morning_in_the_past_and_the_end_of_the_day_comes_sooner() -> None:
    before = DAY.told(START, None, START)
    after = DAY.told(START, START, START + ROUND_MS)
    assert len(before) > 500 and len(before) + len(after) == len(DAY.reports) + sum(
        one.occurred_ms == DAY.midnight_ms for one in DAY.reports
    )
    assert all(START - BEGIN_H * 3_600_000 <= one.occurred_ms <= START for one in before)
    assert all(START <= one.occurred_ms <= START + ROUND_MS for one in after)


@given(st.lists(st.integers(1, 3 * ROUND_MS), min_size=1, max_size=6, unique=True))
def test_however_often_it_is_asked_every_report_is_told_once(moments: list[int]) -> None:
    ends = sorted(moments)
    told = DAY.told(START, None, START)
    before = START
    for end in ends:
        some = DAY.told(START, before, START + end)
        assert all(one.occurred_ms <= START + end for one in some), "nothing comes out of the future"
        told, before = told + some, START + end
    assert len({(one.source, one.id) for one in told}) == len(told)
    assert told == DAY.told(START, None, START + ends[-1])


def test_cases_are_new_each_time_around_and_streams_go_on() -> None:
    hours = int(24 * 3_600_000 / SPEED)
    one, two = (DAY.told(START, begin, begin + hours) for begin in (START + ROUND_MS, START + ROUND_MS + hours))
    for kind in ("hotline", "work_order"):
        first, second = ({report.case for report in turn if report.kind == kind} for turn in (one, two))
        assert first and second and not first & second
    assert {report.case for report in one if report.kind == "patrol"} == {
        report.case for report in two if report.kind == "patrol"
    }
    assert all(report.due_ms - report.occurred_ms > 0 for report in one if report.due_ms and report.status == "created")


def test_a_file_that_is_no_day_says_so(tmp_path: Path) -> None:
    wrong = tmp_path / "events.ndjson"
    for content in (b"{", b'{"specversion": "1.0"}', b""):
        wrong.write_bytes(content)
        with pytest.raises(SourceError, match="generate the sample again"):
            read_day(wrong)
    with pytest.raises(SourceError):
        read_day(tmp_path / "absent.ndjson")


def test_the_log_holds_the_morning_linked_and_what_time_adds(tmp_path: Path) -> None:
    folder = tmp_path / "extract"
    shutil.copytree(COMMITTED, folder)
    project = load_project(folder)
    build(project)
    told: list[TwinError] = []
    with Life(project, folder / EVENTS, told.append, clock_ms=lambda: START) as life:
        morning = len(DAY.told(START, None, START))
        assert life.written == morning
        life.write(START, START + ROUND_MS // 4)
        written = life.written
    assert written > morning and not told
    store = open_events(folder / "events.sqlite")
    try:
        counts = store.counts()
        assert counts["reports"] == written and counts["refused"] == 0
        state, _ = store.state(Filter(kinds=frozenset({"hotline"})))
        linked = sum(one.link.geid is not None for one in state)
        assert linked >= 0.95 * len(state) > 10
    finally:
        store.close()


def test_the_day_can_be_met_at_any_hour() -> None:
    noon = Day(DAY.reports, DAY.midnight_ms, begin_h=24.0, speed=1.0)
    assert len(noon.told(START, None, START)) >= len(DAY.reports)
