"""The living twin in a real browser: what is posted is seen where it happens, and a cut connection costs nothing."""

from __future__ import annotations

import itertools
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from server.live.opening import events_location
from tests.e2e.served import Served, serving
from tests.e2e.visit import Visit
from tests.e2e.wire import wired
from twin.live.keys import new_key, secret_hash
from twin.live.open import open_keys

pytestmark = pytest.mark.browser
Open = Callable[[Served], Visit]
_NUMBERS = itertools.count(1)
_COLOUR_AT = """([left, top]) => {
  const { scene, canvas } = window.twin.viewer;
  const box = canvas.getBoundingClientRect();
  const c = scene.pick({ x: left - box.left, y: top - box.top })?.color;
  return c ? [c.red, c.green, c.blue].map((part) => Math.round(part * 255)) : null;
}"""
HIGH = [255, 138, 61]


@dataclass(frozen=True)
class Living:
    """A served district with events, and a key that may send some."""

    served: Served
    key: str

    def post(self, *events: dict[str, Any]) -> Any:
        """Sends events; each has to be taken."""
        request = Request(
            f"{self.served.url}events",
            data=json.dumps(list(events)).encode(),
            headers={"content-type": "application/cloudevents-batch+json", "authorization": f"Bearer {self.key}"},
        )
        with urlopen(request, timeout=30) as answer:
            told = json.load(answer)
        assert told["refused"] == 0 and told["taken"] == len(events), told
        return told


def event(case: str, status: str = "created", kind: str = "work_order", **data: Any) -> dict[str, Any]:
    """A report that occurs now."""
    return {
        "specversion": "1.0",
        "id": f"m{next(_NUMBERS)}-{time.time_ns()}",
        "source": "urn:test:dispatch",
        "type": f"twin.{kind}.{status}",
        "time": datetime.now(UTC).isoformat(),
        "data": {"case": case, "title": f"井盖缺失 {case}", "severity": "medium", **data},
    }


def project(extract: Path, folder: Path, live: str) -> tuple[Path, str]:
    """A copy of the built extract with its own settings of events and a key."""
    root = folder / "living"
    shutil.copytree(extract, root, ignore=shutil.ignore_patterns("events.sqlite*"))
    toml = root / "twin.toml"
    text = toml.read_text(encoding="utf-8")
    assert "[live]\n" in text
    toml.write_text(text.replace("[live]\n", f"[live]\n{live}\n", 1), encoding="utf-8")
    key, secret = new_key("test", ("write", "read"))
    with open_keys(events_location(root)) as keys:  # type: ignore[attr-defined]
        keys.add(key, secret_hash(secret))
    return root, secret


@pytest.fixture
def living(extract: Path, built_viewer: None, tmp_path: Path) -> Iterator[Living]:
    """Anybody on this machine may read, one key may write."""
    root, key = project(extract, tmp_path, "read_without_key = true")
    with serving(root) as served:
        yield Living(served, key)


def alive(page: Visit, rest: str = "?quality=low&lang=en") -> Visit:
    """Opens the page and waits until the stream is there."""
    page.go(rest)
    page.wait_for_state("s.live?.connection === 'live'")
    return page.settle()


def lit(page: Visit, geid: str) -> Any:
    return page.page.evaluate("(geid) => window.twin.overlay().paint.litAs(geid) ?? null", geid)


def in_sight(page: Visit) -> tuple[Any, list[float]]:
    """A building whose roof is on the screen."""
    for geid in page.served.tallest(40):
        entity = page.served.entity(geid)
        point = page.roof(entity)
        if point is not None and page.feature_at(point) == geid:
            return entity, point
    raise AssertionError("no tall building is on the screen")


def test_a_posted_event_lights_its_building_the_card_tells_it_and_closing_clears_it(
    visit: Open, living: Living
) -> None:
    page = alive(visit(living.served))
    entity, point = in_sight(page)
    geid = entity["geid"]
    before = page.page.evaluate(_COLOUR_AT, point)
    living.post(
        event("W-1", severity="high", place={"geid": geid}, note="called in", photos=["https://x.example/1.jpg"])
    )
    page.wait_for_state("s.live.markers === 1 && s.live.lit === 1")
    assert lit(page, geid) == 3
    # The marker stands on the roof; without it the building itself is asked.
    page.page.evaluate(
        "() => { const o = window.twin.overlay(); o.markers.show(false); window.twin.viewer.scene.requestRender() }"
    )
    page.wait_for_state("true")
    assert page.page.evaluate(_COLOUR_AT, point) == HIGH != before
    page.page.evaluate("() => window.twin.overlay().markers.show(true)")
    page.screenshot("live-lit")

    page.page.click(".live-list .rows button:has-text('W-1')")
    page.page.wait_for_selector(".live-card:not([hidden]) .life li")
    card = page.page.inner_text(".live-card")
    for shown in ("井盖缺失 W-1", "called in", "created", "identifier", geid, "100 %", "Photo 1"):
        assert shown in card
    page.wait_for_state(f"s.selected === '{geid}' && s.highlighted")
    living.post(event("W-1", "dispatched", severity="high", place={"geid": geid}))
    page.page.wait_for_selector(".live-card .chip[data-status=dispatched]")
    page.page.wait_for_selector(".live-card .life li:nth-child(2)")
    page.screenshot("live-card")

    living.post(event("W-1", "closed", severity="high", place={"geid": geid}))
    page.page.wait_for_selector(".live-card .chip[data-status=closed]")
    page.wait_for_state("s.live.markers === 0 && s.live.lit === 0")
    page.page.wait_for_selector(".live-list .rows button", state="detached")
    page.page.click(".live-card header button")
    page.wait_for_state("s.selected === undefined && s.live.chosen === undefined")
    assert page.page.evaluate(_COLOUR_AT, point) == before
    page.page.wait_for_selector(".figure.open b:text-is('0')")


def test_a_cut_connection_is_told_and_taken_up_without_loss_and_without_repetition(visit: Open, living: Living) -> None:
    entities = living.served.rows("geid")
    with wired(living.served.url) as (url, wire):
        page = alive(visit(replace(living.served, url=url)))
        page.page.evaluate(
            "() => { window.got = []; window.twin.overlay().book.listen((_, fresh) => "
            "window.got.push(...fresh.map((e) => e.offset))) }"
        )
        offsets: list[int] = []

        def post(case: str) -> None:
            place = {"geid": entities[len(offsets) % len(entities)]["geid"]}
            offsets.extend(row["offset"] for row in living.post(event(case, place=place))["rows"])

        post("before")
        page.wait_for_state("s.live.cases === 1")
        for number in range(3):
            wire.cut()
            page.page.wait_for_selector(".badge.stale")
            assert "Connection lost" in page.page.inner_text(".badge")
            for each in range(7):
                post(f"away-{number}-{each}")
            if number == 0:
                page.screenshot("live-stale")
            wire.mend()
            page.wait_for_state(f"s.live.resumed === {number + 1} && s.live.cases === {len(offsets)}")
            page.page.wait_for_selector(".badge.live")
        post("after")
        page.wait_for_state(f"s.live.cases === {len(offsets)}")
        assert page.page.evaluate("() => window.got") == offsets, "each report once, in order"
        assert sum("/events/state" in request.url for request in page.requests) == 1, "resumed, not read anew"
        # What the browser complains of while there is no server is what this test did.
        page.complaints[:] = [told for told in page.complaints if "/events/stream" not in told and "ERR_" not in told]


def test_what_is_tied_to_nothing_stands_at_its_position_and_in_the_list(visit: Open, living: Living) -> None:
    west, south, _, north = living.served.get("release")["layers"]["buildings"]["region"][:4]
    page = alive(visit(living.served))
    living.post(
        event("street", place={"lon": west - 0.0004, "lat": (south + north) / 2}, severity="low"),
        event("nowhere", place={"address": "无此路 99999 号"}),
    )
    page.wait_for_state("s.live.cases === 2 && s.live.markers === 1")
    page.page.wait_for_selector(".live-list .rows button:nth-child(1)")
    page.page.wait_for_selector(".figure.unlinked b:text-is('2')")
    page.page.fill(".live-list input", "nowhere")
    page.wait_for_state("s.live.markers === 0")
    assert page.page.locator(".live-list .rows button").count() == 1
    page.page.click(".live-list .rows button")
    page.page.wait_for_selector(".live-card:not([hidden])")
    assert "Place unknown" in page.page.inner_text(".live-card")


def test_vehicles_move_from_fix_to_fix_and_one_is_followed(visit: Open, living: Living) -> None:
    west, south, east, north = living.served.get("release")["layers"]["buildings"]["region"][:4]
    lon, lat = (west + east) / 2, (south + north) / 2
    page = alive(visit(living.served))
    living.post(event("car", "observed", "position", title="Car 7", severity="info", place={"lon": lon, "lat": lat}))
    page.wait_for_state("s.live.movers === 1 && s.live.markers === 0")
    key = page.page.evaluate("() => [...window.twin.overlay().book.cases.keys()][0]")
    page.page.evaluate("(key) => { const o = window.twin.overlay(); o.choose(o.book.cases.get(key)) }", key)
    page.page.click(".live-card .follow")
    page.wait_for_state("s.live.following !== undefined")
    start = page.state()["camera"]
    living.post(
        event("car", "observed", "position", title="Car 7", severity="info", place={"lon": lon + 0.001, "lat": lat})
    )
    state = page.wait_for_state(f"s.camera.lon > {start['lon'] + 0.00098}")
    assert state["camera"]["lon"] == pytest.approx(start["lon"] + 0.001, abs=2e-5)
    assert state["camera"]["lat"] == pytest.approx(start["lat"], abs=2e-5)


def test_a_day_is_replayed_and_a_button_leads_back_to_now(visit: Open, living: Living) -> None:
    geids = [row["geid"] for row in living.served.rows("geid")][:3]
    midnight = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    passed = (datetime.now().astimezone() - midnight).total_seconds()

    def early(share: float, **more: Any) -> dict[str, Any]:
        moment = datetime.fromtimestamp(midnight.timestamp() + passed * share, UTC)
        return {**event(**more), "time": moment.isoformat()}

    living.post(
        early(0.1, case="A", place={"geid": geids[0]}),
        early(0.2, case="B", place={"geid": geids[1]}),
        early(0.5, case="A", status="closed", place={"geid": geids[0]}),
        early(0.7, case="C", place={"geid": geids[2]}),
    )
    page = alive(visit(living.served))
    page.wait_for_state("s.live.markers === 2")
    page.page.click("[data-tool=time]")
    page.page.wait_for_selector(".badge.replay")
    page.page.wait_for_function("() => document.querySelector('.live-timeline .quiet').textContent.startsWith('4 ')")
    for share, marked in ((0.15, 1), (0.3, 2), (0.6, 1), (0.8, 2), (0.05, 0)):
        moment = (midnight.timestamp() + passed * share) * 1000
        page.page.evaluate("(moment) => window.twin.overlay().tools.timeline.seek(moment)", moment)
        page.wait_for_state(f"s.live.markers === {marked} && Math.abs(s.live.replay - {moment}) < 1000")
    living.post(event("D", place={"geid": geids[0]}))
    page.page.click(".live-timeline .back")
    page.wait_for_state("s.live.replay === undefined && s.live.markers === 3")


def test_the_indicators_stand_beside_the_map(visit: Open, living: Living) -> None:
    hours_ago = {"time": datetime.fromtimestamp(time.time() - 5 * 3600, UTC).isoformat()}
    living.post({**event("W-1", place={"geid": living.served.tallest(1)[0]}), **hours_ago})
    page = alive(visit(living.served))
    page.page.click("[data-tool=wall]")
    page.page.wait_for_selector(".signs button:nth-child(12)")
    names = {one["name"]["en"] for one in living.served.get("indicators")["indicators"]}
    assert set(page.page.locator(".signs .name").all_inner_texts()) == names
    unknown = page.page.locator(".signs button[data-light=unknown] b")
    assert unknown.count() and set(unknown.all_inner_texts()) == {"unknown"}, "no data is unknown, never 0"
    page.page.wait_for_selector(".ranking svg text")
    page.page.wait_for_selector(".signs .spark svg path:not([d=''])", state="attached")
    page.screenshot("live-indicators")


def test_a_server_that_wants_a_key_is_given_one(visit: Open, extract: Path, built_viewer: None, tmp_path: Path) -> None:
    root, key = project(extract, tmp_path, "read_without_key = false")
    with serving(root) as served:
        page = visit(served).go("?quality=low&lang=en")
        page.page.fill(".key-form input", key)
        page.page.click(".key-form button")
        page.wait_for_state("s.live.connection === 'live'")
        assert page.page.locator(".key-form").is_hidden()
        page.complaints[:] = [told for told in page.complaints if "401" not in told]
