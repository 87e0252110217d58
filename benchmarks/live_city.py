"""A served district that takes events, in a process of its own: what the benchmarks of the living twin send to."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson

import data_samples
from data_samples.events import EVENTS
from pipelines.project import load_project
from pipelines.run import build
from twin.live.keys import new_key, secret_hash
from twin.live.open import open_keys

EXTRACT = Path(data_samples.__file__).parent / "extract"
BATCH = "application/cloudevents-batch+json"
_START_S = 60.0


@dataclass(frozen=True)
class City:
    """A built project with events on, and a key to send with."""

    root: Path
    key: str

    @property
    def store(self) -> Path:
        """Its log of events."""
        return self.root / "events.sqlite"

    @property
    def headers(self) -> dict[str, str]:
        """What a batch is sent with."""
        return {"authorization": f"Bearer {self.key}", "content-type": BATCH}


def make_city(root: Path, source: Path = EXTRACT, live: str = "") -> City:
    """Copies and builds a sample, and makes a key that may write.

    Args:
        root: Folder to make.
        source: The sample's folder.
        live: More lines for `[live]`, which stands last in its `twin.toml`.
    """
    shutil.copytree(source, root)
    with (root / "twin.toml").open("a", encoding="utf-8") as file:
        file.write(f"\n{live}\n")
    build(load_project(root))
    key, text = new_key("benchmark", ("write",))
    keys = open_keys(root / "events.sqlite")
    try:
        keys.add(key, secret_hash(text))
    finally:
        keys.close()
    return City(root, text)


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as opened:
        return int(opened.getsockname()[1])


@contextmanager
def served(city: City, environment: Mapping[str, str] | None = None) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """`twin serve` as a user runs it; ended on the way out, killed where it does not end."""
    port = free_port()
    twin = Path(sys.executable).parent / "twin"
    command = [str(twin), "serve", "-C", str(city.root), "--port", str(port)]
    log = (city.root / "serve.log").open("ab")
    process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(environment or {})})
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(url, process)
        yield url, process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Returns once the server answers.

    Raises:
        SystemExit: It ended, or took too long.
    """
    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"{url}/release", timeout=5).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise SystemExit(f"the server did not start (exit code {process.poll()}); see serve.log in its folder")


def sample_events(root: Path) -> list[dict[str, Any]]:
    """The day of a sample: addresses, codes, positions and sensors in the share they have there."""
    return [orjson.loads(line) for line in (root / EVENTS).read_bytes().splitlines()]


def renamed(events: Sequence[dict[str, Any]], count: int, run: str) -> list[dict[str, Any]]:
    """So many events, made of a day by repeating it under other ids and cases."""
    found = []
    for number in range(count):
        event = events[number % len(events)]
        turn = f"{run}{number // len(events)}"
        data = {**event["data"], "case": f"{event['data']['case']}.{turn}"}
        found.append({**event, "id": f"{event['id']}.{turn}", "data": data})
    return found
