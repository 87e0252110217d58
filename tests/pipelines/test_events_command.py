"""`twin key` and `twin events`: keys are shown once, a day is played as it happened, what is refused is told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.cli import run
from pipelines.project import load_project
from pipelines.project_live import events_location
from pipelines.replay import SendError, Sent, Server, play
from tests.pipelines.district import District, district
from twin.errors import MisuseError
from twin.live.keys import check_key
from twin.live.model import Report
from twin.live.open import open_events, open_keys
from twin.live.refusals import Refused

MAPPING = """
source = "urn:test:12345"
kind = "hotline"
zone = "+08:00"
[fields]
case = "工单号"
title = "内容"
occurred = "时间"
status = "状态"
lon = "lon"
lat = "lat"
[statuses]
"受理" = "accepted"
"办结" = "closed"
"""
ROWS = """工单号,内容,时间,状态,lon,lat
T1,路灯不亮,2026-03-01 08:00:00,受理,121.4,31.2
T2,井盖松动,2026-03-01 08:10:00,受理,121.4,31.2
T1,路灯不亮,2026-03-01 09:00:00,办结,121.4,31.2
T3,无时间,昨天,受理,121.4,31.2
"""


@pytest.fixture
def made(tmp_path: Path) -> District:
    one = district(tmp_path / "district", 30).write()
    one.build()
    (one.root / "m.toml").write_text(MAPPING, encoding="utf-8")
    (one.root / "day.csv").write_bytes(ROWS.encode("gb18030"))
    return one


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    capsys.readouterr()
    assert run([*arguments, "--json"]) == code, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def replay(made: District, capsys: pytest.CaptureFixture[str], *more: str) -> Any:
    here = ["-C", str(made.root)]
    mapping = ["--mapping", str(made.root / "m.toml")]
    return told(capsys, "events", "replay", str(made.root / "day.csv"), *mapping, *here, *more, code=3)


def test_an_export_in_gbk_is_played_into_the_store_once(made: District, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = replay(made, capsys), replay(made, capsys)
    assert (first["taken"], first["known"], first["refused"]) == (3, 0, 1)
    assert (second["taken"], second["known"], second["refused"]) == (0, 3, 1)
    assert first["reasons"][0].startswith("bad_time:")
    listed = told(capsys, "events", "list", "-C", str(made.root))
    assert [one["data"]["case"] for one in listed] == ["T1", "T2", "T1"]
    still_open = told(capsys, "events", "list", "--open", "-C", str(made.root))
    assert [one["data"]["case"] for one in still_open] == ["T2"]
    with open_events(made.root / "events.sqlite") as store:  # type: ignore[attr-defined]
        assert {one.code for one in store.refusals()} == {"bad_time"}


def test_a_day_played_from_now_is_a_new_one_each_time(made: District, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(made, capsys, "--from-now")["taken"] == 3
    assert replay(made, capsys, "--from-now")["taken"] == 3


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.naps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.naps.append(seconds)
        self.now += seconds


class Heard:
    """A target that notes when it was told what."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.at: dict[str, float] = {}
        self.reports: list[Report] = []

    def send(self, reports: Sequence[Report]) -> Sent:
        for one in reports:
            self.at[one.id] = self.clock.now
        self.reports += reports
        return Sent(len(reports))

    def refuse(self, refused: Sequence[Refused]) -> Sent:
        return Sent(refused=len(refused))


def report(name: str, minute: int, **more: Any) -> Report:
    when = 1_700_000_000_000 + minute * 60_000
    return Report("urn:t", name, name, "hotline", "created", "low", "", when, **more)


def test_events_are_played_in_their_order_at_the_speed_that_is_asked_for() -> None:
    clock = Clock()
    heard = Heard(clock)
    begin = clock.now
    rows = [report("c", 120), report("a", 0), Refused("bad_time", "no time"), report("b", 30)]
    total = Sent()
    for one in play(rows, heard, 60, clock=clock, sleep=clock.sleep):
        total += one
    assert (total.taken, total.refused) == (3, 1)
    assert [round(heard.at[name] - begin, 3) for name in "abc"] == [0, 30, 120]
    assert [one.occurred_ms for one in heard.reports] == sorted(
        one.occurred_ms for one in rows if isinstance(one, Report)
    )
    assert max(clock.naps) <= 1.0


def test_from_now_keeps_distances_and_never_tells_the_future() -> None:
    clock = Clock()
    heard = Heard(clock)
    rows = [report("a", 0, reported_ms=1_700_000_000_000 + 1000), report("b", 60, due_ms=1_700_000_000_000 + 7_200_000)]
    list(play(rows, heard, 60, from_now=True, clock=clock, sleep=clock.sleep))
    first, second = heard.reports
    assert second.occurred_ms - first.occurred_ms == 60_000
    assert second.due_ms is not None and second.due_ms - second.occurred_ms == 3_600_000
    for one in heard.reports:
        assert one.occurred_ms <= clock.now * 1000 and (one.reported_ms or 0) <= clock.now * 1000


def test_as_fast_as_it_goes_sends_batches_and_never_sleeps() -> None:
    clock = Clock()
    heard = Heard(clock)
    sent = list(play([report(f"{n}", n) for n in range(2500)], heard, clock=clock, sleep=clock.sleep))
    assert [one.taken for one in sent] == [0, 1000, 1000, 500]
    assert not clock.naps


def test_a_negative_speed_is_refused() -> None:
    with pytest.raises(MisuseError, match="negative"):
        list(play([], Heard(Clock()), -1))


def test_a_server_that_is_away_or_busy_is_asked_again_with_the_same_events() -> None:
    bodies, naps = [], []
    answers = iter([httpx.ConnectError("away"), (503, {"Retry-After": "3"}), (429, {}), (200, {})])

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(request.content)
        one = next(answers)
        if isinstance(one, Exception):
            raise one
        status, headers = one
        content = {"taken": 1, "known": 0, "refused": 0, "rows": [{"row": 0, "offset": 1}]}
        return httpx.Response(status, headers=headers, json=content if status == 200 else {"detail": "busy"})

    with httpx.Client(transport=httpx.MockTransport(answer), base_url="http://server/") as client:
        assert Server(client, "twk_x_y", naps.append).send([report("a", 0)]).taken == 1
    assert len(set(bodies)) == 1 and len(bodies) == 4
    assert naps[1] == 3.0


@pytest.mark.parametrize("status", [400, 401, 403, 413])
def test_a_server_that_refuses_ends_the_replay(status: int) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, json={"detail": "no"}))
    with httpx.Client(transport=transport, base_url="http://server/") as client, pytest.raises(SendError, match="no"):
        Server(client, "twk_x_y", lambda _: None).send([report("a", 0)])


def test_replay_wants_a_key_an_address_and_a_file(made: District, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TWIN_KEY", raising=False)
    here = ["-C", str(made.root), "--mapping", str(made.root / "m.toml")]
    day = str(made.root / "day.csv")
    assert run(["events", "replay", *here]) == 2
    assert run(["events", "replay", day, *here, "--to", "ftp://x"]) == 2
    assert run(["events", "replay", day, *here, "--to", "http://127.0.0.1:1"]) == 2


def test_a_key_is_shown_once_and_opens_until_it_is_taken_back(
    made: District, capsys: pytest.CaptureFixture[str]
) -> None:
    here = ["-C", str(made.root)]
    new = told(capsys, "key", "new", "--name", "调度平台", "--kind", "work_order", "--may", "write", *here)
    where = events_location(load_project(made.root))

    def opens() -> bool:
        with open_keys(where) as keys:  # type: ignore[attr-defined]
            return check_key(keys, new["key"], 1_900_000_000_000) is not None

    assert opens()
    (listed,) = told(capsys, "key", "list", *here)
    assert (listed["id"], listed["name"], listed["kinds"], listed["state"]) == (
        new["id"], "调度平台", ["work_order"], "good",
    )  # fmt: skip
    assert new["key"] not in json.dumps(listed)
    assert new["key"].encode() not in (made.root / "events.sqlite").read_bytes()
    assert run(["key", "revoke", new["id"], *here]) == 0
    assert not opens()
    assert told(capsys, "key", "list", *here)[0]["state"] == "revoked"
    assert run(["key", "revoke", new["id"], *here]) == 2
    assert run(["key", "new", "--name", "x", "--kind", "nonsense", *here]) == 2
    assert run(["key", "new", *here]) == 2
    assert run(["key", "revoke", *here]) == 2


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("[live]\nspeed = 1", "has no key 'speed'"),
        ('[live]\nmax_batch = "many"', "whole number"),
        ('[[live.mqtt]]\nname = "a"', "lacks 'host'"),
        ('[[live.poll]]\nname = "a"\nurl = "x"\n[[live.poll]]\nname = "a"\nurl = "y"', "two are called"),
    ],
)
def test_a_wrong_table_is_told_by_the_command_line(
    made: District, capsys: pytest.CaptureFixture[str], table: str, words: str
) -> None:
    file = made.root / "twin.toml"
    file.write_text(file.read_text(encoding="utf-8") + f"\n{table}\n", encoding="utf-8")
    assert run(["key", "list", "-C", str(made.root)]) == 2
    assert words in capsys.readouterr().err
