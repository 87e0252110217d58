"""Features at a pair of times are what a plain reading of all versions says, and a past answer never changes."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server import timeline
from server.app import Application
from server.features import views
from server.features.interval import last_states
from tests.server.conftest import Answer, request
from tests.server.recorded_district import NAMES, SHED, Recorded, begin, day, stamp
from twin.registry.versions import RECORDED_FIELDS, VERSION_FIELDS, EditionKind, Time

Row = dict[str, Any]
TICK = dt.timedelta(microseconds=1)
FAR = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)
LONG_AGO = dt.datetime(1, 1, 2, tzinfo=dt.UTC)
HOUSE = "H00006"  # what the correction speaks of


def believed(rows: list[Row], valid: Time, as_of: Time = FAR) -> Row | None:
    """What counts of one entity for a pair of times, there or not."""
    known = [one for one in rows if one["recorded_at"] <= as_of]
    holding = [one for one in known if one["valid_from"] <= valid < (one["valid_to"] or FAR)]
    return max(holding, key=lambda one: one["edition"], default=None)


def last_there(rows: list[Row], begin: Time, end: Time, as_of: Time = FAR) -> Row | None:
    """The last state of one entity in an interval: tried at its ends, at every edge and just before each."""
    edges = {edge for one in rows for edge in (one["valid_from"], one["valid_to"]) if edge is not None}
    moments = {begin, end, *edges, *(edge - TICK for edge in edges)}
    states = (believed(rows, one, as_of) for one in sorted(moments, reverse=True) if begin <= one <= end)
    return next((one for one in states if one is not None and one["present"]), None)


def correct(recorded: Recorded) -> None:
    """Edition 5: from June to mid July house 6 was 77 m high, and house 7 was not there; then all is as before."""
    history = recorded.history()
    rows = [
        recorded.state(history, recorded.geids[HOUSE], height_m=77.0),
        recorded.state(history, recorded.geids["H00007"], present=False),
    ]
    span = {"valid_from": day("2026-06-01"), "valid_to": day("2026-07-15")}
    with history.write(EditionKind.CORRECTION, "scaffolding", day("2026-06-01")) as pen:
        pen.assert_versions(pa.Table.from_pylist([{**one, **span} for one in rows], schema=pa.schema(VERSION_FIELDS)))
    history.close()


def steps(recorded: Recorded) -> list[Callable[[], object]]:
    """The editions, in order."""
    more = [recorded.adopt, recorded.survey, recorded.merge, recorded.mistake, lambda: recorded.undo(4)]
    return [*more, lambda: correct(recorded)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return begin(tmp_path_factory.mktemp("features-time") / "district")


@pytest.fixture
def fresh(built: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """A copy nothing is recorded of; editions are seen at once."""
    monkeypatch.setattr(timeline, "_FRESH_SECONDS", -1.0)
    shutil.copytree(built.root, tmp_path / "district")
    return replace(built, root=tmp_path / "district")


@pytest.fixture(scope="module")
def told(built: Recorded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Recorded, Application]]:
    """The whole history and a server over it."""
    root = tmp_path_factory.mktemp("features-told") / "district"
    shutil.copytree(built.root, root)
    recorded = replace(built, root=root)
    for step in steps(recorded):
        step()
    app = recorded.app()
    yield recorded, app
    app.timeline.close()
    app.releases.close()


def everything(recorded: Recorded) -> dict[str, list[Row]]:
    """All versions of all entities."""
    history = recorded.history()
    found = {name: history.versions(name).to_pylist() for name in (*recorded.geids.values(), SHED)}
    history.close()
    return found


def ask(app: Application, path: str = "", **times: str) -> Answer:
    query = urlencode({name.replace("_", "-"): text for name, text in times.items()})
    return request(app, f"/collections/Building/items{path}?{query}")


def states(answer: Answer) -> dict[str, tuple[Any, ...]]:
    assert answer.status == 200, answer.body
    return {one["id"]: summary(one["properties"]) for one in answer.json()["features"]}


def summary(facts: Row) -> tuple[Any, ...]:
    times = (facts["valid_from"], facts["valid_to"])
    read = (dt.datetime.fromisoformat(one) if isinstance(one, str) else one for one in times)
    return (facts["height_m"], *read)


def wanted(rows: dict[str, Row | None]) -> dict[str, tuple[Any, ...]]:
    return {name: summary(one) for name, one in rows.items() if one is not None and one["present"]}


MOMENTS = [day(f"2026-{month:02}-{date}") for month in range(1, 10) for date in ("01", "15")] + [day("2025-12-31")]
EDGES = [*MOMENTS, *(one - TICK for one in MOMENTS)]


def knowledge(recorded: Recorded) -> list[Time]:
    """Just before and at every edition, and later."""
    history = recorded.history()
    at = [one.recorded_at for one in history.editions()]
    history.close()
    return [*at, *(one - TICK for one in at), FAR]


def test_items_of_an_instant_are_what_all_versions_say(told: tuple[Recorded, Application]) -> None:
    recorded, app = told
    versions = everything(recorded)
    for as_of in knowledge(recorded):
        for valid in (*EDGES[::5], day("2026-06-15")):
            plain = {name: believed(rows, valid, as_of) for name, rows in versions.items()}
            assert states(ask(app, datetime=stamp(valid), as_of=stamp(as_of))) == wanted(plain)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_items_of_an_interval_are_the_last_states_in_it(
    told: tuple[Recorded, Application], data: st.DataObject
) -> None:
    recorded, app = told
    versions = everything(recorded)
    begin, end = sorted((data.draw(st.sampled_from(EDGES)), data.draw(st.sampled_from(EDGES))))
    as_of = data.draw(st.sampled_from(knowledge(recorded)))
    left, right = data.draw(st.sampled_from([(True, True), (False, True), (True, False), (False, False)]))
    span = f"{stamp(begin) if left else '..'}/{stamp(end) if right else '..'}"
    since, until = begin if left else LONG_AGO, end if right else FAR - TICK
    plain = {name: last_there(rows, since, until, as_of) for name, rows in versions.items()}
    assert states(ask(app, datetime=span, as_of=stamp(as_of))) == wanted(plain)
    for name, row in plain.items():
        alone = ask(app, f"/{name}", datetime=span, as_of=stamp(as_of))
        assert (alone.status == 200) is (row is not None)
        assert row is None or summary(alone.json()["properties"]) == summary(row)


def test_what_returns_after_a_correction_in_the_middle_of_an_interval_is_found(
    told: tuple[Recorded, Application],
) -> None:
    recorded, app = told
    six, seven = recorded.geids[HOUSE], recorded.geids["H00007"]
    before = states(ask(app, datetime="2026-05-15"))
    during = states(ask(app, datetime="2026-06-15"))
    returned = states(ask(app, datetime="2026-06-15/2026-08-01"))
    assert (during[six][0], seven in during) == (77.0, False)
    assert returned[six][0] == before[six][0] != 77.0
    assert returned[seven][0] == before[seven][0]
    assert states(ask(app, datetime="2026-06-15/2026-07-14"))[six][0] == 77.0


def test_one_feature_is_the_one_of_the_collection(told: tuple[Recorded, Application]) -> None:
    recorded, app = told
    for valid in ("2026-02-01", "2026-03-15", "2026-06-15"):
        document = ask(app, datetime=valid).json()
        assert document["numberMatched"] == document["numberReturned"] == len(document["features"]) >= 10
        for feature in document["features"]:
            alone = ask(app, f"/{feature['id']}", datetime=valid).json()
            assert {key: alone[key] for key in feature if key != "links"} == {
                key: value for key, value in feature.items() if key != "links"
            }
    assert recorded.geids["H00002"] in states(ask(app, datetime="2026-02-01"))


def test_an_answer_for_a_past_pair_never_changes_after_later_writes(fresh: Recorded) -> None:
    app = fresh.app()
    kept: dict[tuple[str, str], Any] = {}

    def features(span: str, known: str) -> Any:
        return ask(app, datetime=span, as_of=known).json()["features"]

    for step in steps(fresh):
        step()
        history = fresh.history()
        known = stamp(history.editions()[-1].recorded_at)
        history.close()
        for span in ("2026-02-01", "2026-03-15", "2026-05-15", "2026-06-15/2026-08-01", "../2026-04-15"):
            kept[span, known] = features(span, known)
        for (span, moment), said in kept.items():
            assert features(span, moment) == said
    assert len({str(one) for one in kept.values()}) >= 6  # they do differ from each other
    app.timeline.close()
    app.releases.close()


def test_a_retired_feature_answers_410_with_its_successors_and_200_when_it_stood(
    told: tuple[Recorded, Application],
) -> None:
    recorded, app = told
    split = recorded.geids["H00002"]
    after = {recorded.geids["H00003"], recorded.geids["H00004"]}  # the shed has since become part of house 4
    for span in ("2026-03-15", "2026-03-01/..", "2026-04-01/2026-06-01"):
        gone = ask(app, f"/{split}", datetime=span)
        assert gone.status == 410, gone.body
        assert {one["geid"] for one in gone.json()["successors"]} == after
        for name in after:
            assert f'</entities/{name}>; rel="successor-version"' in gone.headers["link"]
    for span in ("2026-02-01", "2026-02-01/..", stamp(day("2026-03-01") - TICK)):
        assert ask(app, f"/{split}", datetime=span).status == 200
    assert ask(app, f"/{split}", datetime="2025-12-01").status == 404  # nothing is said of that time
    assert ask(app, f"/{SHED}", datetime="2026-03-15").status == 200
    shed = ask(app, f"/{SHED}")  # no release ever held it; only the history knows
    assert (shed.status, [one["geid"] for one in shed.json()["successors"]]) == (410, [recorded.geids["H00004"]])


def test_a_collection_says_since_when_there_is_a_record_and_lives_on_in_the_past(fresh: Recorded) -> None:
    app = fresh.app()
    assert request(app, "/collections/Building").json()["extent"]["temporal"] == {"interval": [[None, None]]}
    fresh.adopt()
    history = fresh.history()
    kiosk = fresh.state(history, fresh.geids["H00001"], geid=SHED, entity_class="Kiosk")
    span = {"valid_from": day("2024-01-01"), "valid_to": day("2025-01-01")}
    with history.write(EditionKind.CORRECTION, "an old map", day("2024-01-01")) as pen:
        pen.assert_versions(pa.Table.from_pylist([{**kiosk, **span}], schema=pa.schema(VERSION_FIELDS)))
    history.close()
    interval = request(app, "/collections/Building").json()["extent"]["temporal"]["interval"]
    assert interval == [["2024-01-01T00:00:00Z", None]]
    old = request(app, "/collections/Kiosk/items?datetime=2024-06-01").json()
    assert [one["id"] for one in old["features"]] == [SHED]
    assert request(app, f"/collections/Kiosk/items/{SHED}?datetime=2024-06-01").status == 200
    assert request(app, f"/collections/Building/items/{SHED}?datetime=2024-06-01").status == 404
    assert request(app, "/collections/Kiosk/items").status == 404
    app.timeline.close()
    app.releases.close()


def test_the_present_is_read_once_and_anew_after_an_edition_or_half_a_minute(
    fresh: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.adopt()
    app = fresh.app()
    read: list[object] = []
    inner = views.snapshot

    def counted(*asked: Any) -> pa.Table:
        read.append(asked)
        return inner(*asked)

    monkeypatch.setattr(views, "snapshot", counted)
    first = [ask(app, as_of=stamp(FAR), limit="1").body.split(b'"timeStamp"')[0] for _ in range(5)]
    assert len(read) == 1 and len(set(first)) == 1
    fresh.survey()
    assert fresh.geids["H00002"] not in states(ask(app, as_of=stamp(FAR), limit="1000"))
    assert len(read) == 2
    monkeypatch.setattr(views, "_NOW_SECONDS", -1.0)
    ask(app, as_of=stamp(FAR))
    assert len(read) == 3
    app.timeline.close()
    app.releases.close()


SHORT = st.integers(0, 12)
CLAIM = st.tuples(st.sampled_from("abc"), SHORT, st.integers(1, 8) | st.none(), st.booleans())


def at(number: int) -> Time:
    return dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + number * TICK


@given(st.lists(CLAIM, max_size=12), SHORT | st.none(), SHORT | st.none())
def test_the_last_states_are_those_of_a_plain_loop(
    claims: list[tuple[str, int, int | None, bool]], begin: int | None, end: int | None
) -> None:
    if begin is not None and end is not None and begin > end:
        begin, end = end, begin
    empty: Row = dict.fromkeys((*NAMES, "edition", "recorded_at"))
    rows = [
        {**empty, "geid": name, "edition": edition, "valid_from": at(since), "present": there, "recorded_at": at(0),
         "valid_to": None if length is None else at(since + length)}
        for edition, (name, since, length, there) in enumerate(claims)
    ]  # fmt: skip
    since, until = LONG_AGO if begin is None else at(begin), FAR - TICK if end is None else at(end)
    meeting = [one for one in rows if one["valid_from"] <= until and (one["valid_to"] or FAR) > since]
    ordered = sorted(meeting, key=lambda one: (one["geid"], one["edition"]))
    table = pa.Table.from_pylist(ordered, schema=pa.schema(RECORDED_FIELDS))
    found = last_states(table, None if begin is None else since, None if end is None else until).to_pylist()
    plain = [last_there([one for one in rows if one["geid"] == name], since, until) for name in "abc"]
    assert [(one["geid"], one["edition"]) for one in found] == [
        (one["geid"], one["edition"]) for one in plain if one is not None
    ]


def test_what_meets_an_interval_is_read_in_the_order_of_names_and_editions(told: tuple[Recorded, Application]) -> None:
    recorded, _ = told
    history = recorded.history()
    begin, end, known = day("2026-03-01"), day("2026-06-01"), history.editions()[2].recorded_at
    rows = [one for name in sorted((*recorded.geids.values(), SHED)) for one in history.versions(name).to_pylist()]
    meeting = [
        one for one in rows
        if one["recorded_at"] <= known and one["valid_from"] <= end and (one["valid_to"] or FAR) > begin
    ]  # fmt: skip
    assert history.during(begin, end, known).to_pylist() == meeting
    assert history.during().num_rows == len(rows)
    history.close()
