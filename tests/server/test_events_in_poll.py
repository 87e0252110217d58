"""A feed that is asked: what is new comes in once, what fails is asked for again, later each time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from server.live.payload import Documents
from server.live.poll import Poll
from tests.server.live_district import event
from twin.errors import MisuseError, StoreError
from twin.live.config import LiveConfig, MqttFeed, PollFeed
from twin.live.mapping import mapping_from

FEED = PollFeed("air", "http://feed.example/data", every_s=60.0)
DOCS = Path(__file__).parents[2] / "docs" / "events-in.md"


class Taker:
    """Stands for `Live`: notes what it is given, fails as often as told."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.bodies: list[Any] = []

    async def take(self, bodies: Any, way: str) -> list[Any]:
        assert way == "poll:air"
        if self.failures:
            self.failures -= 1
            raise StoreError("the disk is full")
        self.bodies += bodies
        return []


def asked(taker: Taker, answer: Callable[[httpx.Request], httpx.Response], times: int, **more: Any) -> Poll:
    """A feed that was asked so many times."""
    feed = PollFeed(**{**{one.name: getattr(FEED, one.name) for one in fields(FEED)}, **more.pop("feed", {})})
    poll = Poll(taker, feed, more.pop("documents", Documents()), more.pop("environment", {}))  # type: ignore[arg-type]

    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            for _ in range(times):
                await poll.ask(client)

    asyncio.run(run())
    return poll


def test_an_unchanged_answer_costs_nothing() -> None:
    seen: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("if-none-match"))
        if seen[-1] == '"1"':
            return httpx.Response(304)
        return httpx.Response(200, headers={"ETag": '"1"'}, content=orjson.dumps([event(id="a")]))

    taker = Taker()
    poll = asked(taker, answer, 3)
    assert seen == [None, '"1"', '"1"']
    assert poll.counts == {"taken": 1, "unchanged": 2, "failed": 0} and len(taker.bodies) == 1


def test_what_could_not_be_written_is_asked_for_again() -> None:
    seen: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("if-none-match"))
        return httpx.Response(200, headers={"ETag": '"1"'}, content=orjson.dumps([event(id="a")]))

    taker = Taker(failures=1)
    assert asked(taker, answer, 2).counts == {"taken": 1, "unchanged": 0, "failed": 1}
    assert seen == [None, None] and len(taker.bodies) == 1


@pytest.mark.parametrize("status", [301, 404, 500])
def test_other_answers_are_failures_and_make_it_patient(status: int) -> None:
    poll = asked(Taker(), lambda _: httpx.Response(status, headers={"Location": "http://elsewhere/"}), 6)
    assert poll.counts["failed"] == 6
    assert poll.wait_s == 600.0
    assert asked(Taker(), lambda _: httpx.Response(200, content=b"[]"), 1).wait_s == 60.0


def test_an_answer_that_is_too_large_is_a_failure() -> None:
    poll = asked(Taker(), lambda _: httpx.Response(200, content=b" " * (2 << 20)), 1, feed={"most_mib": 1})
    assert poll.counts["failed"] == 1


def test_rows_are_found_and_read_by_a_mapping() -> None:
    mapping = mapping_from({
        "source": "urn:air", "kind": "observation", "rows": "result.items",
        "fields": {"sensor": "station", "value": "pm25", "occurred": "at"},
    })  # fmt: skip
    rows = [{"station": f"S{n}", "pm25": n, "at": "2026-03-01T08:00:00Z"} for n in range(3)]
    taker = Taker()
    content = orjson.dumps({"result": {"items": rows}})
    asked(taker, lambda _: httpx.Response(200, content=content), 2, documents=Documents(mapping))
    assert [one["data"]["place"]["sensor"] for one in taker.bodies] == ["S0", "S1", "S2"] * 2
    assert [one["id"] for one in taker.bodies[:3]] == [one["id"] for one in taker.bodies[3:]]


def test_the_secret_comes_from_the_environment() -> None:
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("x-key"))
        return httpx.Response(200, content=b"[]")

    feed = {"header": "X-Key", "secret_env": "AIR"}
    asked(Taker(), answer, 1, feed=feed, environment={"AIR": "s3"})
    assert seen == ["s3"]
    with pytest.raises(MisuseError, match="secret_env"):
        asked(Taker(), answer, 1, feed=feed)


@pytest.mark.parametrize("feed", [{"url": "file:///etc/passwd"}, {"url": "http://u:p@x/"}, {"every_s": 0.0}])
def test_feeds_that_cannot_be_meant_are_refused(feed: dict[str, Any]) -> None:
    with pytest.raises(MisuseError, match="air"):
        asked(Taker(), lambda _: httpx.Response(200), 0, feed=feed)


@pytest.mark.parametrize("model", [LiveConfig, MqttFeed, PollFeed])
def test_the_docs_name_every_key(model: Any) -> None:
    text = DOCS.read_text(encoding="utf-8")
    for one in fields(model):
        if one.name not in ("root", "mqtt", "poll", "webhooks"):
            assert f"`{one.name}`" in text, one.name
