"""What the living twin costs the browser's main thread: 5,000 open events, 20 updates a second, a view at rest.

usage: python -m benchmarks.live_view [DIR]    DIR: a built project with [live] (default: the sample, built now)

The server, the stream and the page are the real ones; Chromium says itself how long its main thread was busy
(`Performance.getMetrics`, TaskDuration). Pictures are made by a software renderer in a process of its own, which is
not counted, as a graphics card would not be; but it takes one of the two cores from everybody else. Prints JSON.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from playwright.sync_api import sync_playwright

from benchmarks.machine import hardware, load
from server.live.opening import events_location
from tests.e2e.conftest import FLAGS
from tests.e2e.served import Served, serving
from twin.live.keys import new_key, secret_hash
from twin.live.open import open_keys

_EVENTS = 5000
_RATE = 20
_SECONDS = 15
_SEVERITIES = ("low", "low", "low", "medium", "medium", "high", "critical")


def main() -> None:
    """Runs the benchmark."""
    with tempfile.TemporaryDirectory(prefix="twin-bench-") as folder:
        root = Path(folder) / "project"
        if len(sys.argv) > 1:
            shutil.copytree(sys.argv[1], root, ignore=shutil.ignore_patterns("events.sqlite*"))
        else:
            _demo(root)
        toml = root / "twin.toml"
        text = toml.read_text(encoding="utf-8")
        toml.write_text(text.replace("[live]\n", "[live]\nread_without_key = true\n", 1), encoding="utf-8")
        key, secret = new_key("bench", ("write",))
        with open_keys(events_location(root)) as keys:  # type: ignore[attr-defined]
            keys.add(key, secret_hash(secret))
        with serving(root) as served:
            geids = [row["geid"] for row in served.rows("geid", "tile") if row["tile"] is not None]
            _post(served, secret, [_event(geids, number, "created") for number in range(_EVENTS)])
            rows = {quality: _measure(served, secret, geids, quality) for quality in ("low", "high")}
    print(json.dumps({"main_thread": rows, "load_before": round(load(), 2), "machine": hardware()}, indent=1))


def _demo(root: Path) -> None:
    program = str(Path(sys.executable).with_name("twin"))
    subprocess.run([program, "demo", "--no-serve", "-o", str(root)], check=False, capture_output=True)


def _event(geids: list[str], number: int, status: str) -> dict[str, Any]:
    chance = random.Random(number)
    data = {
        "case": f"W-{number}",
        "title": f"井盖缺失 {number}",
        "severity": chance.choice(_SEVERITIES),
        "place": {"geid": chance.choice(geids)},
    }
    return {
        "specversion": "1.0",
        "id": f"{number}-{status}-{time.time_ns()}",
        "source": "urn:bench",
        "type": f"twin.work_order.{status}",
        "time": datetime.now(UTC).isoformat(),
        "data": data,
    }


def _post(served: Served, secret: str, events: list[dict[str, Any]]) -> None:
    headers = {"content-type": "application/cloudevents-batch+json", "authorization": f"Bearer {secret}"}
    request = Request(f"{served.url}events", data=json.dumps(events).encode(), headers=headers)
    with urlopen(request, timeout=60) as answer:
        told = json.load(answer)
    if told["refused"]:
        raise SystemExit(f"events were refused: {told}")


def _measure(served: Served, secret: str, geids: list[str], quality: str) -> dict[str, Any]:
    query = "?quality=low" if quality == "low" else ""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(FLAGS))
        context = browser.new_context(viewport={"width": 1280, "height": 720}, bypass_csp=True)
        page = context.new_page()
        page.set_default_timeout(240_000)
        page.goto(f"{served.url}viewer/{query}")
        page.wait_for_function("() => window.twin?.ready.then(() => true)")
        page.wait_for_function(f"() => window.twin.state().live?.cases >= {_EVENTS}")
        page.wait_for_timeout(8000)
        session = context.new_cdp_session(page)
        session.send("Performance.enable")
        quiet = _busy(session, page)
        stop = threading.Event()
        sender = threading.Thread(target=_send, args=(served, secret, geids, stop))
        before = page.evaluate("() => window.twin.state().live.position")
        sender.start()
        busy = _busy(session, page)
        stop.set()
        sender.join()
        after = page.evaluate("() => window.twin.state().live")
        browser.close()
    seen = int(after["position"].rsplit("-", 1)[1]) - int(before.rsplit("-", 1)[1])
    return {
        "without_updates_ms_per_s": quiet,
        "with_updates_ms_per_s": busy,
        "updates_per_s": round(seen / _SECONDS, 1),
        "markers": after["markers"],
        "entities_lit": after["lit"],
    }


def _send(served: Served, secret: str, geids: list[str], stop: threading.Event) -> None:
    chance = random.Random(1)
    begin, sent = time.perf_counter(), 0
    while not stop.is_set():
        status = chance.choice(("accepted", "dispatched", "handled"))
        _post(served, secret, [_event(geids, chance.randrange(_EVENTS), status)])
        sent += 1
        stop.wait(max(0.0, begin + sent / _RATE - time.perf_counter()))


def _busy(session: Any, page: Any) -> float:
    """Milliseconds a second the main thread was at work."""

    def read() -> dict[str, float]:
        return {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}

    first = read()
    page.wait_for_timeout(_SECONDS * 1000)
    last = read()
    lapse = last["Timestamp"] - first["Timestamp"]
    return round(1000 * (last["TaskDuration"] - first["TaskDuration"]) / lapse, 1)


if __name__ == "__main__":
    main()
