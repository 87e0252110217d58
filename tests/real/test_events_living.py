"""Real tickets, vehicles and weather go through a served twin: counted, in order, once, and found again.

Nothing real happened in the sample district, so positions are moved there by one offset each, stated below: shapes,
distances and times stay those of the source.
"""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import data_samples
from pipelines.project import load_project
from pipelines.run import build
from server.app import create_app
from server.settings import Settings
from tests.server.live_district import BATCH, Sender, make_key, running
from twin.live.cloudevents import to_cloudevent
from twin.live.formats import read_rows
from twin.live.mapping import read_mapping
from twin.live.model import Filter, Report
from twin.live.times import write_time

pytestmark = pytest.mark.real
MAPPINGS = Path(__file__).parent / "mappings"
EXTRACT = Path(data_samples.__file__).parent / "extract"
#: The middle of the sample's square kilometre, degrees.
MIDDLE = (121.4185, 31.2185)
#: Of the data sets, degrees: Baltimore's Inner Harbor and the crossing in Athens come to lie there.
BALTIMORE, ATHENS = (-76.6120, 39.2900), (23.7330, 37.9905)
BROKEN_EVERY = 500


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("living") / "extract"
    shutil.copytree(EXTRACT, folder)
    build(load_project(folder))
    return folder


@pytest.fixture
def sender(built: Path, tmp_path: Path) -> Iterator[Sender]:
    """Speaks to a twin of its own over the built sample, as a dispatch platform with a key would."""
    root = tmp_path / "city"
    shutil.copytree(built, root)
    with (root / "sensors.csv").open("a", encoding="utf-8") as table:
        for name, unit in (("air-temperature", "Cel"), ("humidity", "%"), ("pressure", "hPa"), ("wind", "m/s")):
            table.write(f"weather/{name},{name},,{MIDDLE[0]},{MIDDLE[1]},{name},{name},{unit}\n")
    _, key = make_key(root, "admin")
    app = create_app(Settings(root))
    with running(app) as client:
        yield Sender(client, key, app)


def moved(reports: list[Report], origin: tuple[float, float]) -> list[Report]:
    """Positions by the offset from `origin` to the sample's middle."""
    return [
        report
        if report.place.lon is None or report.place.lat is None
        else replace(
            report,
            place=replace(
                report.place,
                lon=report.place.lon - origin[0] + MIDDLE[0],
                lat=report.place.lat - origin[1] + MIDDLE[1],
            ),
        )
        for report in reports
    ]


def read(path: Path, mapping: str) -> list[Report]:
    return [row for row in read_rows(path, read_mapping(MAPPINGS / mapping)) if isinstance(row, Report)]


def send(sender: Sender, events: list[dict[str, Any]]) -> Counter[str]:
    told: Counter[str] = Counter()
    for start in range(0, len(events), 5000):
        answer = sender.post(events[start : start + 5000], BATCH)
        assert answer.status_code == 200, answer.text
        told.update({word: answer.json()[word] for word in ("taken", "known", "refused")})
    return told


def test_seven_thousand_tickets_are_counted_closed_in_order_and_taken_once(sender: Sender, real_data: Path) -> None:
    path = real_data / "events/baltimore_311_dev/baltimore_311_dev.csv"
    reports = sorted(moved(read(path, "baltimore_311.toml"), BALTIMORE), key=lambda one: one.occurred_ms)
    events = [to_cloudevent(report) for report in reports]
    for broken in events[::BROKEN_EVERY]:
        del broken["time"], broken["type"]
    refused = len(events[::BROKEN_EVERY])

    told = send(sender, events)
    store = sender.app.live.store  # type: ignore[union-attr]
    counts = store.counts()
    assert told == {"taken": len(events) - refused, "known": 0, "refused": refused}
    assert counts["linked"] + counts["unlinked"] + counts["refused"] == len(events) == 13_937
    assert counts["refused"] == refused and counts["linked"] > 20, "some came to lie on houses of the sample"

    assert send(sender, events) == {"taken": 0, "known": len(events) - refused, "refused": refused}
    assert store.counts()["reports"] == counts["reports"], "a second replay adds nothing"

    good = [report for number, report in enumerate(reports) if number % BROKEN_EVERY]
    lives: dict[str, list[Report]] = defaultdict(list)
    for report in good:
        lives[report.case].append(report)
    state, _ = store.state(Filter(kinds=frozenset({"hotline"})))
    assert {one.report.case for one in state} == set(lives) and counts["cases"] == len(lives)
    for one in state:
        last = max(lives[one.report.case], key=lambda report: report.occurred_ms)
        assert one.report.occurred_ms == last.occurred_ms, "the state is what happened last"
    # 1,510 tickets are closed in the second of their creation: of equal times what was told last is the state
    still_open = sum(one.report.status != "closed" for one in state)
    assert counts["open"] == still_open < 200

    order = [one.report.occurred_ms for one in store.after(0, 20_000)]
    assert order == sorted(order), "the log has the order in which it was replayed"


def test_what_is_linked_lies_where_the_ticket_says(sender: Sender, real_data: Path) -> None:
    path = real_data / "events/baltimore_311_dev/baltimore_311_dev.csv"
    created = [one for one in moved(read(path, "baltimore_311.toml"), BALTIMORE) if one.status == "created"]
    send(sender, [to_cloudevent(report) for report in created])
    linked = sender.app.live.store.select(Filter(linked=True), 1000)  # type: ignore[union-attr]
    assert linked
    for one in linked:
        assert one.link.method in ("contains", "near"), "no address of Baltimore is one of the sample's"
        drawn, said = (one.link.lon, one.link.lat), (one.report.place.lon, one.report.place.lat)
        assert drawn == pytest.approx(said, abs=1e-8)
        assert one.link.distance_m is not None and one.link.distance_m < 100


def test_fifty_vehicles_move_once_a_second_and_end_where_they_were_seen_last(sender: Sender, real_data: Path) -> None:
    path = real_data / "events/athens_vehicles_pneuma/data_sparsify.csv"
    reports = sorted(moved(read(path, "vehicles.toml"), ATHENS), key=lambda one: (one.occurred_ms, one.case))
    assert send(sender, [to_cloudevent(report) for report in reports])["taken"] == len(reports) == 23_293

    tracks: dict[str, list[Report]] = defaultdict(list)
    for report in reports:
        tracks[report.case].append(report)
    store = sender.app.live.store  # type: ignore[union-attr]
    for case, track in list(tracks.items())[::10]:
        kept = [one.report for one in store.case("urn:fleet:athens", case)]
        assert [one.occurred_ms for one in kept] == [one.occurred_ms for one in track]
        places = np.array([(one.place.lon, one.place.lat, one.value) for one in kept], dtype=float)
        wanted = np.array([(one.place.lon, one.place.lat, one.value) for one in track], dtype=float)
        np.testing.assert_array_equal(places, wanted)
        assert np.median(np.diff([one.occurred_ms for one in kept])) == 1000

    answer = sender.get("/events/state?kind=position")
    assert answer.status_code == 200, answer.text
    shown = {event["data"]["case"]: event["data"]["place"] for event in answer.json()["events"]}
    assert set(shown) == set(tracks) and len(shown) == 50
    for case, track in tracks.items():
        assert (shown[case]["lon"], shown[case]["lat"]) == (track[-1].place.lon, track[-1].place.lat)


def test_a_year_of_weather_is_read_back_through_sensorthings(sender: Sender, real_data: Path) -> None:
    everything = read(real_data / "events/weather_hourly/athens_2023.epw", "epw.toml")
    series = {name: [one for one in everything if one.case == name] for name in ("air-temperature", "wind")}
    sent = [replace(one, place=replace(one.place, lon=None, lat=None)) for rows in series.values() for one in rows]
    assert send(sender, [to_cloudevent(one) for one in sent])["taken"] == 2 * 8760

    streams = sender.get("/sta/v1.1/Datastreams").json()["value"]
    assert len(streams) == 2
    for stream in streams:
        rows, link = [], f"{_path(stream['Observations@iot.navigationLink'])}?$top=1000"
        while link:
            page = sender.get(link).json()
            rows += page["value"]
            link = _path(page.get("@iot.nextLink", ""))
        unit = stream["unitOfMeasurement"]["symbol"]
        wanted = series["air-temperature" if unit == "Cel" else "wind"]
        assert len({row["@iot.id"] for row in rows}) == len(rows) == 8760
        found = sorted((row["phenomenonTime"], row["result"]) for row in rows)
        assert found == [(write_time(one.occurred_ms), one.value) for one in wanted]
    located = sender.get("/sta/v1.1/Locations").json()["value"]
    places = [one["location"]["coordinates"][:2] for one in located]
    assert places and all(place == pytest.approx(MIDDLE, abs=1e-6) for place in places)


def _path(link: str) -> str:
    """The path and query of an absolute link."""
    return link.removeprefix("http://server")
