"""Every question of `/resolve` about a pair of times: today's answers for today, and the words of then for then."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np
import orjson
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from server import timeline
from server.app import Application
from server.past_index import nested
from tests.pipelines.district import district
from tests.server.conftest import request
from tests.server.recorded_district import Recorded, _table, day, stamp
from tests.server.test_resolve import lines, post
from twin.entity.index_schema import GEOMETRY
from twin.entity.rows import multipolygons
from twin.registry.versions import Edition, EditionKind

COUNT = 30
BEFORE, AFTER = "2026-02-15", "2026-04-15"
TAIL = (
    '[source.fields]\nid = "id"\nname = "called"\naddress = "street"\naliases = ["realty", "post"]\nkeep = ["use"]\n'
    '[[source.height]]\nfrom = "attribute"\nfield = "height"\n'
)
STREETS = ("仙霞西路144弄{}号", "{} Yan'an Road", "Gubei Lu {}", "天山路{}号")


@dataclass(frozen=True)
class World:
    """A district whose history is what is served, then a survey that changes what texts mean.

    Attributes:
        recorded: The folder.
        first: Adoption, valid from the new year.
        app: Serves the release.
        places: (n, 2) degrees in the middle of every house.
    """

    recorded: Recorded
    first: Edition
    app: Application
    places: np.ndarray

    def geid(self, number: int) -> str:
        return self.recorded.geids[f"H{number:05d}"]

    def batch(self, rows: list[dict[str, Any]], **times: str) -> list[Any]:
        query = "?" + urlencode({key.replace("_", "-"): value for key, value in times.items()})
        return lines(post(self.app, orjson.dumps(rows), query if times else ""))

    def single(self, row: dict[str, Any], **times: str) -> Any:
        given = {key: value for key, value in row.items() if key != "id"} | {"limit": row.get("limit", 5)}
        given |= {key.replace("_", "-"): value for key, value in times.items()}
        return request(self.app, f"/resolve?{urlencode(given)}").json()

    def meant(self, row: dict[str, Any], **times: str) -> list[str]:
        return [one["geid"] for one in self.batch([row], **times)[0]["items"]]


def make(root: Any) -> World:
    made = district(root, COUNT, tail=TAIL)
    numbers = range(COUNT)
    made = replace(
        made,
        fields={
            **made.fields,
            "called": [f"House {number} 楼" if number % 3 else None for number in numbers],
            "street": [STREETS[number % 4].format(number + 1) if number % 7 else None for number in numbers],
            "realty": [f"R{1000 + number // 2}" for number in numbers],
            "post": ["200050" if number % 2 else None for number in numbers],
        },
    )
    made.build()
    recorded = Recorded(root, made.geids())
    first = recorded.adopt()
    rows = made.index.table.select(["lon", "lat"]).to_pylist()
    places = np.array([[row["lon"], row["lat"]] for row in rows])
    return World(recorded, first, recorded.app(), places)


@pytest.fixture(scope="module")
def same(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Nothing has changed since the release: the history says what the index says."""
    made = make(tmp_path_factory.mktemp("same") / "district")
    yield made
    made.app.timeline.close()
    made.app.releases.close()


@pytest.fixture
def changing(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Editions are seen at once."""
    monkeypatch.setattr(timeline, "_FRESH_SECONDS", -1.0)
    made = make(tmp_path_factory.mktemp("changing") / "district")
    yield made
    made.app.timeline.close()
    made.app.releases.close()


def survey(world: World) -> Edition:
    """From March on: a code goes over from houses 4 and 5 to house 8, house 9 has another street, house 12 is gone."""
    history = world.recorded.history()
    try:
        with history.write(EditionKind.UPDATE, "renamed", day("2026-03-01")) as pen:
            states = [world.recorded.state(history, world.geid(number), aliases=[]) for number in (4, 5)]
            states.append(world.recorded.state(history, world.geid(8), aliases=["realty:R1002"]))
            renamed = world.recorded.state(history, world.geid(9), address="77 Hongqiao Road")
            states.append({**renamed, "name": "New House"})
            states.append(world.recorded.state(history, world.geid(12), present=False))
            pen.assert_versions(_table(states))
        return pen.edition
    finally:
        history.close()


def without_times(told: Any) -> Any:
    """An answer without what must differ: its addresses end in the pair of times."""
    if isinstance(told, dict):
        return {key: without_times(one) for key, one in told.items() if key not in ("href", "release")}
    return [without_times(one) for one in told] if isinstance(told, list) else told


NUMBER = st.integers(0, COUNT - 1)
OFFSET = st.sampled_from([0.0, 0.0, 5e-5, -2e-4, 1e-3])
HEIGHT = st.none() | st.floats(-50, 300)
TEXT = st.text(st.sampled_from("仙霞西路144弄号House 楼R1000Yan'anroad200050:-"), min_size=1, max_size=20)


@st.composite
def questions(draw: st.DrawFn) -> dict[str, Any]:
    """A question of any kind that often has an answer; numbers stand for houses."""
    number = draw(NUMBER)
    kind = draw(st.sampled_from(["place", "place", "geid", "key", "realty", "post", "street", "name", "any", "wrong"]))
    limit = {"limit": draw(st.integers(1, 20))}
    match kind:
        case "place":
            tolerance, h = draw(st.sampled_from([0.0, 0.5, 20.0, 100.0])), draw(HEIGHT)
            shift = [draw(OFFSET), draw(OFFSET)]
            return {"place": number, "shift": shift, "h": h, "tolerance": tolerance, **limit}
        case "geid":
            return {"geid": number, **limit}
        case "wrong":
            return draw(st.sampled_from([{"lon": "x"}, {}, {"code": ""}, {"code": "a", "address": "b"}]))
    texts = {"key": f"houses:H{number:05d}", "realty": f"R{1000 + number // 2}", "post": "post:200050"}
    texts |= {"street": STREETS[number % 4].format(number + 1).replace(" ", ""), "name": f"house {number}楼"}
    text = texts.get(kind) or draw(TEXT)
    return {draw(st.sampled_from(["code", "address"])): text, **limit}


def asked(world: World, question: dict[str, Any]) -> dict[str, Any]:
    """A drawn question as a row."""
    row = dict(question)
    if "place" in row:
        place = world.places[row.pop("place")] + row.pop("shift")
        return {"lon": float(place[0]), "lat": float(place[1]), **row}
    return {**row, "code": world.geid(row.pop("geid"))} if "geid" in row else row


@settings(max_examples=60, deadline=None)
@given(drawn=st.lists(questions(), min_size=1, max_size=12))
def test_while_nothing_has_changed_the_past_answers_like_the_present(same: World, drawn: list[dict[str, Any]]) -> None:
    rows = [asked(same, one) for one in drawn]
    rows = [{key: value for key, value in row.items() if key != "geid"} for row in rows]
    now = same.batch(rows)
    then = same.batch(rows, datetime="2026-06-01", as_of="2030-01-01")
    assert without_times(then) == without_times(now)
    for one in then:
        for item in one.get("items", ()):
            assert item["href"].endswith("?datetime=2026-06-01T00:00:00Z&as-of=2030-01-01T00:00:00Z")


@settings(max_examples=40, deadline=None)
@given(question=questions().filter(lambda one: "limit" in one))
def test_a_row_of_a_batch_about_the_past_gets_the_answer_it_would_get_alone(
    same: World, question: dict[str, Any]
) -> None:
    row = {key: value for key, value in asked(same, question).items() if value is not None and key != "geid"}
    told = same.batch([row], datetime="2026-06-01")[0]
    told.pop("id")
    assert told == same.single(row, datetime="2026-06-01")


def test_a_text_means_what_it_meant_then(changing: World) -> None:
    second = survey(changing)
    known = stamp(changing.first.recorded_at)
    old = [changing.geid(number) for number in (4, 5)]
    for times, wanted in (
        ({"datetime": BEFORE}, old),
        ({"datetime": AFTER}, [changing.geid(8)]),
        ({"datetime": AFTER, "as_of": known}, old),
        ({"datetime": AFTER, "as_of": stamp(second.recorded_at)}, [changing.geid(8)]),
        ({"as_of": "2001-01-01"}, []),
        ({"datetime": "2025-12-31"}, []),
    ):
        assert sorted(changing.meant({"code": "R1002"}, **times)) == sorted(wanted), times
        assert sorted(one["geid"] for one in changing.single({"code": "R1002"}, **times)["items"]) == sorted(wanted)
    for text in ("77 hongqiao rd", "new house"):
        assert changing.meant({"address": text}, datetime=AFTER)[:1] == [changing.geid(9)]
        assert changing.geid(9) not in changing.meant({"address": text}, datetime=BEFORE)
        assert changing.geid(9) not in changing.meant({"address": text}, datetime=AFTER, as_of=known)


def test_what_is_gone_by_then_is_told_with_every_way_of_asking(changing: World) -> None:
    survey(changing)
    name = changing.geid(12)
    lon, lat = _place(changing, 12)
    rows = [{"code": name}, {"code": "houses:H00012"}, {"lon": float(lon), "lat": float(lat)}]
    before, after = (changing.batch(rows, datetime=when) for when in (BEFORE, AFTER))
    assert [[one["geid"] for one in told["items"]] for told in before] == [[name]] * 3
    assert [told["items"] for told in after] == [[]] * 3
    assert [one["geid"] for told in after[:2] for one in told["retired"]] == [name] * 2
    for row, told in zip(rows, after, strict=True):
        told.pop("id")
        assert changing.single(row, datetime=AFTER) == told


def _place(world: World, number: int) -> np.ndarray:
    told = request(world.app, f"/entities/{world.geid(number)}?datetime={BEFORE}").json()
    return np.array([told["lon"], told["lat"]])


def test_an_answer_for_a_pair_of_times_never_changes(changing: World) -> None:
    """Two axes fixed: later editions, and the undo of one, must not be seen."""
    rows = [{"code": "R1002"}, {"code": "post:200050"}, {"address": "Yan'an Road 10"}, {"address": "House 8"}]
    rows += [{"lon": float(x), "lat": float(y), "tolerance": 30} for x, y in changing.places]
    pairs = [(BEFORE, stamp(changing.first.recorded_at)), (AFTER, stamp(changing.first.recorded_at))]
    told = [changing.batch(rows, datetime=valid, as_of=known) for valid, known in pairs]
    second = survey(changing)
    pairs.append((AFTER, stamp(second.recorded_at)))
    told.append(changing.batch(rows, datetime=pairs[-1][0], as_of=pairs[-1][1]))
    assert without_times(told[2]) != without_times(told[1])
    changing.recorded.undo(second.number)
    again = [changing.batch(rows, datetime=valid, as_of=known) for valid, known in pairs]
    assert again == told


def test_a_batch_about_the_past_is_refused_before_it_begins(same: World, app: Any) -> None:
    body = orjson.dumps([{"code": "x"}])
    for query in ("?datetime=yesterday", "?as-of=2026-01-01T00:00:00", "?datetime=2026-01-01&crs=EPSG:1"):
        answer = post(same.app, body, query)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameter"), query
    answer = post(app, body, "?datetime=2026-01-01")  # a district without a history
    assert (answer.status_code, answer.json()["code"]) == (404, "no_history")
    assert request(app, f"/resolve?address={quote('仙霞路')}&datetime=2026-01-01").status == 404


def test_footprints_of_the_history_lie_in_the_index_as_they_are(same: World) -> None:
    snapshot = same.app.timeline.snapshot()
    column = snapshot[GEOMETRY]
    made = multipolygons(same.app.releases.pair.current.index.table[GEOMETRY])
    again = multipolygons(_chunked(nested(column)))
    assert shapely.equals_identical(again, made).all()


def test_what_is_no_polygon_has_no_footprint() -> None:
    box, hole = shapely.box(0, 0, 9, 9), shapely.box(2, 2, 3, 3)
    shapes = [None, shapely.Point(1, 1), box - hole, shapely.MultiPolygon(), shapely.MultiPolygon([hole, box - hole])]
    made = multipolygons(_chunked(nested(_chunked(shapely.to_wkb(np.array(shapes, dtype=object)).tolist()))))
    assert shapely.is_empty(made).tolist() == [True, True, False, True, False]
    assert shapely.equals(made[[2, 4]], np.array(shapes, dtype=object)[[2, 4]]).all()


def _chunked(values: Any) -> Any:
    return pa.chunked_array([values if isinstance(values, pa.Array) else pa.array(values, pa.binary())])
