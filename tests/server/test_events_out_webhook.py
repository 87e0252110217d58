"""Webhooks: every report is told at least once and signed, in order, across failures and restarts."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from server.live.channel import HubLimits
from server.live.hub import Hub
from server.live.select import Selection
from server.live.webhook import Caller, Webhooks, open_webhooks, read_secret, retry_after, signed
from tests.server.live_reports import series
from twin.errors import ProjectError
from twin.live.config import LiveConfig, Webhook
from twin.live.model import EventStore, Filter
from twin.live.open import open_events

HOOK = Webhook("alarms", "http://receiver.test/in", attempts=3)
QUIET = HubLimits(linger_s=0.0, heartbeat_s=600.0, poll_s=600.0)
Answer = Callable[[httpx.Request, int], httpx.Response]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    opened = open_events(tmp_path / "events.sqlite")
    yield opened
    opened.close()


class Receiver:
    """Takes deliveries; `answer` says what it answers to the n-th request."""

    def __init__(self, answer: Answer) -> None:
        self.requests: list[httpx.Request] = []
        self.taken: list[int] = []
        self._answer = answer

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answer(request, len(self.requests))
        if answer.status_code < 300:
            self.taken += [one["offset"] for one in json.loads(request.content)]
        return answer


def tell(
    store: EventStore,
    folder: Path,
    receiver: Receiver,
    *steps: Callable[[Hub], None],
    until: int,
    selection: Selection | None = None,
    limits: HubLimits = QUIET,
    secret: bytes | None = None,
) -> Caller:
    """Runs a webhook until so many requests have come; each step is taken once everything before it is settled."""

    async def run() -> Caller:
        hub = Hub(store, lambda stored: b'{"offset":%d}' % stored.offset, limits)
        await hub.start()
        async with httpx.AsyncClient(transport=httpx.MockTransport(receiver)) as client:
            caller = Caller(HOOK, hub, selection or Selection(), folder, client, secret, first_wait_s=0.001)
            task = asyncio.create_task(caller.run())
            while not hub.clients:
                await asyncio.sleep(0.001)
            for step in steps:
                step(hub)
            while len(receiver.requests) < until and not task.done():
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.02)
            hub.close()
            await asyncio.wait_for(task, 10)
        return caller

    return asyncio.run(asyncio.wait_for(run(), 15))


def fine(_: httpx.Request, __: int) -> httpx.Response:
    return httpx.Response(204)


def test_a_delivery_is_a_signed_batch_in_the_order_of_the_log(store: EventStore, tmp_path: Path) -> None:
    receiver = Receiver(fine)
    secret = b"0123456789"
    caller = tell(store, tmp_path, receiver, lambda hub: hub.publish(series(store, 0, 5)), until=1, secret=secret)
    (request,) = receiver.requests
    name, moment = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    mark = hmac.new(secret, f"{name}.{moment}.".encode() + request.content, hashlib.sha256).digest()
    assert request.headers["webhook-signature"] == f"v1,{base64.b64encode(mark).decode()}"
    assert request.headers["content-type"] == "application/cloudevents-batch+json"
    assert receiver.taken == [1, 2, 3, 4, 5]
    assert caller.counts.taken == 5


def test_a_failed_delivery_is_tried_again_under_the_same_name(store: EventStore, tmp_path: Path) -> None:
    receiver = Receiver(lambda _, n: httpx.Response(503 if n < 3 else 200))
    caller = tell(store, tmp_path, receiver, lambda hub: hub.publish(series(store, 0, 2)), until=3)
    assert receiver.taken == [1, 2]
    assert len({one.headers["webhook-id"] for one in receiver.requests}) == 1
    assert (caller.counts.failed, caller.counts.given_up) == (2, 0)


def test_after_its_attempts_a_delivery_is_given_up_on_record_and_the_next_is_told(
    store: EventStore, tmp_path: Path
) -> None:
    def refuse(request: httpx.Request, _: int) -> httpx.Response:
        if b'"offset":1}' in request.content:
            raise httpx.ConnectError("nobody there")
        return httpx.Response(200)

    receiver = Receiver(refuse)

    def one(hub: Hub) -> None:
        hub.publish(series(store, 0, 1))

    def two(hub: Hub) -> None:
        hub.publish(series(store, 1, 1))

    caller = tell(store, tmp_path, receiver, one, two, until=4)
    (dead,) = map(json.loads, (tmp_path / "alarms.dead.ndjson").read_text().splitlines())
    assert (dead["after"], dead["last"]) == (f"{store.epoch}-0", 1) and "nobody there" in dead["why"]
    assert receiver.taken == [2]
    assert (caller.counts.taken, caller.counts.given_up) == (1, 1)


def test_what_was_recorded_while_the_server_was_down_is_told_and_nothing_before(
    store: EventStore, tmp_path: Path
) -> None:
    series(store, 0, 4)
    first, second = Receiver(fine), Receiver(fine)
    tell(store, tmp_path, first, lambda hub: hub.publish(series(store, 10, 2)), until=1)
    series(store, 20, 250)
    tell(store, tmp_path, second, until=3)
    assert first.taken == [5, 6]
    assert second.taken == list(range(7, 257))


def test_a_receiver_slower_than_the_events_misses_none(store: EventStore, tmp_path: Path) -> None:
    receiver = Receiver(fine)

    def flood(hub: Hub) -> None:
        for step in range(0, 300, 10):
            hub.publish(series(store, step, 10))

    tiny = HubLimits(linger_s=0.0, queue_reports=20, page=50, recent=10, replay=5, heartbeat_s=600.0, poll_s=600.0)
    caller = tell(store, tmp_path, receiver, flood, until=6, limits=tiny)
    assert receiver.taken == list(range(1, 301))
    assert not (tmp_path / "alarms.dead.ndjson").exists()
    assert caller.counts.given_up == 0


def test_a_receiver_that_is_gone_is_told_nothing_more(store: EventStore, tmp_path: Path) -> None:
    receiver = Receiver(lambda _, __: httpx.Response(410))
    tell(store, tmp_path, receiver, lambda hub: hub.publish(series(store, 0, 2)), until=1)
    assert len(receiver.requests) == 1


def test_only_what_it_asks_for_is_told(store: EventStore, tmp_path: Path) -> None:
    receiver = Receiver(fine)
    wanted = Selection(Filter(kinds=frozenset({"alarm"})))
    both = lambda hub: hub.publish(series(store, 0, 2) + series(store, 5, 1, kind="alarm"))  # noqa: E731
    tell(store, tmp_path, receiver, both, until=1, selection=wanted)
    assert receiver.taken == [3]


def test_the_signature_is_the_one_of_the_specification() -> None:
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_key_is_read_from_the_environment_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = Webhook("a", "http://x", secret_env="HOOK_KEY")
    monkeypatch.setenv("HOOK_KEY", "whsec_" + base64.b64encode(b"abc").decode())
    assert read_secret(hook) == b"abc"
    monkeypatch.setenv("HOOK_KEY", "plain")
    assert read_secret(hook) == b"plain"
    for wrong in ("", "whsec_???"):
        monkeypatch.setenv("HOOK_KEY", wrong)
        with pytest.raises(ProjectError, match="HOOK_KEY"):
            read_secret(hook)
    assert read_secret(Webhook("a", "http://x")) is None


@pytest.mark.parametrize(("name", "url"), [("a", "ftp://x"), ("../a", "http://x"), ("a", "nothing")])
def test_a_webhook_that_cannot_be_is_refused_at_the_start(tmp_path: Path, name: str, url: str) -> None:
    config = LiveConfig(tmp_path, webhooks=(Webhook(name, url),))
    with pytest.raises(ProjectError, match="webhook"):
        open_webhooks(config, None, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("told", "wait"), [("5", 5.0), ("99999", 600.0), ("soon", None), ("-1", None), ("", None), ("²", None)]
)
def test_how_long_a_receiver_asks_to_wait_is_bounded(told: str, wait: float | None) -> None:
    assert retry_after({"retry-after": told}) == wait


def test_only_one_process_tells_and_another_takes_over_when_it_ends(store: EventStore, tmp_path: Path) -> None:
    async def run() -> None:
        hub = Hub(store, lambda stored: b"{}", QUIET)
        await hub.start()
        first, second = (Webhooks([(HOOK, Selection())], hub, tmp_path) for _ in range(2))
        await first.start()
        while not first.callers:
            await asyncio.sleep(0.001)
        await second.start()
        await asyncio.sleep(0.05)
        assert not second.callers
        await first.stop()
        while not second.callers:
            await asyncio.sleep(0.01)
        await second.stop()
        hub.close()

    asyncio.run(asyncio.wait_for(run(), 10))
