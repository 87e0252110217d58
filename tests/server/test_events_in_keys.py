"""Who may send and read events: nobody without a key, each within its scope, at its rate, until it is taken back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.command import check_keys
from server.live import credentials
from server.live.limits import Rates
from server.live.opening import events_location
from server.problem import ProblemError
from tests.server.conftest import BUILDINGS, District
from tests.server.live_district import BATCH, NDJSON, Sender, at, event, make_key, running, write_project
from twin.errors import MisuseError
from twin.live.keys import new_key, secret_hash
from twin.live.open import open_keys

HOUSE, TOWER = BUILDINGS[0].geid, BUILDINGS[1].geid


@pytest.fixture
def root(district: District) -> Path:
    folder = district.out.parent
    write_project(folder)
    return folder


@pytest.fixture
def speak(root: Path, serve: Callable[..., Any]) -> Iterator[Callable[..., Sender]]:
    """`speak(key)`: the application, asked with a key."""
    with running(app := serve(root)) as client:
        yield lambda key=None: Sender(client, key, app)


def code(answer: Any) -> tuple[int, str | None]:
    return answer.status_code, answer.json().get("code")


def test_nobody_writes_without_a_key_not_even_on_this_machine(speak: Callable[..., Sender]) -> None:
    answer = speak().post(event())
    assert code(answer) == (401, "key_missing")
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert speak().app.live.store.last() == 0  # type: ignore[union-attr]


def test_keys_that_are_wrong_open_nothing(speak: Callable[..., Sender], root: Path) -> None:
    key, text = make_key(root, "write")
    other = new_key("other", ("write",))[1]
    forged = f"twk_{key.id}_{other.rpartition('_')[2]}"
    for wrong in (other, forged, text[:-1], text + "a", "twk__", "x", "twk_" + "é", "twk_a_" + "b" * 5000):
        answer = speak(wrong).post(event())
        assert code(answer) == (401, "key_invalid"), wrong
    assert speak(text).post(event()).status_code == 200


def test_a_key_in_the_address_opens_nothing(speak: Callable[..., Sender], root: Path) -> None:
    _, text = make_key(root, "write")
    assert speak().post(event(), path=f"/events?access_token={text}").status_code in (400, 401)


def test_a_revoked_key_is_dead_within_a_second(
    speak: Callable[..., Sender], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, text = make_key(root, "write")
    assert speak(text).post(event()).status_code == 200
    with open_keys(events_location(root)) as keys:  # type: ignore[attr-defined]
        assert keys.revoke(key.id)
    begin = time.monotonic()
    monkeypatch.setattr(credentials, "monotonic", lambda: begin + credentials.TRUST_S + 0.1)
    assert credentials.TRUST_S <= 1.0
    assert code(speak(text).post(event())) == (401, "key_invalid")


def test_an_expired_key_is_dead_at_once(speak: Callable[..., Sender], root: Path) -> None:
    key, text = new_key("short", ("write",), expires_ms=int(time.time() * 1000) - 1)
    with open_keys(events_location(root)) as keys:  # type: ignore[attr-defined]
        keys.add(key, secret_hash(text))
    assert code(speak(text).post(event())) == (401, "key_invalid")


@pytest.mark.parametrize(
    ("may", "allowed"), [("read", {"read"}), ("write", {"write"}), ("admin", {"read", "write", "admin"})]
)
def test_a_key_does_what_it_may_and_nothing_else(
    speak: Callable[..., Sender], root: Path, may: str, allowed: set[str]
) -> None:
    _, text = make_key(root, may)
    sender = speak(text)
    asked = {
        "write": sender.post(event()),
        "admin": sender.get("/events/refusals"),
        "read": sender.get("/events"),
    }
    for right, answer in asked.items():
        assert answer.status_code == (200 if right in allowed else 403), (right, answer.text)


def test_a_key_for_a_kind_writes_no_other(speak: Callable[..., Sender], root: Path) -> None:
    _, text = make_key(root, "write", kinds=["hotline"])
    rows = [event(id="1", type="twin.hotline.created"), event(id="2", type="twin.work_order.created")]
    told = speak(text).post(rows, BATCH).json()
    assert [row.get("code") for row in told["rows"]] == [None, "not_permitted"]
    assert code(speak(text).post(rows[1])) == (403, "not_permitted")


def test_a_key_for_an_entity_writes_about_it_and_what_lies_in_it(speak: Callable[..., Sender], root: Path) -> None:
    _, text = make_key(root, "write", areas=[HOUSE])
    places = {
        "named": ({"geid": HOUSE}, True),
        "inside": (at(2, 2), True),
        "other": ({"geid": TOWER}, False),
        "beside": (at(110, 10), False),
        "nowhere": ({}, False),
    }
    for name, (place, allowed) in places.items():
        answer = speak(text).post(event(id=name, place=place))
        assert answer.status_code == (200 if allowed else 403), (name, answer.text)


def test_a_refused_event_can_still_be_sent_by_who_may(speak: Callable[..., Sender], root: Path) -> None:
    _, narrow = make_key(root, "write", kinds=["hotline"])
    _, admin = make_key(root, "admin")
    number = speak(narrow).post(event(id="x")).json()["refusal"]
    assert speak(admin).post(b"", path=f"/events/refusals/{number}").status_code == 200


@pytest.mark.parametrize(("keys", "live", "status"), [
    (False, "", 200), (True, "", 401), (True, "read_without_key = true", 200),
])  # fmt: skip
def test_reading_is_open_only_where_nothing_is_guarded_or_it_is_said_to_be(
    root: Path, serve: Callable[..., Any], keys: bool, live: str, status: int
) -> None:
    write_project(root, live)
    if keys:
        make_key(root, "write")
    with running(app := serve(root)) as client:
        assert Sender(client, None, app).get("/events").status_code == status


def test_beyond_loopback_the_server_does_not_start_without_a_key(root: Path, serve: Callable[..., Any]) -> None:
    check_keys(serve(root))
    with pytest.raises(MisuseError, match="no key"):
        check_keys(serve(root, host="0.0.0.0", public=True))
    key, _ = make_key(root, "write")
    check_keys(serve(root, host="0.0.0.0", public=True))
    with open_keys(events_location(root)) as store:  # type: ignore[attr-defined]
        store.revoke(key.id)
    with pytest.raises(MisuseError, match="no key"):
        check_keys(serve(root, host="0.0.0.0", public=True))


def test_who_sends_too_fast_is_told_when_to_come_back(root: Path, serve: Callable[..., Any]) -> None:
    write_project(root, "rate = 1.0\nburst = 10")
    _, first = make_key(root, "write")
    _, second = make_key(root, "write")
    with running(app := serve(root)) as client:
        sender = Sender(client, first, app)
        assert sender.post([event() for _ in range(10)], BATCH).status_code == 200
        slow = sender.post([event() for _ in range(5)], BATCH)
        assert code(slow) == (429, "too_fast")
        assert 1 <= int(slow.headers["retry-after"]) <= 5
        assert slow.headers["ratelimit-policy"] == '"events";q=10;w=10'
        assert code(sender.post([event() for _ in range(11)], BATCH)) == (413, "too_many_events")
        assert Sender(client, second, app).post(event()).status_code == 200
        assert app.live.store.last() == 11


def test_a_stream_that_breaks_off_says_what_it_had_taken(root: Path, serve: Callable[..., Any]) -> None:
    write_project(root, "max_event_kib = 1\nmax_batch = 2")
    _, key = make_key(root, "write")
    body = b"\n".join(orjson.dumps(event(id=f"{n}")) for n in range(3)) + b"\n"
    with running(app := serve(root)) as client:
        sender = Sender(client, key, app)
        assert sender.post(body, NDJSON).json()["taken"] == 3
        answer = sender.post(body + b'{"x": "' + b"y" * 3000 + b'"}', NDJSON)
        assert code(answer) == (413, "too_large")
        assert set(answer.json()) >= {"taken", "known", "refused"}


@pytest.mark.parametrize(
    ("live", "body", "kind", "expected"),
    [
        ("max_body_kib = 1", b'{"x": "' + b"y" * 2000 + b'"}', "application/json", (413, "too_large")),
        ("max_batch = 2", b"[{}, {}, {}]", BATCH, (413, "too_many_events")),
        ("", b"[" * 100_000, "application/json", (400, "not_json")),
    ],
)
def test_bodies_beyond_the_limits_are_refused(
    root: Path, serve: Callable[..., Any], live: str, body: bytes, kind: str, expected: tuple[int, str]
) -> None:
    write_project(root, live)
    _, key = make_key(root, "write")
    with running(app := serve(root)) as client:
        assert code(Sender(client, key, app).post(body, kind)) == expected


def test_deep_and_early_events_are_refused_each_by_itself(speak: Callable[..., Sender], root: Path) -> None:
    _, key = make_key(root, "write")
    deep: Any = 1
    for _ in range(40):
        deep = {"d": deep}
    rows = [event(id="a", extra=deep), event(id="b", time="2190-01-01T00:00:00Z"), event(id="c")]
    told = speak(key).post(rows, BATCH).json()
    assert [row.get("code") for row in told["rows"]] == ["too_deep", "event_in_future", None]


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 30)), max_size=40))
def test_no_sender_ever_gets_more_than_its_burst_and_its_rate(asked: list[tuple[float, int]]) -> None:
    now, given_out = 0.0, 0
    rates = Rates(3.0, 20, lambda: now)
    for pause, events in asked:
        now += pause
        try:
            rates.spend("k", events)
        except ProblemError as problem:
            assert problem.status == (413 if events > 20 else 429)
        else:
            given_out += events
        assert given_out <= 20 + 3.0 * now + 1e-6


def test_after_the_wait_that_was_told_there_is_room() -> None:
    now = 0.0
    rates = Rates(2.0, 10, lambda: now)
    rates.spend("k", 10)
    with pytest.raises(ProblemError) as told:
        rates.spend("k", 7)
    now += int(told.value.headers["Retry-After"])
    rates.spend("k", 7)
