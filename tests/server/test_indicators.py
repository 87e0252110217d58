"""Indicators over HTTP: numbers follow the events at once, and the events behind a number are those and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from server.live.signs import SignWatch
from tests.server import conftest
from tests.server.conftest import BUILDINGS, ORIGIN, degrees, publish
from tests.server.live_district import BATCH, Sender, event, make_key, running, write_project
from twin.entity import geid
from twin.errors import ProjectError
from twin.live.model import Filter

EAST, WEST = (geid.mint("310105", [f"areas/{name}"])[0] for name in ("east", "west"))
FIRST, TOWER, ANNEX = (one.geid for one in BUILDINGS)
FLOOR = 10.0 * (20 * 20 - 10 * 10)


def with_areas(table: Callable[[str], pa.Table], key: str) -> pa.Table:
    """The buildings of the sample in two subdistricts: the first in the west, the others in the east."""
    rows = table(key).to_pylist()
    for row, parent in zip(rows, (WEST, EAST, EAST), strict=True):
        row.update({"parent": parent, "attr.level": None})
    for name, own, x in (("西街道", WEST, -50.0), ("东街道", EAST, 60.0)):
        lon, lat = degrees(x + 50, 50)
        ring = [[x, -50], [x + 110, -50], [x + 110, 150], [x, 150], [x, -50]]
        shape = [[[[px + ORIGIN[0], py + ORIGIN[1]] for px, py in ring]]]
        rows.append({"geid": own, "layer": "areas", "entity_class": "AdministrativeArea", "name": name, "lon": lon,
                     "lat": lat, "row": -1, "geometry": shape, "attr.level": "subdistrict"})  # fmt: skip
    return pa.Table.from_pylist(rows)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with events on, two subdistricts, and an indicator of its own."""
    plain = conftest.index_table
    monkeypatch.setattr(conftest, "index_table", lambda key: with_areas(plain, key))
    publish(tmp_path / "out")
    (tmp_path / "own.toml").write_text(
        '[indicators.noise]\nterms.loudest = { of = "streams", kinds = ["observation"], take = "max", window = "1 h",'
        ' where = { property = ["noise"] } }\n',
        encoding="utf-8",
    )
    write_project(tmp_path, 'indicators = "own.toml"')
    return tmp_path


@pytest.fixture
def sender(root: Path, serve: Callable[..., Any]) -> Iterator[Sender]:
    _, key = make_key(root, "admin")
    app = serve(root)
    with running(app) as client:
        yield Sender(client, key, app)


def ago(**span: float) -> str:
    return (datetime.now(UTC) - timedelta(**span)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ticket(to: str, case: str, **more: Any) -> dict[str, Any]:
    status = more.pop("status", "created")
    return event(
        type=f"twin.hotline.{status}", time=more.pop("time", ago(hours=1)), case=case, place={"geid": to}, **more
    )


def noise(to: str, level: float, **more: Any) -> dict[str, Any]:
    facts = {"property": "noise", "value": level, "unit": "dB", "case": f"n-{to}"}
    return event(type="twin.observation.observed", time=ago(minutes=1), place={"geid": to}, **facts, **more)


def send(sender: Sender, *events: dict[str, Any]) -> None:
    told = sender.post(list(events), BATCH).json()
    assert told["taken"] == len(events), told


def get(sender: Sender, path: str) -> Any:
    answer = sender.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_before_any_event_every_number_is_unknown(sender: Sender) -> None:
    told = get(sender, "/indicators")
    assert len(told["indicators"]) == 20
    for one in told["indicators"]:
        reading = one["reading"]
        assert (reading["value"], reading["state"], reading["coverage"], reading["reason"]) == (
            None,
            "unknown",
            0,
            "no_data",
        )


def test_numbers_follow_the_events(sender: Sender) -> None:
    send(sender, ticket(FIRST, "1"), ticket(FIRST, "2"), ticket(TOWER, "3"))
    path = f"/indicators/hotline_open_density?area={WEST}"
    assert get(sender, path)["reading"]["value"] == pytest.approx(10_000 * 2 / FLOOR)
    send(sender, ticket(FIRST, "1", status="closed", time=ago(minutes=1)))
    reading = get(sender, path)["reading"]
    assert reading["value"] == pytest.approx(10_000 * 1 / FLOOR)
    assert reading["area_name"] == "西街道"
    assert reading["terms"] == {"open": 1, "floor": FLOOR}


def test_the_ranking_puts_the_area_in_most_need_first_and_the_unknown_last(sender: Sender) -> None:
    send(sender, noise(FIRST, 50.0), noise(TOWER, 71.0))
    told = get(sender, "/indicators/noise/ranking")["ranking"]
    assert [(one["rank"], one["area"], one["value"], one["state"]) for one in told] == [
        (1, EAST, 71.0, "alarm"), (2, WEST, 50.0, "good"),
    ]  # fmt: skip
    crowd = event(type="twin.observation.observed", time=ago(minutes=1), place={"geid": FIRST}, case="c", value=3,
                  property="people_count", capacity=4)  # fmt: skip
    send(sender, crowd)
    told = get(sender, "/indicators/crowd_load/ranking")["ranking"]
    assert [(one["area"], one["value"]) for one in told] == [(WEST, 0.75), (EAST, None)]


def test_the_events_behind_a_number_are_paged_and_are_as_many_as_it_says(sender: Sender) -> None:
    send(sender, *(ticket(FIRST, str(n)) for n in range(5)), ticket(TOWER, "x"))
    path = f"/indicators/hotline_day/events?area={WEST}&limit=2"
    cases, before = [], ""
    while True:
        told = get(sender, path + before)
        assert told["matched"] == 5
        cases += [one["data"]["case"] for one in told["events"]]
        assert all(one["terms"] == ["fresh"] for one in told["events"])
        if told["next_before"] is None:
            break
        before = f"&before={told['next_before']}"
    assert cases == ["4", "3", "2", "1", "0"]
    assert get(sender, f"/indicators/hotline_day?area={WEST}")["reading"]["value"] == 5


def test_a_series_ends_at_the_moment_asked_for_and_agrees_with_the_reading(sender: Sender) -> None:
    send(sender, ticket(FIRST, "1", time=ago(hours=30)), ticket(FIRST, "2", time=ago(hours=2)))
    told = get(sender, "/indicators/hotline_day/series?step=43200&points=4")["points"]
    assert [one["value"] for one in told] == [None, 1.0, 1.0, 1.0]
    for one in told:
        then = get(sender, f"/indicators/hotline_day?datetime={one['datetime']}")
        assert then["reading"]["value"] == one["value"]


def test_what_was_known_then_does_not_change(sender: Sender) -> None:
    before = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    send(sender, ticket(FIRST, "1"))
    told = get(sender, f"/indicators/hotline_day?as-of={before}")["reading"]
    assert (told["value"], told["reason"]) == (None, "no_data")
    assert get(sender, f"/indicators/hotline_day?datetime={before}")["reading"]["value"] == 1


def test_a_moment_before_the_reach_is_answered_from_the_log(sender: Sender) -> None:
    send(sender, ticket(FIRST, "1", time=ago(days=80)), ticket(FIRST, "1", status="closed", time=ago(days=79)))
    send(sender, noise(FIRST, 66.0) | {"time": ago(days=50)})
    watch = watch_of(sender)
    now = int(datetime.now(UTC).timestamp() * 1000)
    watch.forget(now)
    assert watch.at("hotline_day", now - 1000, now - 1000, now) is watch.current()
    early = now - 50 * 86_400_000
    assert watch.at("hotline_day", early, early, now) is not watch.current()
    assert get(sender, f"/indicators/hotline_day?datetime={ago(days=79.5)}")["reading"]["value"] == 1
    assert get(sender, f"/indicators/noise?datetime={ago(days=50)}")["reading"]["value"] == 66.0


def watch_of(sender: Sender) -> SignWatch:
    (found,) = [one for one in sender.app.live.feeds if isinstance(one, SignWatch)]  # type: ignore[union-attr]
    return found


def test_a_crossing_becomes_an_alarm_among_the_events_and_is_closed_when_it_is_over(sender: Sender) -> None:
    watch = watch_of(sender)

    def tick() -> int:
        now = int(datetime.now(UTC).timestamp() * 1000) + 1
        return int(sender.client.portal.call(watch.tell, now))

    assert tick() == 0
    send(sender, noise(TOWER, 75.0))
    assert tick() == 1
    assert tick() == 0
    wanted = Filter(kinds=frozenset({"alarm"}), open=True)
    (alarm,), _ = sender.app.live.store.state(wanted)  # type: ignore[union-attr]
    assert (alarm.link.geid, alarm.report.severity, alarm.report.value) == (EAST, "high", 75.0)
    assert alarm.report.data["indicator"] == "noise"
    assert watch._standing is not None
    watch._standing = None  # as after a start
    assert tick() == 0
    send(sender, noise(TOWER, 40.0))
    assert tick() == 1
    assert sender.app.live.store.state(wanted)[0] == []  # type: ignore[union-attr]


def test_a_key_for_some_kinds_and_areas_sees_their_indicators_alone(sender: Sender, root: Path) -> None:
    _, few = make_key(root, "read", kinds=("hotline",))
    told = get(sender.with_key(few), "/indicators")["indicators"]
    assert {one["id"] for one in told} == {one["id"] for one in told if one["id"].startswith("hotline")} != set()
    assert sender.with_key(few).get("/indicators/noise").status_code == 404
    _, west = make_key(root, "read", areas=(WEST,))
    mine = sender.with_key(west)
    assert mine.get("/indicators").status_code == 403
    assert mine.get(f"/indicators/noise?area={EAST}").status_code == 403
    assert get(mine, f"/indicators/noise?area={WEST}")["reading"]["area"] == WEST
    assert [one["area"] for one in get(mine, "/indicators/noise/ranking")["ranking"]] == [WEST]
    assert sender.with_key(None).get("/indicators").status_code == 401


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/indicators/nothing", 404),
        (f"/indicators/noise?area={FIRST}", 404),
        ("/indicators/noise?area=x", 404),
        ("/indicators/noise?as-of=yesterday", 400),
        ("/indicators/noise?datetime=2999-01-01", 400),
        ("/indicators/noise/ranking?level=block", 400),
        ("/indicators/noise/series?points=0", 400),
        ("/indicators/noise/series?step=1", 400),
        ("/indicators/noise?colour=red", 400),
    ],
)
def test_what_cannot_be_answered_is_refused(sender: Sender, path: str, status: int) -> None:
    answer = sender.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_server_without_events_has_no_indicators(district: Any, serve: Callable[..., Any]) -> None:
    with running(serve(district.out)) as client:
        assert client.request("GET", "/indicators").status_code == 404


def test_a_wrong_definition_stops_the_start(root: Path, serve: Callable[..., Any]) -> None:
    (root / "own.toml").write_text("[indicators.noise]\nbetter = 'louder'\n", encoding="utf-8")
    with pytest.raises(ProjectError, match="louder"):
        serve(root)


def test_another_release_moves_the_reports_onto_its_ground(
    sender: Sender, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(sender, ticket(TOWER, "1"))
    assert get(sender, f"/indicators/hotline_day?area={WEST}")["reading"]["value"] == 0
    areas = conftest.index_table

    def moved(key: str) -> pa.Table:
        rows = areas(key).to_pylist()
        for row in rows:
            row["parent"] = WEST if row["layer"] == "buildings" else None
        return pa.Table.from_pylist(rows)

    monkeypatch.setattr(conftest, "index_table", moved)
    publish(root / "out", mark="2")
    assert sender.client.portal.call(sender.app.reload)
    assert get(sender, f"/indicators/hotline_day?area={WEST}")["reading"]["value"] == 1
