"""Events from a broker: none is lost whoever stops, none is acknowledged before it is on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event
from time import monotonic, sleep
from typing import Any

import orjson
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from server.live.mqtt import Mqtt
from server.live.payload import Documents
from tests.mosquitto import Broker
from tests.server.conftest import BUILDINGS, District
from tests.server.live_district import event, running, write_project
from twin.errors import MisuseError, StoreError
from twin.live.config import LiveConfig, MqttFeed

_SECONDS = 20.0

MAPPING = """
source = "urn:test:water"
kind = "observation"
[fields]
sensor = "topic.1"
value = "v"
occurred = "t"
"""


def until(condition: Callable[[], bool]) -> None:
    """Waits for what other threads and processes do."""
    end = monotonic() + _SECONDS
    while not condition():
        assert monotonic() < end, "it did not happen"
        sleep(0.01)


def publish(port: int, messages: Sequence[tuple[str, bytes]]) -> None:
    """Sends with QoS 1; every message has been taken by the broker when it returns."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.max_queued_messages_set(0)
    connected = Event()
    client.on_connect = lambda *_: connected.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert connected.wait(_SECONDS)
    for one in [client.publish(topic, payload, qos=1) for topic, payload in messages]:
        one.wait_for_publish(_SECONDS)
    client.disconnect()
    client.loop_stop()


def feed(port: int, **more: Any) -> str:
    keys = {"name": "water", "host": "127.0.0.1", "port": port, "topics": ["sensors/#"], **more}
    return "[[live.mqtt]]\n" + "\n".join(f"{name} = {orjson.dumps(value).decode()}" for name, value in keys.items())


@pytest.fixture
def root(district: District) -> Iterator[Path]:
    yield district.out.parent


def subscribed(app: Any) -> bool:
    return any(isinstance(one, Mqtt) and one.subscribed for one in app.live.feeds)


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_cloudevents_and_mapped_payloads_come_in(
    root: Path,
    serve: Callable[..., Any],
    broker: Broker,
    version: str,
) -> None:
    (root / "water.toml").write_text(MAPPING, encoding="utf-8")
    plain = feed(broker.port, name="plain", topics=["orders"], version=version)
    write_project(root, "", plain=plain, mapped=feed(broker.port, mapping="water.toml", version=version))
    with running(app := serve(root)):
        until(lambda: all(one.subscribed for one in app.live.feeds if isinstance(one, Mqtt)))
        rows = [("orders", orjson.dumps(event(id="o1"))), ("orders", b"{broken")]
        rows += [(f"sensors/W{n}/level", orjson.dumps({"v": n, "t": "2026-03-01T08:00:00Z"})) for n in range(20)]
        publish(broker.port, rows)
        until(lambda: app.live.store.counts()["reports"] == 21 and app.live.store.counts()["refused"] == 1)
        told = {(one.report.kind, one.report.place.sensor, one.report.value) for one in app.live.store.after(0)}
        assert told == {("work_order", None, None), *(("observation", f"W{n}", float(n)) for n in range(20))}
        (refused,) = app.live.store.refusals()
        assert (refused.source, refused.code) == ("mqtt:plain", "not_json")


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_what_comes_while_the_server_is_down_waits_in_the_broker(
    root: Path,
    serve: Callable[..., Any],
    broker: Broker,
    version: str,
) -> None:
    write_project(root, "", water=feed(broker.port, version=version))
    with running(app := serve(root)):
        until(lambda: subscribed(app))
    publish(broker.port, [("sensors/a", orjson.dumps(event(id=f"d{n}"))) for n in range(50)])
    with running(app := serve(root)):
        until(lambda: app.live.store.counts()["reports"] == 50)


def test_nothing_is_acknowledged_that_could_not_be_written(
    root: Path,
    serve: Callable[..., Any],
    broker: Broker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(rows: Any) -> Any:
        failed.set()
        raise StoreError("the disk is full")

    failed = Event()
    write_project(root, "", water=feed(broker.port))
    with running(app := serve(root)):
        until(lambda: subscribed(app))
        monkeypatch.setattr(app.live.store, "append", full)
        publish(broker.port, [("sensors/a", orjson.dumps(event(id="kept")))])
        assert failed.wait(_SECONDS)
        (mqtt,) = [one for one in app.live.feeds if isinstance(one, Mqtt)]
        assert mqtt.counts["acknowledged"] == 0
    with running(app := serve(root)):  # the broker was never told that it is safe: it comes again
        until(lambda: app.live.store.counts()["reports"] == 1)


def test_a_broker_that_restarts_is_listened_to_again(
    root: Path,
    serve: Callable[..., Any],
    broker: Broker,
) -> None:
    write_project(root, "", water=feed(broker.port))
    with running(app := serve(root)):
        until(lambda: subscribed(app))
        publish(broker.port, [("sensors/a", orjson.dumps(event(id="before")))])
        until(lambda: app.live.store.counts()["reports"] == 1)
        broker.stop()
        until(lambda: not subscribed(app))
        broker.start()
        until(lambda: subscribed(app))
        publish(broker.port, [("sensors/a", orjson.dumps(event(id=name))) for name in ("before", "after")])
        until(lambda: app.live.counts["known"] == 1 and app.live.counts["taken"] == 2)


def test_a_thousand_messages_are_each_taken_once(
    root: Path,
    serve: Callable[..., Any],
    broker: Broker,
) -> None:
    write_project(root, "", water=feed(broker.port))
    names = [f"n{number}" for number in range(1000)]
    with running(app := serve(root)):
        until(lambda: subscribed(app))
        publish(broker.port, [("sensors/a", orjson.dumps(event(id=name))) for name in names])
        until(lambda: app.live.store.counts()["reports"] == 1000)
        assert sorted(one.report.id for one in app.live.store.after(0, 2000)) == sorted(names)
        (mqtt,) = [one for one in app.live.feeds if isinstance(one, Mqtt)]
        until(lambda: mqtt.counts["acknowledged"] == 1000)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"host": "broker.example"}, "nobody is named"),
        ({"username": "u", "password_env": "NO_SUCH_VARIABLE"}, "NO_SUCH_VARIABLE"),
        ({"version": "4"}, "not spoken"),
        ({"ca": "missing.pem"}, "cannot be read"),
    ],
)
def test_a_feed_that_cannot_work_is_refused_at_the_start(tmp_path: Path, keys: dict[str, Any], words: str) -> None:
    wanted = MqttFeed(**{"name": "f", "host": "127.0.0.1", "topics": ("a",), **keys})

    async def never(*_: object, **__: object) -> None:
        raise AssertionError

    with pytest.raises(MisuseError, match=words):
        Mqtt(never, wanted, LiveConfig(tmp_path), Documents(), {})  # type: ignore[arg-type]


def test_a_bare_value_is_the_column_value() -> None:
    from twin.live.mapping import mapping_from

    mapping = mapping_from(
        {"source": "urn:x", "kind": "observation", "fields": {"sensor": "topic", "value": "value", "id": "topic.1"}}
    )
    (told,) = Documents(mapping).of(b"3.5", "a/b")
    assert (told["data"]["value"], told["data"]["place"]["sensor"], told["id"]) == ("3.5", "a/b", "b") or (
        told["data"]["value"],
        told["id"],
    ) == (3.5, "b")


def test_a_feed_lends_its_source_to_events_that_name_none() -> None:
    bare = {name: value for name, value in event().items() if name != "source"}
    (told,) = Documents(source="urn:lent").of(orjson.dumps(bare))
    assert told["source"] == "urn:lent"
    assert BUILDINGS[0].geid == told["data"]["place"]["geid"]
