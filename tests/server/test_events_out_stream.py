"""`/events/stream` and `/events/ws` of a real server in a process of its own: cut, killed, restarted, flooded."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.server.conftest import District, publish
from tests.server.live_district import BATCH, event, make_key, write_project
from tests.server.test_command import PROGRAM

PATIENCE_S = 20.0


@dataclass
class Running:
    """A server."""

    root: Path
    key: str
    port: int
    process: subprocess.Popen[str]
    sent: int = 0

    def post(self, count: int, **data: Any) -> None:
        """Sends some events; they are on disk when this returns."""
        rows = [event(id=f"s{self.sent + step}", **data) for step in range(count)]
        self.sent += count
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        headers = {"Content-Type": BATCH, "Authorization": f"Bearer {self.key}"}
        connection.request("POST", "/events", orjson.dumps(rows), headers)
        answer = connection.getresponse()
        told = json.loads(answer.read())
        assert answer.status == 200 and told["taken"] == count, told
        connection.close()

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE_S)


@contextmanager
def running(root: Path, key: str, port: int = 0) -> Iterator[Running]:
    command = [sys.executable, "-c", PROGRAM, "serve", "-C", str(root), "--port", str(port)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        line = next((line for line in process.stdout if line.startswith("Serving")), "")
        found = re.search(r":(\d+)/", line)
        assert found is not None, "the server did not come up"
        try:
            yield Running(root, key, int(found[1]), process)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    root = tmp_path_factory.mktemp("stream")
    publish(root / "out")
    write_project(root)
    _, key = make_key(root, "admin")
    with running(root, key) as server:
        yield server


@dataclass
class Event:
    """One event, as the HTML standard dispatches it."""

    kind: str
    id: str
    data: Any

    @property
    def offset(self) -> int:
        return int(self.id.rpartition("-")[2])


@dataclass
class Stream:
    """A client that reads the stream byte by byte as EventSource does: an event counts once its blank line is there."""

    server: Running
    query: str = ""
    last: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    receive_buffer: int | None = None

    def __enter__(self) -> Stream:
        self.connection = socket.socket()
        if self.receive_buffer:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        self.connection.settimeout(PATIENCE_S)
        self.connection.connect(("127.0.0.1", self.server.port))
        headers = {"Host": "x", "Authorization": f"Bearer {self.server.key}", **self.headers}
        if self.last is not None:
            headers["Last-Event-ID"] = self.last
        lines = [f"GET /events/stream{self.query} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        self.connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.answer = http.client.HTTPResponse(self.connection)
        self.answer.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self.answer.close()

    def events(self) -> Iterator[Event]:
        kind, identifier, data = "message", "", ""
        for raw in iter(self.answer.readline, b""):
            line = raw.decode().rstrip("\n")
            name, _, value = line.partition(": ")
            if not line and data:
                self.last = identifier or self.last
                yield Event(kind, identifier, json.loads(data))
                kind, data = "message", ""
            elif name == "event":
                kind = value
            elif name == "id":
                identifier = value
            elif name == "data":
                data = value

    def reports(self, count: int) -> list[int]:
        """Offsets of the next reports."""
        told: list[int] = []
        for one in self.events():
            assert one.kind in ("state", "report", "heartbeat"), one
            told += [one.offset] if one.kind == "report" else []
            if len(told) >= count:
                break
        return told


def test_the_stream_says_where_it_begins_and_is_not_held_back_by_proxies(server: Running) -> None:
    with Stream(server) as stream:
        headers = stream.answer.headers
        assert headers["content-type"] == "text/event-stream; charset=utf-8"
        assert (headers["x-accel-buffering"], headers["cache-control"]) == ("no", "no-store")
        hello = next(stream.events())
    assert hello.kind == "state" and hello.data["position"] == hello.id
    assert hello.id.startswith(hello.data["epoch"])


def test_a_client_that_is_cut_again_and_again_sees_each_offset_exactly_once(server: Running) -> None:
    with Stream(server) as stream:
        begin = next(stream.events())
    last, seen = begin.id, list[int]()
    for step in range(12):
        server.post(7)
        with Stream(server, last=last) as stream:
            seen += stream.reports(1 + step % 9)
            last = stream.last or last
    with Stream(server, last=last) as stream:
        seen += stream.reports(84 - len(seen))
    assert seen == list(range(begin.offset + 1, begin.offset + 85))


def test_a_client_resumes_after_the_server_was_killed_and_nothing_acknowledged_is_missing(
    tmp_path: Path, server: Running
) -> None:
    publish(tmp_path / "out")
    write_project(tmp_path)
    _, key = make_key(tmp_path, "admin")
    with running(tmp_path, key) as first:
        first.post(5)
        with Stream(first, query="?last_event_id=x-0") as stream:
            assert [one.kind for _, one in zip(range(2), stream.events(), strict=False)] == ["state", "resync"]
        with Stream(first) as stream:
            hello = next(stream.events())
            first.post(20)
            seen = stream.reports(8)
            first.kill()
            last, port, sent = stream.last, first.port, first.sent
    with running(tmp_path, key, port) as second:
        second.sent = sent
        with Stream(second, last=last) as stream:
            seen += stream.reports(12)
            second.post(3)
            seen += stream.reports(3)
    assert hello.offset == 5
    assert seen == list(range(6, 29))


@pytest.mark.parametrize("last", ["0123-4", "nonsense", "x" * 500])
def test_a_position_of_another_store_gives_a_resync_never_silence(server: Running, last: str) -> None:
    with Stream(server, last=last) as stream:
        events = stream.events()
        assert next(events).kind == "state"
        told = next(events)
        server.post(1)
        assert (told.kind, next(events).offset) == ("resync", told.offset + 1)
    assert told.data["reason"] in ("unknown_epoch", "unknown_position") and told.data["detail"]


def test_a_filter_of_the_stream_lets_through_what_it_names(server: Running) -> None:
    with Stream(server, query="?kind=alarm&severity=critical,high") as stream:
        next(stream.events())
        server.post(2)
        server.post(1, type="twin.alarm.created", severity="low")
        server.post(1, type="twin.alarm.created", severity="critical")
        told = next(one for one in stream.events() if one.kind == "report")
    assert (told.data["type"], told.data["data"]["severity"]) == ("twin.alarm.created", "critical")
    assert told.data["offset"] == told.offset


def test_a_slow_client_gets_an_explicit_resync_and_can_go_on(server: Running) -> None:
    with Stream(server, receive_buffer=4096) as stream:
        hello = next(stream.events())
        for _ in range(12):
            server.post(500, title="水" * 400)
        kinds, offsets, resyncs = set(), [], []
        for one in stream.events():
            kinds.add(one.kind)
            (resyncs if one.kind == "resync" else offsets).append(one.offset)
            if one.offset == hello.offset + 6000:
                break
    assert resyncs and kinds <= {"report", "resync", "heartbeat"}
    steps = [after - before for before, after in itertools.pairwise(offsets)]
    assert all(step > 0 for step in steps)
    gaps = sum(step > 1 for step in steps)
    assert gaps <= len(resyncs)


@pytest.mark.parametrize("query", ["?colour=red", "?kind=alarm&kind=alarm", "?bbox=1", "?severity=worst"])
def test_a_stream_with_a_wrong_parameter_is_refused_before_it_begins(server: Running, query: str) -> None:
    with Stream(server, query=query) as stream:
        assert stream.answer.status == 400
        assert stream.answer.headers["content-type"] == "application/problem+json"


def test_a_stream_needs_a_key_where_there_are_keys(server: Running) -> None:
    with Stream(server, headers={"Authorization": "Bearer twk_0_0"}) as stream:
        assert stream.answer.status == 401


def test_when_the_server_stops_its_streams_end_at_once(tmp_path: Path) -> None:
    publish(tmp_path / "out")
    write_project(tmp_path)
    _, key = make_key(tmp_path, "admin")
    with running(tmp_path, key) as server, Stream(server) as stream:
        events = stream.events()
        assert next(events).kind == "state"
        begin = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert list(events) == []
        server.process.wait(PATIENCE_S)
        assert time.monotonic() - begin < 5


def test_a_stream_is_rotated_and_taken_up_again(tmp_path: Path) -> None:
    publish(tmp_path / "out")
    write_project(tmp_path, "rotate_s = 0.2")
    _, key = make_key(tmp_path, "admin")
    with running(tmp_path, key) as server:
        seen, last = list[int](), None
        for _ in range(4):
            with Stream(server, last=last) as stream:
                events = stream.events()
                next(events)
                server.post(3)
                seen += [one.offset for one in events if one.kind == "report"]
                last = stream.last
    assert seen == list(range(1, 13))


@contextmanager
def socket_to(server: Running, query: str = "", **headers: str) -> Iterator[Any]:
    given = {"Authorization": f"Bearer {server.key}", **headers}
    with connect(
        f"ws://127.0.0.1:{server.port}/events/ws{query}", additional_headers=given, open_timeout=PATIENCE_S
    ) as opened:
        yield opened


def hear(opened: Any) -> Any:
    return json.loads(opened.recv(PATIENCE_S))


def test_a_websocket_tells_the_same_and_takes_another_filter(server: Running) -> None:
    with socket_to(server, "?kind=alarm") as opened:
        hello = hear(opened)
        assert (hello["type"], hello["id"]) == ("state", hello["data"]["position"])
        server.post(1)
        server.post(1, type="twin.alarm.created")
        told = hear(opened)
        assert (told["type"], told["data"]["type"]) == ("report", "twin.alarm.created")
        opened.send(json.dumps({"type": "subscribe", "last_event_id": hello["id"], "kind": "work_order,alarm"}))
        assert hear(opened)["type"] == "state"
        assert [hear(opened)["data"]["type"] for _ in range(2)] == ["twin.work_order.created", "twin.alarm.created"]


@pytest.mark.parametrize("said", ["{", "[]", '{"type":"shout"}', '{"type":"subscribe","kind":7}', '{"type":"subscribe","severity":"worst"}'])  # fmt: skip  # noqa: E501
def test_a_websocket_that_says_nonsense_is_closed_with_the_reason(server: Running, said: str) -> None:
    with socket_to(server) as opened:
        hear(opened)
        opened.send(said)
        with pytest.raises(ConnectionClosed) as closed:
            hear(opened)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code in (1007, 1008) and closed.value.rcvd.reason


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [({"Origin": "http://evil.example"}, False), ({"Authorization": "Bearer no"}, False), ({}, True)],
)
def test_a_websocket_is_refused_to_pages_of_other_sites_and_without_a_key(
    server: Running, headers: dict[str, str], allowed: bool
) -> None:
    if allowed:
        with socket_to(server, Origin=f"http://127.0.0.1:{server.port}") as opened:
            assert hear(opened)["type"] == "state"
        return
    with pytest.raises(InvalidStatus), socket_to(server, **headers):
        pass


def test_two_servers_of_one_store_share_one_stream(server: Running, district: District) -> None:
    del district
    with running(server.root, server.key) as second, Stream(second) as stream:
        begin = next(stream.events()).offset
        server.post(4)
        second.sent = 1_000_000
        second.post(4)
        server.post(4)
        assert stream.reports(12) == list(range(begin + 1, begin + 13))
