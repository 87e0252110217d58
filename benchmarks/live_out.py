"""What it costs to tell many clients: deliveries a second, time from post to client, memory of clients that wait.

    python benchmarks/live_out.py [seconds per step]

A real server on one core, all clients and the sender on the other, over loopback. Every event is posted over HTTP and
answered only once it is on disk; every client reads a real SSE stream. A delivery is one report that one client has
read whole; what clients should have got is counted too, and the run fails if anything is missing or came twice.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import uvloop
from machine import hardware, load
from tile_path import _tile, _twin

from twin.live.keys import new_key, secret_hash
from twin.live.open import open_keys

CLIENTS, IDLE, BATCH = 200, 1000, 20
RATES = (50, 100, 200, 400, 800)
#: The kinds a sender uses in turn, and the filters clients use in turn with the share of events each lets through.
KINDS = ("work_order", "hotline", "alarm", "observation")
FILTERS = {
    "": KINDS,
    "?kind=work_order,alarm": ("work_order", "alarm"),
    "?severity=low,medium,high&linked=false": KINDS,
    "?kind=hotline,alarm,observation&bbox=121.0,31.0,121.9,31.9": ("hotline", "alarm", "observation"),
}
_SENT = re.compile(rb'"sent_ns":(\d+)')


@dataclass
class Reader(asyncio.Protocol):
    """A client: counts whole events, and of each knows how long it was on its way."""

    request: bytes
    reports: int = 0
    resyncs: int = 0
    waits: list[float] = field(default_factory=list)
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    rest: bytes = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        now = time.time_ns()
        *whole, self.rest = (self.rest + data).split(b"\n\n")
        for one in whole:
            if b"event: report\n" in one:
                self.reports += 1
                sent = _SENT.search(one)
                if sent:
                    self.waits.append((now - int(sent[1])) / 1e6)
            elif b"event: resync\n" in one:
                self.resyncs += 1
            elif b"event: state\n" in one:
                self.opened.set()


async def open_clients(port: int, key: str, count: int, queries: list[str]) -> list[Reader]:
    loop = asyncio.get_running_loop()
    made = []
    for number in range(count):
        query = queries[number % len(queries)]
        head = f"GET /events/stream{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n"
        _, reader = await loop.create_connection(lambda head=head: Reader(head.encode()), "127.0.0.1", port)  # type: ignore[misc]
        made.append(reader)
    await asyncio.wait_for(asyncio.gather(*(one.opened.wait() for one in made)), 60)
    return made


class Sender:
    """Posts events over one connection that is kept."""

    def __init__(self, port: int, key: str) -> None:
        self.port, self.key, self.number = port, key, 0

    async def connect(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)

    def event(self) -> dict[str, Any]:
        self.number += 1
        return {
            "specversion": "1.0",
            "id": f"e{self.number}",
            "source": "urn:bench",
            "type": f"twin.{KINDS[self.number % len(KINDS)]}.{'observed' if self.number % 4 == 3 else 'created'}",
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "data": {
                "title": "路灯不亮",
                "severity": "medium",
                "value": 1.5,
                "place": {"lon": 121.7, "lat": 31.7},
                "sent_ns": time.time_ns(),
            },
        }

    async def post(self, count: int) -> None:
        body = json.dumps([self.event() for _ in range(count)], ensure_ascii=False).encode()
        self.writer.write(
            b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Type: application/cloudevents-batch+json\r\n"
            + f"Authorization: Bearer {self.key}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        assert length is not None and head.startswith(b"HTTP/1.1 200"), head
        told = json.loads(await self.reader.readexactly(int(length[1])))
        assert told["taken"] == count, told


def expected(first: int, last: int) -> int:
    """How many deliveries events first + 1 .. last are, with the filters as they are dealt out."""
    kinds = [KINDS[number % len(KINDS)] for number in range(first + 1, last + 1)]
    share = [sum(kind in passing for kind in kinds) for passing in FILTERS.values()]
    return sum(share[number % len(share)] for number in range(CLIENTS))


async def step(clients: list[Reader], sender: Sender, rate: int, batch: int, seconds: float) -> dict[str, Any]:
    """Offers a rate for some seconds, then waits until everything has come."""
    before, first = sum(one.reports for one in clients), sender.number
    for one in clients:
        one.waits.clear()
    begin = time.perf_counter()
    while (passed := time.perf_counter() - begin) < seconds:
        due = first + batch + int(passed * rate) - sender.number
        if due >= batch:
            await sender.post(batch)
        else:
            await asyncio.sleep((batch - due) / rate)
    wanted = expected(first, sender.number)
    until = time.perf_counter() + 20
    while sum(one.reports for one in clients) - before < wanted and time.perf_counter() < until:
        await asyncio.sleep(0.005)
    wall = time.perf_counter() - begin
    got = sum(one.reports for one in clients) - before
    waits = sorted(wait for one in clients for wait in one.waits)
    return {
        "offered_events_per_s": rate,
        "events_per_s": round((sender.number - first) / wall),
        "deliveries_per_s": round(got / wall),
        "missing_or_twice": wanted - got,
        "resyncs": sum(one.resyncs for one in clients),
        "ms_median": round(statistics.median(waits), 1),
        "ms_p99": round(waits[int(len(waits) * 0.99)], 1),
        "ms_worst": round(waits[-1], 1),
    }


def rss(pid: int) -> int:
    """Bytes of private memory."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    return sum(int(one) << 10 for one in re.findall(r"^Private_\w+:\s+(\d+)", text, re.MULTILINE))


def listener(port: int) -> int:
    """The process that listens on a port."""
    found = subprocess.run(["ss", "-ltnpH", f"sport = :{port}"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"pid=(\d+)", found)
    if match is None:
        raise SystemExit(f"no process listens on {port}: {found!r}")
    return int(match[1])


async def measure(port: int, key: str, seconds: float) -> dict[str, Any]:
    sender = Sender(port, key)
    await sender.connect()
    await sender.post(BATCH)
    pid = listener(port)
    base = rss(pid)
    waiting = await open_clients(port, key, IDLE, [""])
    await asyncio.sleep(1.0)
    idle = rss(pid) - base
    for one in waiting:
        one.transport.close()
    await asyncio.sleep(1.0)
    clients = await open_clients(port, key, CLIENTS, list(FILTERS))
    calm = await step(clients, sender, 50, 1, seconds * 2)
    steps = [await step(clients, sender, rate, BATCH, seconds) for rate in RATES]
    for one in clients:
        one.transport.close()
    return {
        "idle_clients": IDLE,
        "idle_mib_more": round(idle / 2**20, 1),
        "clients": CLIENTS,
        "filters": list(FILTERS),
        "single_posts_50_per_s": calm,
        "batches": steps,
        "most_deliveries_per_s": max(one["deliveries_per_s"] for one in steps if not one["missing_or_twice"]),
    }


def main() -> None:
    """Runs the benchmark."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory(prefix="twin-bench-") as folder:
        root = Path(folder)
        _tile(root)
        with (root / "twin.toml").open("a", encoding="utf-8") as file:
            file.write("\n[live]\n")
        key, text = new_key("bench", ("admin",))
        keys = open_keys(root / "events.sqlite")
        keys.add(key, secret_hash(text))
        with _twin(root) as url:
            found = uvloop.run(measure(int(url.rsplit(":", 1)[1]), text, seconds))
    print(json.dumps({**found, "load_before": round(load(), 2), "machine": hardware()}, indent=1))


if __name__ == "__main__":
    main()
