"""A running state gives the numbers of a fresh one: pieces, lateness and forgetting make no difference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.twin.live.signs.district import DAY, HOUR, MINUTE, T0, WEST, A, B, C, D, ground, report, to_xy
from twin.entity.index import EntityIndex
from twin.live.model import SEVERITIES, Link, Place, Stored
from twin.live.signs.ground import Ground
from twin.live.signs.reading import read_indicators
from twin.live.signs.signs import Signs

SMALL = """
reach = "2 h"
stream_reach = "85 min"
starter = false
[indicators.open]
zh = "开"
en = "open"
dimension = "things"
formula = "open + 1000 * late"
feed = "2 h"
terms.open = { of = "cases", kinds = ["work_order"], state = "open" }
terms.late = { of = "cases", kinds = ["work_order"], state = "overdue" }
warn = { enter = 2, leave = 1 }
[indicators.kitchen]
zh = "类"
en = "sort"
dimension = "things"
formula = "kitchen + 100 * known + 10000 * grave"
feed = "2 h"
terms.kitchen = { of = "cases", kinds = ["work_order"], where = { sort = ["kitchen"] }, take = "distinct" }
terms.known = { of = "cases", kinds = ["work_order"], layers = ["buildings"], take = "repeats" }
terms.grave = { of = "cases", kinds = ["work_order"], severities = ["high", "critical"] }
[indicators.hours]
zh = "时"
en = "hours"
dimension = "people"
formula = "close + 100 * sent"
feed = "2 h"
[indicators.hours.terms.close]
of = "cases"
kinds = ["work_order"]
take = "mean"
column = "hours_to_close"
when = "closed"
window = "3 h"
[indicators.hours.terms.sent]
of = "cases"
kinds = ["work_order"]
take = "p90"
column = "hours_to_dispatch"
when = "opened"
window = "3 h"
[indicators.level]
zh = "位"
en = "level"
dimension = "state"
formula = "level + 100 * silent / known"
feed = "2 h"
baseline = { step = "10 min", points = 8 }
terms.silent = { of = "streams", kinds = ["observation"], take = "silent", window = "30 min" }
terms.known = { of = "streams", kinds = ["observation"], take = "known", window = "30 min" }
[indicators.level.terms.level]
of = "streams"
kinds = ["observation"]
take = "max"
per_stream = "mean"
limit = "full"
window = "30 min"
where = { property = ["water"] }
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return ground(tmp_path_factory.mktemp("running"))


@pytest.fixture(scope="module")
def without_c(place: Ground, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """The district after building c is gone."""
    path = tmp_path_factory.mktemp("second") / "entities.arrow"
    EntityIndex.write(path, place.index.table.filter(pc.not_equal(place.index.table["geid"], C)))
    return Ground.of(EntityIndex.open(path, to_xy), to_xy, "second")


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> Any:
    file = tmp_path_factory.mktemp("definitions") / "indicators.toml"
    file.write_text(SMALL, encoding="utf-8")
    return read_indicators(file)


@st.composite
def logs(draw: st.DrawFn) -> list[Stored]:
    """Two days of work orders and readings: late, out of order, closed and opened again, moved, with due times."""
    rows = []
    recorded = T0
    for number in range(1, draw(st.integers(8, 60)) + 1):
        recorded += draw(st.sampled_from([0, 1, 5 * MINUTE, 40 * MINUTE, 3 * HOUR, 9 * HOUR]))
        late = draw(st.sampled_from([-4 * MINUTE, 0, 0, 10 * MINUTE, 5 * HOUR, 14 * HOUR]))
        geid = draw(st.sampled_from([None, None, A, B, C, D]))
        lon = draw(st.sampled_from([None, -0.0045, 0.0052]))
        common = {"occurred_ms": recorded - late, "place": Place(sensor=None)}
        if draw(st.booleans()):
            case = draw(st.sampled_from("pqrs"))
            status = draw(st.sampled_from(["created", "dispatched", "handled", "closed", "closed", "reopened"]))
            due = draw(st.sampled_from([None, recorded + 2 * HOUR, recorded - HOUR]))
            data = draw(st.sampled_from([{}, {"sort": "kitchen"}, {"sort": "bath"}, {"sort": 7}]))
            severity = draw(st.sampled_from(SEVERITIES))
            made = report(
                number, kind="work_order", case=case, status=status, due_ms=due, severity=severity, data=data, **common
            )
        else:
            data = {
                "property": draw(st.sampled_from(["water", "air"])),
                "full": draw(st.sampled_from([2.0, 4, 0, None])),
            }
            value = draw(st.sampled_from([None, 0.0, 1.0, 3.5]))
            status = draw(st.sampled_from(["observed", "observed", "observed", "closed"]))
            case = draw(st.sampled_from("uvw"))
            made = report(number, kind="observation", case=case, status=status, value=value, data=data, **common)
        rows.append(Stored(number, recorded, made, Link(geid, lon=lon, lat=None if lon is None else 0.0001)))
    return rows


def same(left: Signs, right: Signs, moment: int, as_of: int) -> None:
    for name in left.definitions.by_id:
        for level in ("all", "subdistrict"):
            mine, other = (one.reading(name, level, moment, as_of) for one in (left, right))
            np.testing.assert_array_equal(mine.value, other.value, err_msg=f"{name} {level}")
            np.testing.assert_array_equal(mine.coverage, other.coverage)
            for term in mine.terms:
                np.testing.assert_array_equal(mine.terms[term], other.terms[term], err_msg=f"{name} {term}")
            for group in range(len(mine.groups)):
                np.testing.assert_array_equal(
                    left.behind(name, level, group, moment, as_of).offsets,
                    right.behind(name, level, group, moment, as_of).offsets,
                )


@settings(max_examples=60, deadline=None)
@given(data=st.data(), rows=logs())
def test_pieces_and_forgetting_change_no_number_at_any_moment_that_is_still_reached(
    data: st.DataObject, rows: list[Stored], place: Ground, definitions: Any
) -> None:
    running = Signs(definitions, place)
    at, now = 0, rows[0].recorded_ms
    while at < len(rows):
        step = data.draw(st.integers(1, 20))
        running.take(rows[max(at - 2, 0) : at + step])  # what came already is told again
        at += step
        now = rows[min(at, len(rows)) - 1].recorded_ms
        if data.draw(st.booleans()):
            running.forget(now)
    fresh = Signs(definitions, place)
    fresh.take(rows)
    start = max(running.exact_from(name) for name in definitions.by_id)
    start = max(start, now - 2 * HOUR)
    moment = data.draw(st.integers(start, now + HOUR))
    as_of = data.draw(st.integers(start, now + HOUR))
    same(running, fresh, moment, as_of)
    np.testing.assert_array_equal(running.states("open", "subdistrict", now), fresh.states("open", "subdistrict", now))
    for mine, other in zip(running.unusual("level", "all", now), fresh.unusual("level", "all", now), strict=True):  # type: ignore[arg-type]
        np.testing.assert_array_equal(mine, other)


@settings(max_examples=40, deadline=None)
@given(rows=logs(), cut=st.integers(0, 60))
def test_what_is_recorded_later_changes_nothing_about_what_was_known(
    rows: list[Stored], cut: int, place: Ground, definitions: Any
) -> None:
    part, whole = Signs(definitions, place), Signs(definitions, place)
    known = rows[: max(1, min(cut, len(rows)))]
    as_of = known[-1].recorded_ms
    known = [one for one in rows if one.recorded_ms <= as_of]
    part.take(known)
    whole.take(rows)
    same(part, whole, as_of, as_of)
    same(part, whole, as_of - HOUR, as_of)


@settings(max_examples=40, deadline=None)
@given(rows=logs())
def test_other_ground_gives_what_a_start_on_it_gives(
    rows: list[Stored], place: Ground, definitions: Any, without_c: Ground
) -> None:
    moved, fresh = Signs(definitions, place), Signs(definitions, without_c)
    moved.take(rows)
    moved.relocate(fresh.ground)
    fresh.take(rows)
    same(moved, fresh, rows[-1].recorded_ms, rows[-1].recorded_ms)


def test_forgetting_gives_up_what_is_old_and_keeps_what_open_cases_rest_on(place: Ground, definitions: Any) -> None:
    running = Signs(definitions, place)
    rows = [
        Stored(n, T0 + n * MINUTE, report(n, kind="observation", status="observed", case="u", value=1.0,
               occurred_ms=T0 + n * MINUTE, data={"property": "water"}), Link(A))
        for n in range(1, 1001)
    ]  # fmt: skip
    rows.append(Stored(1001, T0 + 1001 * MINUTE, report(1001, kind="work_order", case="p", occurred_ms=T0), Link(A)))
    later = T0 + 30 * DAY
    rows.append(Stored(1002, later - HOUR, report(1002, kind="work_order", case="q", occurred_ms=later - HOUR), Link()))
    running.take(rows)
    assert running.forget(later) == 1000
    assert len(running) == 2
    assert running.exact_from("open") == later - 2 * HOUR
    assert running.exact_from("level") == later - 85 * MINUTE
    assert running.reading("open", "all", later).terms["open"].tolist() == [2.0]
    assert running.reading("open", "subdistrict", later).terms["open"].tolist() == [1.0 * (one == WEST) for one in
        running.groups("subdistrict").geids]  # fmt: skip


def test_each_fact_of_a_case_outlives_the_report_that_stated_it(place: Ground, definitions: Any) -> None:
    """A case opened, sent out, tied, placed and described by a report each, long before it is closed."""
    facts: list[tuple[dict[str, Any], Link]] = [
        ({}, Link()),
        ({"status": "dispatched"}, Link()),
        ({"due_ms": T0 + 20 * HOUR}, Link()),
        ({}, Link(A)),
        ({}, Link(lon=0.0052, lat=0.0001)),
        ({"data": {"sort": "kitchen"}}, Link()),
        *[({"status": "handled"}, Link())] * 4,
    ]
    old = [
        Stored(n, T0 + n * HOUR, report(n, kind="work_order", case="p", occurred_ms=T0 + n * HOUR, **own), link)
        for n, (own, link) in enumerate(facts, 1)
    ]
    later = T0 + 40 * HOUR
    end = report(11, kind="work_order", case="p", status="closed", severity="high", occurred_ms=later)
    running, fresh = Signs(definitions, place), Signs(definitions, place)
    running.take(old)
    assert running.forget(later) == 3
    for signs, rows in ((running, []), (fresh, old)):
        signs.take([*rows, Stored(11, later, end, Link())])
    same(running, fresh, later, later)
    assert running.reading("hours", "all", later).terms["close"].tolist() == [39.0]
    west = running.groups("subdistrict").geids.index(WEST)
    assert running.reading("kitchen", "subdistrict", later).terms["kitchen"][west] == 1.0
