"""How fast a served twin takes events in: over HTTP in batches, and from an MQTT broker with QoS 1.

python -m benchmarks.live_in [--events 100000] [--batch 1000] [--senders 4] [--messages 20000] [--folder /var/tmp]

Events are those of the sample's day (addresses, codes, positions, sensors), repeated under other ids. Each is read,
linked to an entity and written to a disk that is flushed before it is acknowledged. The clock runs from the first batch
sent to the last acknowledgement; MQTT: from the first message published to the last one in the log. The log is counted
in the end: what was acknowledged has to be there.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.live_city import City, free_port, make_city, renamed, sample_events, served
from benchmarks.machine import hardware, load
from tests.mosquitto import program
from twin.live.open import open_events

TOPIC = "bench/events"
_WAIT_S = 120.0
_FEED = """
[[live.mqtt]]
name = "bench"
host = "127.0.0.1"
port = {port}
topics = ["{topic}"]
"""


def over_http(city: City, events: int, batch: int, senders: int) -> dict[str, Any]:
    """Sends batches from several connections at once and waits for every answer."""
    made = renamed(sample_events(city.root), events, "h")
    bodies = [orjson.dumps(made[start : start + batch]) for start in range(0, events, batch)]
    with served(city) as (url, _):
        _send(url, city, [orjson.dumps(renamed(sample_events(city.root), batch, "warm"))])
        parts = [bodies[number::senders] for number in range(senders)]
        answers: list[list[tuple[float, dict[str, Any]]]] = [[] for _ in parts]
        threads = [
            threading.Thread(target=lambda part, into: into.extend(_send(url, city, part)), args=(part, into))
            for part, into in zip(parts, answers, strict=True)
        ]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wall = time.perf_counter() - start
    told = [answer for part in answers for _, answer in part]
    times = np.array([seconds for part in answers for seconds, _ in part])
    counts = _counts(city)
    assert sum(one["taken"] for one in told) == events, "every event is taken"
    assert counts["reports"] == events + batch and counts["refused"] == 0
    return {
        "events": events,
        "batch": batch,
        "senders": senders,
        "s": round(wall, 2),
        "events_per_s": round(events / wall),
        "answer_ms": {name: round(float(np.percentile(times, at)) * 1000) for name, at in (("p50", 50), ("p99", 99))},
        "linked": round(counts["linked"] / counts["reports"], 3),
        "mib": round(sum(map(len, bodies)) / 2**20, 1),
    }


def _send(url: str, city: City, bodies: Sequence[bytes]) -> list[tuple[float, dict[str, Any]]]:
    """Posts bodies one after the other; how long each took, and its answer."""
    found = []
    with httpx.Client(base_url=url, headers=city.headers, timeout=60) as client:
        for body in bodies:
            start = time.perf_counter()
            answer = client.post("/events", content=body)
            answer.raise_for_status()
            found.append((time.perf_counter() - start, answer.json()))
    return found


def over_mqtt(city: City, port: int, messages: int) -> dict[str, Any]:
    """Publishes one event a message with QoS 1 and waits until all are in the log."""
    payloads = [orjson.dumps(event) for event in renamed(sample_events(city.root), messages, "m")]
    with served(city):
        before = _counts(city)["reports"]
        _publish(port, [orjson.dumps(renamed(sample_events(city.root), 1, "first")[0])])
        _wait_for(city, before + 1)
        start = time.perf_counter()
        publisher = threading.Thread(target=_publish, args=(port, payloads))
        publisher.start()
        wall = _wait_for(city, before + 1 + messages) - start
        publisher.join()
    counts = _counts(city)
    return {
        "messages": messages,
        "s": round(wall, 2),
        "messages_per_s": round(messages / wall),
        "lost": before + 1 + messages - counts["reports"],
    }


@contextmanager
def broker(folder: Path) -> Iterator[int]:
    """A Mosquitto with its usual settings, which keeps sessions on disk but does not write down every message."""
    found = program()
    if found is None:
        raise SystemExit("Mosquitto is not installed: apt-get install mosquitto, or --messages 0")
    folder.mkdir()
    port = free_port()
    settings = folder / "mosquitto.conf"
    settings.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {folder}/\n"
        "max_queued_messages 0\nmax_inflight_messages 2000\nuser root\n",
        encoding="utf-8",
    )
    process = subprocess.Popen([found, "-c", str(settings)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(500):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _publish(port: int, payloads: Sequence[bytes]) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2, "bench-publisher")
    client.max_inflight_messages_set(2000)
    client.connect("127.0.0.1", port)
    client.loop_start()
    sent = [client.publish(TOPIC, payload, qos=1) for payload in payloads]
    for one in sent:
        one.wait_for_publish(_WAIT_S)
    client.disconnect()
    client.loop_stop()


def _wait_for(city: City, reports: int) -> float:
    """When the log had so many reports, by the clock of `perf_counter`; or when patience was at its end."""
    until = time.perf_counter() + _WAIT_S
    store = open_events(city.store)
    try:
        while store.last() < reports and time.perf_counter() < until:
            time.sleep(0.02)
        return time.perf_counter()
    finally:
        store.close()


def _counts(city: City) -> dict[str, int]:
    store = open_events(city.store)
    try:
        return dict(store.counts())
    finally:
        store.close()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Measure how fast a served twin takes events in.")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--senders", type=int, default=4)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"))
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=asked.folder))
    try:
        http = over_http(make_city(folder / "http"), asked.events, asked.batch, asked.senders)
        result: dict[str, Any] = {"http": http}
        if asked.messages:
            with broker(folder / "broker") as port:
                city = make_city(folder / "mqtt", live=_FEED.format(port=port, topic=TOPIC))
                result["mqtt"] = over_mqtt(city, port, asked.messages)
    finally:
        shutil.rmtree(folder)
    print(json.dumps({**result, "load": load(), "machine": hardware()}, indent=1))


if __name__ == "__main__":
    main()
