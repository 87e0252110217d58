"""Numbers worked out by hand: floors, areas, cases, streams, coverage, hysteresis, what is unusual, alarms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.twin.live.signs.district import (
    DAY,
    DISTRICT,
    EAST,
    FLOOR,
    HOUR,
    MINUTE,
    T0,
    WEST,
    A,
    B,
    C,
    D,
    Log,
    ground,
    reading,
    report,
)
from twin.errors import MisuseError, ProjectError
from twin.live.sensors import Datastream, Sensor
from twin.live.signs.alarms import Key, Standing, crossings, standing
from twin.live.signs.formula import parse_formula
from twin.live.signs.ground import Ground
from twin.live.signs.reading import read_indicators, starter
from twin.live.signs.signs import Signs
from twin.live.signs.states import STATES, states
from twin.live.signs.statistics import by_group, robust_z

NOW = T0 + 10 * DAY


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return ground(tmp_path_factory.mktemp("numbers"))


@pytest.fixture
def log() -> Log:
    return Log()


def over(log: Log, place: Ground, **more: Any) -> Signs:
    signs = Signs(starter(), place, **more)
    signs.take(log.stored)
    return signs


def value(signs: Signs, name: str, area: str | None = None, at: int = NOW, as_of: int | None = None) -> float:
    level = "all" if area is None else "district" if area == DISTRICT else "subdistrict"
    found = signs.reading(name, level, at, as_of)
    return float(found.value[found.groups.geids.index(area)])


def test_floors_are_footprints_times_storeys_and_parts_count_once(place: Ground) -> None:
    found = Signs(starter(), place).reading("hotline_open_density", "subdistrict", NOW)
    by_area = dict(zip(found.groups.geids, found.terms["floor"].tolist(), strict=True))
    assert by_area == pytest.approx(FLOOR)
    whole = Signs(starter(), place).reading("hotline_open_density", "all", NOW)
    assert whole.terms["floor"][0] == pytest.approx(sum(FLOOR.values()))


def test_a_building_of_unknown_storeys_lowers_the_coverage_by_its_footprint(place: Ground, log: Log) -> None:
    log.add(report(1, occurred_ms=NOW - HOUR), A)
    found = over(log, place).reading("hotline_open_density", "subdistrict", NOW)
    by_area = dict(zip(found.groups.geids, found.coverage.tolist(), strict=True))
    assert by_area == pytest.approx({WEST: 10_000 / 15_000, EAST: 1.0})


def test_open_tickets_count_where_their_building_stands(place: Ground, log: Log) -> None:
    for number, where in enumerate((A, A, B, D), 1):
        log.add(report(number, occurred_ms=NOW - HOUR), where)
    log.add(report(9, case="r1", status="closed", occurred_ms=NOW - MINUTE))
    signs = over(log, place)
    assert value(signs, "hotline_open_density", WEST) == pytest.approx(10_000 * 2 / FLOOR[WEST])
    assert value(signs, "hotline_open_density", EAST) == pytest.approx(10_000 * 1 / FLOOR[EAST])
    assert value(signs, "hotline_open_density", DISTRICT) == pytest.approx(10_000 * 3 / sum(FLOOR.values()))
    assert value(signs, "hotline_close_hours", WEST) == pytest.approx(59 / 60)


def test_a_ticket_with_a_position_alone_lies_in_the_area_around_it(place: Ground, log: Log) -> None:
    log.add(report(1, occurred_ms=NOW - HOUR), None, (-0.004, 0.005))
    log.add(report(2, occurred_ms=NOW - HOUR), None, (0.5, 0.5))
    signs = over(log, place)
    assert (value(signs, "hotline_day", WEST), value(signs, "hotline_day", EAST)) == (1.0, 0.0)
    assert value(signs, "hotline_day") == 2.0
    assert signs.reading("hotline_day", "subdistrict", NOW).coverage.tolist() == [0.5, 0.5]
    assert signs.reading("hotline_day", "all", NOW).coverage.tolist() == [1.0]


def test_nothing_heard_of_is_unknown_and_nothing_open_is_zero(place: Ground, log: Log) -> None:
    signs = over(log, place)
    for name in signs.definitions.by_id:
        assert np.isnan(value(signs, name)), name
        assert STATES[int(signs.states(name, "all", NOW)[0])] == "unknown", name
    log.add(report(1, occurred_ms=NOW - 2 * DAY), A)
    log.add(report(2, case="r1", status="closed", occurred_ms=NOW - 2 * DAY), A)
    assert value(over(log, place), "hotline_open_density", WEST) == 0.0
    assert np.isnan(value(over(log, place), "hotline_open_density", WEST, NOW + 8 * DAY))


def test_a_share_of_nothing_is_no_number_although_it_is_covered(place: Ground, log: Log) -> None:
    log.add(report(1, kind="work_order", status="closed", occurred_ms=NOW - HOUR), A)
    found = over(log, place).reading("orders_overdue_share", "subdistrict", NOW)
    assert np.isnan(found.value).all()
    assert found.coverage.tolist() == [1.0, 1.0]


def test_overdue_is_what_is_open_past_its_last_due_time(place: Ground, log: Log) -> None:
    for number in range(1, 5):
        log.add(report(number, kind="work_order", due_ms=NOW - HOUR, occurred_ms=NOW - DAY), A)
    log.add(report(5, kind="work_order", case="r1", due_ms=NOW + HOUR, occurred_ms=NOW - 2 * HOUR), A)
    log.add(report(6, kind="work_order", case="r2", status="dispatched", occurred_ms=NOW - 2 * HOUR), A)
    log.add(report(7, kind="work_order", case="r3", status="closed", occurred_ms=NOW - 2 * HOUR), A)
    signs = over(log, place)
    assert value(signs, "orders_overdue_share", WEST) == pytest.approx(2 / 3)
    assert value(signs, "dispatch_minutes", WEST) == pytest.approx(22 * 60)
    assert value(signs, "things_damaged", WEST) == 1.0


def test_repeats_are_tickets_after_the_first_about_the_same_thing(place: Ground, log: Log) -> None:
    for number, where in enumerate((A, A, A, B, None), 1):
        log.add(report(number, occurred_ms=NOW - number * DAY), where)
    assert value(over(log, place), "hotline_repeat_share", WEST) == pytest.approx(2 / 4)


def test_a_sensor_counts_by_its_last_reading_against_its_own_limit(place: Ground, log: Log) -> None:
    log.add(reading(1, "w1", "water_level", 4.0, NOW - 50 * MINUTE, warning=4.0), A)
    log.add(reading(2, "w1", "water_level", 3.0, NOW - 10 * MINUTE, warning=4.0), A)
    log.add(reading(3, "w2", "water_level", 1.0, NOW - 5 * MINUTE, warning=2.0), C)
    log.add(reading(4, "w3", "water_level", 9.0, NOW - 5 * HOUR, warning=1.0), C)
    signs = over(log, place)
    assert value(signs, "water_level", WEST) == 0.75
    assert value(signs, "water_level", EAST) == 0.5
    assert signs.reading("water_level", "subdistrict", NOW).coverage.tolist() == pytest.approx(
        [{WEST: 1.0, EAST: 0.5}[str(one)] for one in signs.groups("subdistrict").geids]
    )
    assert value(signs, "sensors_silent") == pytest.approx(1 / 3)


def test_what_a_reading_measures_may_stand_in_the_table_of_sensors(place: Ground, log: Log) -> None:
    made = reading(1, "w1", "water_level", 3.0, NOW - MINUTE, warning=4.0)
    log.add(report(1, case="w1", kind="observation", status="observed", occurred_ms=NOW - MINUTE, value=3.0,
                   place=made.place, data={"warning": 4.0}), A)  # fmt: skip
    table = {"w1": Sensor("w1", datastreams=(Datastream("level", "water_level"),))}
    assert np.isnan(value(over(log, place), "water_level"))
    assert value(over(log, place, sensors=table), "water_level") == 0.75


def test_patrols_off_duty_do_not_count(place: Ground, log: Log) -> None:
    for number, status in enumerate(("observed", "observed", "closed"), 1):
        log.add(report(number, case=f"p{min(number, 2)}", kind="patrol", status=status,
                       occurred_ms=NOW - (10 - number) * MINUTE), None, (-0.004, 0.0))  # fmt: skip
    assert value(over(log, place), "patrols_per_km2", WEST) == pytest.approx(1 / 2.0)


def test_a_late_report_changes_what_was_so_and_not_what_was_known(place: Ground, log: Log) -> None:
    log.add(report(1, occurred_ms=NOW - 3 * DAY), A)
    log.add(report(2, occurred_ms=NOW - 3 * DAY), A, late=2 * DAY)
    signs = over(log, place)
    then = NOW - 2 * DAY
    assert signs.reading("hotline_open_density", "all", then, then).terms["open"][0] == 1.0
    assert signs.reading("hotline_open_density", "all", then, NOW).terms["open"][0] == 2.0


def test_the_events_behind_a_number_are_those_and_no_others(place: Ground, log: Log) -> None:
    for number, where in enumerate((A, B, C, D, None), 1):
        log.add(report(number, occurred_ms=NOW - HOUR), where)
    log.add(report(6, case="r2", status="dispatched", occurred_ms=NOW - MINUTE))
    log.add(report(7, case="r1", status="closed", occurred_ms=NOW - MINUTE))
    signs = over(log, place)
    groups = signs.groups("subdistrict").geids
    behind = {area: signs.behind("hotline_open_density", "subdistrict", g, NOW) for g, area in enumerate(groups)}
    assert {area: one.offsets.tolist() for area, one in behind.items()} == {WEST: [6], EAST: [3, 4]}
    for group, area in enumerate(groups):
        counted = signs.reading("hotline_open_density", "subdistrict", NOW).terms["open"][group]
        assert counted == len(behind[area].of_term["open"])
    assert signs.behind("hotline_open_density", "all", 0, NOW).offsets.tolist() == [3, 4, 5, 6]


def test_alarms_of_indicators_are_not_counted(place: Ground, log: Log) -> None:
    log.add(report(1, kind="alarm", severity="high", occurred_ms=NOW - HOUR), A)
    log.add(report(2, kind="alarm", severity="high", occurred_ms=NOW - HOUR, source="urn:twin:indicators"), A)
    assert value(over(log, place), "incidents_open") == 1.0


# -- states and alarms --
def test_a_state_begins_at_enter_and_ends_at_leave() -> None:
    one = starter().by_id["crowd_load"]  # warn 0.8 to 0.7, alarm 1.0 to 0.9
    steps = [0.75, 0.8, 0.71, 1.0, 0.91, 0.9, 0.7, np.nan, 0.79]
    told = [STATES[int(states(one, np.array(steps[:end])[:, None])[0])] for end in range(1, len(steps) + 1)]
    assert told == ["good", "warn", "warn", "alarm", "alarm", "warn", "good", "unknown", "good"]


def test_where_more_is_better_the_state_begins_below() -> None:
    one = starter().by_id["traffic_speed"]  # warn 20 to 24, alarm 12 to 15
    steps = [25.0, 20.0, 23.9, 12.0, 14.9, 15.1, 24.0]
    told = [STATES[int(states(one, np.array(steps[:end])[:, None])[0])] for end in range(1, len(steps) + 1)]
    assert told == ["good", "warn", "warn", "alarm", "alarm", "warn", "good"]


def test_a_crossing_is_reported_once_and_closed_when_it_is_over(place: Ground, log: Log) -> None:
    start = NOW // MINUTE * MINUTE
    levels = (0.5, 0.92, 0.93, 1.2, 0.6, 0.6)
    for step, level in enumerate(levels):
        log.add(reading(step, "w1", "water_level", level, start + step * MINUTE - 1, warning=1.0), A)
    signs = over(log, place)
    told: list[tuple[int, str, str, str | None]] = []
    known: dict[Key, Standing] = {}
    for step in range(len(levels)):
        reports, known = crossings(signs, start + step * MINUTE, known)
        again, _ = crossings(signs, start + step * MINUTE, known)
        assert not again
        told += [(step, one.status, one.severity, link.geid) for one, link in reports if "water_level" in one.case]
        for one, link in reports:
            log.add(one, link.geid)
    assert told == [(1, "created", "medium", WEST), (3, "created", "high", WEST), (4, "closed", "info", WEST)]
    mine = [one for one in log.stored if one.report.source == "urn:twin:indicators"]
    assert len({one.report.case for one in mine if one.report.data["indicator"] == "water_level"}) == 1
    assert standing(mine) == known
    assert len({one.report.id for one in mine}) == len(mine)


def test_a_value_far_from_its_own_past_is_unusual_and_one_that_never_changed_is_not_judged() -> None:
    before = np.array([[10.0, 5.0, np.nan], *[[10.0 + one, 5.0, 1.0] for one in (1, -1, 2, -2, 1, -1, 0, 0)]])
    z = robust_z(np.array([30.0, 6.0, 2.0]), before)
    assert z[0] == pytest.approx(20 / 1.482602)
    assert np.isnan(z[1])
    assert np.isnan(z[2])
    assert np.isnan(robust_z(np.array([30.0]), before[:7, :1])).all()


@given(
    rows=st.lists(st.tuples(st.integers(-1, 3), st.floats(-1e6, 1e6)), max_size=40),
    take=st.sampled_from(["sum", "mean", "median", "p90", "min", "max"]),
)
def test_statistics_by_group_are_those_of_each_group(rows: list[tuple[int, float]], take: str) -> None:
    group = np.array([one for one, _ in rows], dtype=np.int64)
    values = np.array([one for _, one in rows], dtype=np.float64)
    plain: Any = {"sum": np.sum, "mean": np.mean, "median": np.median, "min": np.min, "max": np.max,
             "p90": lambda one: np.quantile(one, 0.9)}[take]  # fmt: skip
    found = by_group(take, group, values, 4)
    for number in range(4):
        mine = values[group == number]
        wanted = plain(mine) if len(mine) or take == "sum" else np.nan
        np.testing.assert_allclose(found[number], wanted, rtol=1e-9, atol=1e-6)


# -- definitions --
def test_the_starter_set_has_twenty_in_four_dimensions_and_two_languages() -> None:
    found = list(starter().by_id.values())
    assert len(found) == 20
    assert {one.dimension: sum(o.dimension == one.dimension for o in found) for one in found} == {
        "people": 5, "things": 5, "movement": 5, "state": 5,
    }  # fmt: skip
    assert all(one.zh and one.en and one.unit and one.source for one in found)


def test_a_file_is_laid_over_the_starter_set_key_by_key(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(
        "[indicators]\nnoise = false\n[indicators.pm25]\nalarm = { enter = 115, leave = 105 }\n", encoding="utf-8"
    )
    found = read_indicators(file).by_id
    assert "noise" not in found
    assert len(found) == 19
    before, after = starter().by_id["pm25"], found["pm25"]
    assert (after.alarm.enter, after.alarm.leave) == (115, 105)  # type: ignore[union-attr]
    assert (after.warn, after.terms, after.zh) == (before.warn, before.terms, before.zh)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1", "no key 'x'"),
        ('dimension = "weather"', "cannot be 'weather'"),
        ('formula = "n + m"', "do not name the same: m"),
        ('formula = "n.real"', "no arithmetic"),
        ('terms.n = { of = "cases" }', "no kinds"),
        ('terms.n = { of = "streams", kinds = ["observation"] }', "no window"),
        ('terms.n = { of = "cases", kinds = ["a"], when = "opened" }', "belong together"),
        ('terms.n = { of = "cases", kinds = ["a"], over = 1 }', "`over` means nothing of cases"),
        ('terms.n = { of = "cases", kinds = ["observation"] }', "both of cases and of streams"),
        ('terms.n = { of = "cases", kinds = ["a"], severities = ["awful"] }', "no severity 'awful'"),
        ('every = "5 weeks"', "no span of time"),
        ("warn = { enter = 1, leave = 2 }", "beyond `enter`"),
        ('baseline = { step = "1 d", points = 400 }', "further back"),
    ],
)
def test_a_mistake_in_a_definition_is_told_with_its_place(text: str, told: str, tmp_path: Path) -> None:
    good = {
        "zh": '"甲"', "en": '"n"', "dimension": '"people"', "formula": '"n"',
        "terms.n": '{ of = "cases", kinds = ["hotline"] }',
    }  # fmt: skip
    key, _, own = text.partition(" = ")
    lines = "\n".join(f"{name} = {stated}" for name, stated in {**good, key: own}.items())
    file = tmp_path / "own.toml"
    file.write_text(f"[indicators.own]\n{lines}\n", encoding="utf-8")
    with pytest.raises(ProjectError) as caught:
        read_indicators(file)
    assert told in str(caught.value)
    assert "own.toml" in str(caught.value)
    assert "indicators.own" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["__import__('os')", "a[0]", "a.b", "a ** 9", "'a'", "a if b else c", "min(*a)", "1e", "(" * 999]
)
def test_a_formula_is_arithmetic_and_nothing_else(text: str) -> None:
    with pytest.raises(MisuseError):
        parse_formula(text)


@given(a=st.floats(-1e3, 1e3), b=st.floats(-1e3, 1e3))
def test_a_formula_gives_what_python_gives_and_nan_where_that_fails(a: float, b: float) -> None:
    found = parse_formula("-a + 2 * max(a, b) / (b - 1)")({"a": np.array([a]), "b": np.array([b])})[0]
    if b == 1:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(-a + 2 * max(a, b) / (b - 1))
