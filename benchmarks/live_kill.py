"""Kills a server under load, again and again, and looks whether what it had acknowledged is there, and there once.

python -m benchmarks.live_kill [ROUNDS] [--senders 4] [--folder /var/tmp]

Every round: `twin serve` is started, senders post batches, the process gets SIGKILL at a random moment. A batch
that was not answered is sent again after the next start, under the same ids, as a sender in the field would. In the end
the log is read from its first report to its last. Exit code 1 where a report is missing or stands there twice.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import tempfile
import threading
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson

from benchmarks.live_city import City, make_city, renamed, sample_events, served
from benchmarks.machine import hardware, load
from twin.live.open import open_events

BATCH = 40
_ROUND_S = (0.15, 1.2)
Name = tuple[str, str]


@dataclass
class Sender:
    """Somebody who sends batch after batch, and keeps book of what was acknowledged.

    Attributes:
        name: Part of every id it sends.
        events: The day its events are made of.
        acknowledged: Offset by source and id, of everything that was answered.
        open: The batch without an answer; sent again first.
        again: Batches that had to be sent again.
        known: Reports of those which the server had, though it had not said so.
    """

    name: str
    events: list[dict[str, Any]]
    acknowledged: dict[Name, int] = field(default_factory=dict)
    open: list[dict[str, Any]] | None = None
    again: int = 0
    known: int = 0
    sent: int = 0

    def run(self, url: str, city: City) -> None:
        """Sends until the connection breaks."""
        with httpx.Client(base_url=url, headers=city.headers, timeout=30) as client:
            while True:
                self.again += self.open is not None
                batch = self.open = self.open or self._next()
                try:
                    answer = client.post("/events", content=orjson.dumps(batch))
                    answer.raise_for_status()
                except httpx.HTTPError:
                    return
                self._note(batch, answer.json())
                self.open = None

    def _next(self) -> list[dict[str, Any]]:
        self.sent += 1
        return renamed(self.events, BATCH, f"{self.name}-{self.sent}-")

    def _note(self, batch: list[dict[str, Any]], told: dict[str, Any]) -> None:
        self.known += told["known"]
        for event, row in zip(batch, told["rows"], strict=True):
            self.acknowledged[event["source"], event["id"]] = row["offset"]


@dataclass(frozen=True)
class Tally:
    """What the rounds have shown.

    Attributes:
        rounds: How often the server was killed.
        acknowledged: Reports it had acknowledged.
        stored: Reports in the log.
        missing: Acknowledged, but not in the log.
        twice: In the log more than once.
        moved: In the log at another offset than was acknowledged.
        batches_again: Batches sent again, since their answer never came.
        known: Reports of those that were in the log already.
    """

    rounds: int
    acknowledged: int
    stored: int
    missing: int
    twice: int
    moved: int
    batches_again: int
    known: int


def kill_rounds(city: City, rounds: int, senders: int = 4, seed: int = 1) -> Tally:
    """Runs the rounds and counts."""
    chance = random.Random(seed)
    day = sample_events(city.root)
    crowd = [Sender(f"s{number}", day) for number in range(senders)]
    for _ in range(rounds):
        with served(city) as (url, process):
            threads = [threading.Thread(target=one.run, args=(url, city)) for one in crowd]
            for thread in threads:
                thread.start()
            _kill_after(process, chance.uniform(*_ROUND_S), crowd)
            for thread in threads:
                thread.join()
    return count(city, crowd, rounds)


def _kill_after(process: subprocess.Popen[bytes], seconds: float, crowd: list[Sender]) -> None:
    """SIGKILL so long after the first answer of this round, and in the midst of the next batches."""
    before = sum(len(one.acknowledged) for one in crowd)
    pause = threading.Event()
    for _ in range(3000):
        if sum(len(one.acknowledged) for one in crowd) > before:
            break
        pause.wait(0.01)
    pause.wait(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()


def count(city: City, crowd: list[Sender], rounds: int) -> Tally:
    """Compares the books of the senders with the log."""
    told = {name: offset for one in crowd for name, offset in one.acknowledged.items()}
    there: Counter[Name] = Counter()
    where: dict[Name, int] = {}
    store = open_events(city.store)
    try:
        last = 0
        while rows := store.after(last, 10_000):
            last = rows[-1].offset
            for row in rows:
                there[row.report.source, row.report.id] += 1
                where[row.report.source, row.report.id] = row.offset
    finally:
        store.close()
    return Tally(
        rounds,
        len(told),
        there.total(),
        sum(name not in there for name in told),
        sum(times > 1 for times in there.values()),
        sum(where.get(name, offset) != offset for name, offset in told.items()),
        sum(one.again for one in crowd),
        sum(one.known for one in crowd),
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Kill a server under load and look what is left.")
    parser.add_argument("rounds", type=int, nargs="?", default=20)
    parser.add_argument("--senders", type=int, default=4)
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"))
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=asked.folder))
    try:
        tally = kill_rounds(make_city(folder / "city"), asked.rounds, asked.senders)
    finally:
        shutil.rmtree(folder)
    print(json.dumps({**asdict(tally), "load": load(), "machine": hardware()}, indent=1))
    if tally.missing or tally.twice or tally.moved:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
