"""What every history keeps to, whatever database it lies in."""

from __future__ import annotations

import datetime as dt
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twin.entity.geid import mint
from twin.errors import MisuseError, StoreError
from twin.registry import history_pen
from twin.registry.history_store import SqlHistory
from twin.registry.open import open_history
from twin.registry.versions import (
    RECORDED_FIELDS,
    VERSION_FIELDS,
    Edition,
    EditionKind,
    History,
    Pen,
    Relation,
    Window,
)

AUTHORITY = "310105"
NAMES = sorted(mint(AUTHORITY, [f"survey/{n}" for n in range(40)]))
Open = Callable[..., SqlHistory]


def year(number: int) -> dt.datetime:
    return dt.datetime(number, 1, 1, tzinfo=dt.UTC)


@pytest.fixture(params=["sqlite", "postgis"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a new history may lie."""
    if request.param == "sqlite":
        return tmp_path / "registry.sqlite"
    url: str = request.getfixturevalue("postgis_url")
    return url


@pytest.fixture
def history(where: Path | str) -> Iterator[SqlHistory]:
    with open_history(where, AUTHORITY) as opened:
        yield opened


def write(history: SqlHistory, kind: str = "update", since: int = 2020, **columns: object) -> Edition:
    with history.write(EditionKind(kind), f"{kind} {since}", year(since)) as pen:
        pen.assert_versions(pa.table(columns))
    return pen.edition


def named(table: pa.Table) -> dict[str, str | None]:
    return dict(zip(table["geid"].to_pylist(), table["name"].to_pylist(), strict=True))


def placed(west: float, south: float, size: float = 0.001) -> dict[str, list[float]]:
    return {"west": [west], "south": [south], "east": [west + size], "north": [south + size]}


FULL = {
    "geid": [NAMES[0]],
    "layer": ["buildings"],
    "entity_class": ["Building"],
    "source": ["survey"],
    "source_key": ["4711 'a'; --"],
    "name": ["长宁区 \N{OFFICE BUILDING}"],
    "address": ["愚园路 1 号"],
    "aliases": [["cadastre:12", "grid:N51"]],
    "parent": [NAMES[1]],
    "lon": [121.4],
    "lat": [31.2],
    "height": [4.1],
    **placed(121.4, 31.2),
    "base_m": [4.0],
    "roof_m": [22.5],
    "height_m": [18.5],
    "storeys": [6.0],
    "height_source": ["attribute:h"],
    "height_confidence": pa.array([0.9], pa.float32()),
    "ground_source": ["dem"],
    "grade": ["A"],
    "attributes": [json.dumps({"floors": 6, "owner": "\u0001\\\t"})],
    "provenance": ['{"height_m":"attribute:h"}'],
    "geometry": [shapely.to_wkb(shapely.box(0, 0, 9.25, 1e-7))],
    "valid_from": [dt.datetime(1969, 5, 1, 3, 4, 5, 678901, dt.UTC)],
    "valid_to": [dt.datetime(2099, 12, 31, 23, 59, 59, 999999, dt.UTC)],
    "present": [True],
}


class TestAnswers:
    def test_it_is_a_history_and_its_pen_is_a_pen(self, history: SqlHistory) -> None:
        assert isinstance(history, History)
        with history.write(EditionKind.UPDATE, "x", year(2020)) as pen:
            asked: Pen = pen
            assert asked.edition.number == 1

    def test_a_new_history_is_empty_and_whole(self, history: SqlHistory) -> None:
        assert history.editions() == ()
        assert history.snapshot().schema == pa.schema(RECORDED_FIELDS)
        assert history.snapshot().num_rows == history.entity(NAMES[0]).num_rows == history.bridge(1).num_rows == 0
        assert history.verify() == () or list(history.verify()) == []

    def test_a_version_comes_back_exactly_as_it_was_asserted(self, history: SqlHistory) -> None:
        assert set(FULL) == {field.name for field in VERSION_FIELDS}
        wanted = pa.table({name: pa.array(values) for name, values in FULL.items()}).select(list(FULL))
        edition = write(history, **FULL)
        for found in (history.snapshot(), history.entity(NAMES[0]), history.versions(NAMES[0])):
            row, given_row = found.to_pylist()[0], wanted.to_pylist()[0]
            assert {name: row[name] for name in FULL} == given_row
            assert (row["edition"], row["recorded_at"]) == (1, edition.recorded_at)
            assert found.schema == pa.schema(RECORDED_FIELDS)

    def test_what_is_left_out_is_null_present_and_from_the_edition_on(self, history: SqlHistory) -> None:
        write(history, since=2021, geid=[NAMES[3]], height=[float("nan")])
        (row,) = history.snapshot().to_pylist()
        assert (row.pop("geid"), row.pop("valid_from"), row.pop("present")) == (NAMES[3], year(2021), True)
        assert (row.pop("edition"), row.pop("recorded_at") is None) == (1, False)
        assert set(row.values()) == {None}

    def test_datetime_asks_when_it_was_so_and_as_of_when_we_knew(self, history: SqlHistory) -> None:
        first = write(history, since=2010, geid=NAMES[:1], name=["one"])
        second = write(history, since=2020, geid=NAMES[:1], name=["two"])
        fixed = write(
            history, "correction", 2015, geid=NAMES[:1], name=["one and a half"], valid_to=pa.array([year(2020)])
        )
        ask = lambda valid, as_of: named(history.entity(NAMES[0], year(valid), as_of)).get(NAMES[0])  # noqa: E731
        assert [ask(y, None) for y in (2009, 2012, 2017, 2020, 2025)] == [None, "one", "one and a half", "two", "two"]
        assert [ask(y, second.recorded_at) for y in (2012, 2017, 2025)] == ["one", "one", "two"]
        assert [ask(y, first.recorded_at) for y in (2012, 2017, 2025)] == ["one", "one", "one"]
        assert ask(2025, first.recorded_at - dt.timedelta(microseconds=1)) is None
        assert history.versions(NAMES[0])["name"].to_pylist() == ["one", "two", "one and a half"]
        assert history.versions(NAMES[0], second.recorded_at)["name"].to_pylist() == ["one", "two"]
        assert [one.number for one in history.editions()] == [1, 2, fixed.number]

    def test_a_span_holds_its_begin_and_not_its_end(self, history: SqlHistory) -> None:
        write(history, since=2010, geid=NAMES[:1], valid_to=pa.array([year(2020)]))
        tick = dt.timedelta(microseconds=1)
        there = [history.entity(NAMES[0], moment).num_rows for moment in (year(2010), year(2020) - tick, year(2020))]
        assert there == [1, 1, 0]

    def test_one_that_is_gone_is_in_no_snapshot_but_still_answers(self, history: SqlHistory) -> None:
        write(history, since=2010, geid=NAMES[:2], name=["a", "b"])
        write(history, since=2020, geid=NAMES[:1], present=[False])
        assert list(named(history.snapshot())) == [NAMES[1]]
        assert list(named(history.snapshot(Window(valid=year(2015))))) == NAMES[:2]
        assert history.entity(NAMES[0])["present"].to_pylist() == [False]

    def test_some_fields_of_a_snapshot_are_those_of_the_whole_one(self, history: SqlHistory) -> None:
        fields = ("recorded_at", "name", "geid", "valid_to", "present", "geometry")
        assert history.snapshot(fields=fields).schema.names == list(fields)
        write(history, since=2010, geid=NAMES[:2], name=["a", None])
        write(history, since=2020, geid=NAMES[:1], name=["c"])
        for window in (Window(), Window(valid=year(2015)), Window(limit=1)):
            assert history.snapshot(window, fields).equals(history.snapshot(window).select(fields))

    def test_an_interval_gives_every_span_that_meets_it_and_was_known_by_then(self, history: SqlHistory) -> None:
        editions = [write(history, since=2020, geid=NAMES[:2], name=["a", "b"])]
        for number, until in ((2022, 2023), (2024, None)):
            ends = pa.array([None if until is None else year(until)], pa.timestamp("us", tz="UTC"))
            editions.append(write(history, since=number, geid=[NAMES[0]], name=[str(number)], valid_to=ends))
        tick = dt.timedelta(microseconds=1)

        def names(begin: dt.datetime | None, end: dt.datetime | None, edition: int = 2) -> list[str | None]:
            found: list[str | None] = history.during(begin, end, editions[edition].recorded_at)["name"].to_pylist()
            return found

        assert names(None, None) == ["a", "2022", "2024", "b"]
        assert names(None, None, 0) == ["a", "b"]
        assert names(None, year(2020) - tick) == []
        assert names(None, year(2022)) == ["a", "2022", "b"]  # both ends count
        assert names(year(2023) - tick, year(2024) - tick) == ["a", "2022", "b"]
        assert names(year(2023), None) == ["a", "2024", "b"]  # the end of a span does not

    def test_a_window_narrows_by_place_class_and_name(self, history: SqlHistory) -> None:
        for name, west, kind in (
            (NAMES[0], 121.40, "Building"),
            (NAMES[1], 121.50, "Building"),
            (NAMES[2], 121.4, "Road"),
        ):
            write(history, geid=[name], entity_class=[kind], **placed(west, 31.2))
        write(history, geid=[NAMES[3]])
        inside = (121.3, 31.1, 121.45, 31.3)
        assert list(named(history.snapshot(Window(bbox=inside)))) == [NAMES[0], NAMES[2]]
        assert list(named(history.snapshot(Window(bbox=inside, classes=("Road",))))) == [NAMES[2]]
        assert list(named(history.snapshot(Window(geids=(NAMES[3], NAMES[1], "nobody"))))) == [NAMES[1], NAMES[3]]
        assert history.snapshot(Window(classes=())).num_rows == history.snapshot(Window(geids=())).num_rows == 0

    def test_the_box_of_a_window_is_exact_to_the_last_digit(self, history: SqlHistory) -> None:
        write(history, geid=NAMES[:1], west=[121.4], south=[31.2], east=[121.5], north=[31.3])
        touching = history.snapshot(Window(bbox=(121.5, 31.3, 122.0, 32.0)))
        beside = history.snapshot(Window(bbox=(121.5 + 1e-9, 31.3, 122.0, 32.0)))
        assert (touching.num_rows, beside.num_rows) == (1, 0)

    def test_one_that_has_moved_is_found_where_it_is_and_no_longer_where_it_was(self, history: SqlHistory) -> None:
        write(history, since=2010, geid=NAMES[:1], **placed(121.0, 31.0))
        write(history, since=2020, geid=NAMES[:1], **placed(122.0, 31.0))
        old, new = (120.9, 30.9, 121.1, 31.1), (121.9, 30.9, 122.1, 31.1)
        found = [history.snapshot(Window(bbox=box)).num_rows for box in (old, new)]
        before = [history.snapshot(Window(bbox=box, valid=year(2015))).num_rows for box in (old, new)]
        assert (found, before) == ([0, 1], [1, 0])

    def test_pages_put_together_are_the_whole_also_while_others_write(self, history: SqlHistory) -> None:
        edition = write(history, geid=NAMES[::-1])
        pages, after = [], None
        while True:
            page = history.snapshot(Window(as_of=edition.recorded_at, after=after, limit=7))["geid"].to_pylist()
            if not page:
                break
            pages += page
            after = page[-1]
            write(history, geid=[page[0]], present=[False])
        assert pages == NAMES

    def test_a_geid_may_be_asked_for_in_any_spelling(self, history: SqlHistory) -> None:
        write(history, geid=NAMES[:1])
        assert history.entity(NAMES[0].upper().replace("-", "")).num_rows == 1
        assert history.entity("nobody' OR 1=1").num_rows == 0


class TestWriting:
    def test_an_edition_that_fails_leaves_nothing_behind(self, history: SqlHistory) -> None:
        write(history, geid=NAMES[:1], **placed(121.0, 31.0))
        with pytest.raises(RuntimeError, match="halfway"), history.write(EditionKind.UPDATE, "x", year(2021)) as pen:
            pen.assert_versions(pa.table({"geid": NAMES[1:], "west": [1.0] * 39}))
            pen.lineage([(NAMES[0], Relation.REPLACED_BY, NAMES[1])])
            raise RuntimeError("halfway")
        assert list(named(history.snapshot())) == NAMES[:1]
        assert (len(history.editions()), list(history.lineage(NAMES[0])), list(history.verify())) == (1, [], [])
        assert write(history, geid=NAMES[1:2]).number == 2

    @pytest.mark.parametrize(
        ("columns", "words"),
        [
            ({"geid": ["7k3m-z9q2-4hdx-p1w9"]}, "no geid"),
            ({"geid": [None]}, "no geid"),
            ({"geid": ["é" * 9 + "x"]}, "no geid"),
            ({"geid": NAMES[:1], "colour": ["red"]}, "no column 'colour'"),
            ({"geid": NAMES[:1], "height": ["high"]}, "does not fit"),
            ({"geid": NAMES[:1] * 2}, "twice"),
            ({"geid": NAMES[:1], "valid_to": pa.array([year(2020)])}, "ends before"),
        ],
    )
    def test_what_cannot_be_meant_is_refused_and_named(
        self, history: SqlHistory, columns: dict[str, object], words: str
    ) -> None:
        with pytest.raises(MisuseError, match=words):
            write(history, **columns)
        assert history.editions() == ()

    def test_one_entity_asserted_twice_for_a_moment_is_refused_over_several_calls_too(
        self, history: SqlHistory
    ) -> None:
        with pytest.raises(MisuseError, match="twice"), history.write(EditionKind.UPDATE, "x", year(2020)) as pen:
            pen.assert_versions(pa.table({"geid": NAMES[:2]}))
            pen.assert_versions(pa.table({"geid": NAMES[1:3], "valid_from": pa.array([year(2030)] * 2)}))
        with history.write(EditionKind.UPDATE, "x", year(2020)) as pen:
            spans = {"valid_from": pa.array([year(2021), year(2020)]), "valid_to": pa.array([None, year(2021)])}
            pen.assert_versions(pa.table({"geid": NAMES[:1] * 2, **spans}))
        assert history.versions(NAMES[0])["valid_from"].to_pylist() == [year(2020), year(2021)]

    def test_recorded_time_rises_although_the_clock_is_set_back(
        self, history: SqlHistory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = iter([year(2030), year(2001), year(2030)])
        monkeypatch.setattr(history_pen, "_now", lambda: next(clock))
        times = [write(history, geid=[name]).recorded_at for name in NAMES[:3]]
        tick = dt.timedelta(microseconds=1)
        assert times == [year(2030), year(2030) + tick, year(2030) + 2 * tick]
        assert times == [one.recorded_at for one in history.editions()]

    def test_a_time_without_a_zone_is_refused(self, history: SqlHistory) -> None:
        with pytest.raises(MisuseError, match="no time zone"):
            history.snapshot(Window(valid=dt.datetime(2020, 1, 1)))

    def test_the_bridge_of_an_edition_comes_back_as_it_was_given(self, history: SqlHistory) -> None:
        records = pa.table(
            {"source": ["s", "s"], "source_key": ["1", None], "geid": NAMES[:2], "change": ["new", "moved"]}
        )
        with history.write(EditionKind.UPDATE, "x", year(2020)) as pen:
            pen.assert_versions(pa.table({"geid": NAMES[:2]}))
            pen.bridge(records.slice(0, 1))
            pen.bridge(records.slice(1))
        assert history.bridge(1).equals(records)
        assert list(history.verify()) == []

    def test_rows_can_be_neither_altered_nor_deleted(self, history: SqlHistory) -> None:
        from sqlalchemy.exc import DBAPIError

        write(history, geid=NAMES[:1])
        for sql in ("UPDATE history_version SET name = 'x'", "DELETE FROM history_edition"):
            with pytest.raises(DBAPIError, match="only added"), history._engine.connect() as connection:
                connection.exec_driver_sql(sql)
        assert list(history.verify()) == []

    def test_a_second_writer_waits_then_refuses(self, where: Path | str, history: SqlHistory) -> None:
        with open_history(where, AUTHORITY, patience_s=0.05) as other:
            with history.write(EditionKind.UPDATE, "first", year(2020)) as pen:
                pen.assert_versions(pa.table({"geid": NAMES[:1]}))
                with pytest.raises(StoreError, match="being written"):
                    write(other, geid=NAMES[1:2])
                assert other.snapshot().num_rows == 0  # readers are not kept out, and see nothing half done
            assert write(other, geid=NAMES[1:2]).number == 2

    def test_it_is_there_after_closing_and_belongs_to_its_authority(
        self, where: Path | str, history: SqlHistory
    ) -> None:
        write(history, geid=NAMES[:1])
        history.close()
        with open_history(where, AUTHORITY, read_only=True) as again:
            assert again.snapshot().num_rows == 1
            with pytest.raises(StoreError):
                write(again, geid=NAMES[1:2])
        with pytest.raises(StoreError, match="authority"):
            open_history(where, "330106")


class TestUndo:
    def test_what_was_believed_before_is_believed_again_for_the_spans_touched(self, history: SqlHistory) -> None:
        write(history, since=2010, geid=NAMES[:2], name=["a", "b"])
        write(history, "correction", 2012, geid=NAMES[:1], name=["a'"], valid_to=pa.array([year(2014)]))
        asked = [Window(valid=year(y)) for y in range(2008, 2020)]
        before = [named(history.snapshot(window)) for window in asked]
        with history.write(EditionKind.UPDATE, "bad", year(2011)) as pen:
            ends = pa.array([year(2013), None, None])
            table = pa.table({"geid": [NAMES[0], NAMES[1], NAMES[2]], "name": ["x", "y", "z"], "valid_to": ends})
            pen.assert_versions(table)
        assert [named(history.snapshot(window)) for window in asked] != before
        undone = history.undo(pen.edition.number)
        assert [named(history.snapshot(window)) for window in asked] == before
        assert (undone.kind, undone.undoes, undone.valid_from) == (EditionKind.UNDO, 3, year(2011))
        assert history.entity(NAMES[2])["present"].to_pylist() == [False]
        assert list(history.verify()) == []

    def test_undoing_goes_back_edition_by_edition(self, history: SqlHistory) -> None:
        for number in range(4):
            write(history, since=2010 + number, geid=NAMES[:1], name=[str(number)])
        for number in (4, 3, 2):
            history.undo(number)
            assert named(history.snapshot()) == {NAMES[0]: str(number - 2)}
        history.undo(1)
        assert history.snapshot().num_rows == 0

    @pytest.mark.parametrize(
        ("number", "words"),
        [(1, "not the last"), (2, "undone already"), (3, "itself an undo"), (9, "no edition 9")],
    )
    def test_what_cannot_be_undone_is_refused_with_a_reason(self, history: SqlHistory, number: int, words: str) -> None:
        write(history, geid=NAMES[:1])
        write(history, geid=NAMES[:1])
        history.undo(2)
        write(history, geid=NAMES[:1])
        with pytest.raises(MisuseError, match=words):
            history.undo(number)
        assert len(history.editions()) == 4

    def test_an_undo_that_names_nothing_is_refused(self, history: SqlHistory) -> None:
        for kind, undoes in ((EditionKind.UNDO, None), (EditionKind.UPDATE, 1)):
            with (
                pytest.raises(MisuseError, match="do not fit"),
                history.write(kind, "x", year(2020), undoes=undoes),
            ):
                pass


class TestLineage:
    def step(self, history: SqlHistory, *steps: tuple[int, Relation, int]) -> None:
        with history.write(EditionKind.UPDATE, "x", year(2020)) as pen:
            names = sorted({name for one, _, other in steps for name in (one, other)})
            pen.assert_versions(pa.table({"geid": [NAMES[n] for n in names]}))
            pen.lineage((NAMES[one], how, NAMES[other]) for one, how, other in steps)

    def test_successors_are_followed_over_several_steps_and_rings_end(self, history: SqlHistory) -> None:
        self.step(history, (0, Relation.SPLIT_INTO, 1), (0, Relation.SPLIT_INTO, 2))
        self.step(history, (1, Relation.MERGED_INTO, 3), (2, Relation.REPLACED_BY, 4))
        self.step(history, (5, Relation.REPLACED_BY, 6), (6, Relation.REPLACED_BY, 5))
        assert list(history.successors(NAMES[0])) == sorted([NAMES[3], NAMES[4]])
        assert list(history.successors(NAMES[3])) == []
        assert list(history.successors(NAMES[5])) == []
        assert {(one.geid, one.relation, one.other) for one in history.lineage(NAMES[1])} == {
            (NAMES[0], Relation.SPLIT_INTO, NAMES[1]),
            (NAMES[1], Relation.MERGED_INTO, NAMES[3]),
        }
        assert list(history.verify()) == []

    def test_steps_of_undone_editions_lead_nowhere(self, history: SqlHistory) -> None:
        self.step(history, (0, Relation.REPLACED_BY, 1))
        self.step(history, (1, Relation.REPLACED_BY, 2))
        history.undo(2)
        assert list(history.successors(NAMES[0])) == [NAMES[1]]
        assert list(history.successors(NAMES[1])) == []

    def test_nothing_comes_after_itself(self, history: SqlHistory) -> None:
        with pytest.raises(MisuseError, match="after itself"):
            self.step(history, (0, Relation.REPLACED_BY, 0))


_SPAN = st.tuples(st.integers(0, 8), st.integers(1, 5), st.booleans())
_WRITE = st.dictionaries(st.integers(0, 3), st.tuples(_SPAN, st.booleans(), st.text("ab", max_size=1)), max_size=4)
_ACTIONS = st.lists(st.one_of(_WRITE, st.none()), min_size=1, max_size=6)  # None: undo


def perform(history: SqlHistory, action: dict[int, tuple[tuple[int, int, bool], bool, str]] | None) -> None:
    if action is None:
        undone = {one.undoes for one in history.editions()}
        left = [
            one.number for one in history.editions() if one.kind is not EditionKind.UNDO and one.number not in undone
        ]
        if left:
            history.undo(left[-1])
        return
    rows = [
        (NAMES[n], year(2000 + s), None if o else year(2000 + s + d), p, t) for n, ((s, d, o), p, t) in action.items()
    ]
    columns = dict(
        zip(("geid", "valid_from", "valid_to", "present", "name"), map(list, zip(*rows, strict=True)), strict=False)
    )
    with history.write(EditionKind.CORRECTION, "c", year(2000)) as pen:
        if rows:
            times = {name: pa.array(columns[name], pa.timestamp("us", "UTC")) for name in ("valid_from", "valid_to")}
            pen.assert_versions(pa.table({**columns, **times}))


def answers(history: SqlHistory, as_of: dt.datetime) -> list[object]:
    moments = [year(2000 + n) + dt.timedelta(days=1) for n in range(-1, 15, 2)]
    shots = [history.snapshot(Window(valid=moment, as_of=as_of)).to_pylist() for moment in moments]
    return [*shots, *(history.entity(name, moments[3], as_of).to_pylist() for name in NAMES[:4])]


class TestPromise:
    @settings(
        max_examples=15,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        deadline=None,
    )
    @given(actions=_ACTIONS)
    def test_an_answer_for_a_pair_of_times_never_changes_after_later_writes(
        self, history: SqlHistory, actions: list[dict[int, tuple[tuple[int, int, bool], bool, str]] | None]
    ) -> None:
        kept: list[tuple[dt.datetime, list[object]]] = []
        for action in actions:
            perform(history, action)
            editions = history.editions()
            if editions:
                as_of = editions[-1].recorded_at
                kept.append((as_of, answers(history, as_of)))
        for as_of, answer in kept:
            assert answers(history, as_of) == answer
        times = [one.recorded_at for one in history.editions()]
        assert times == sorted(set(times))
        assert list(history.verify()) == []

    @settings(
        max_examples=15,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        deadline=None,
    )
    @given(before=_ACTIONS, action=_WRITE)
    def test_an_undo_answers_as_if_the_edition_had_never_been(
        self,
        history: SqlHistory,
        before: list[dict[int, tuple[tuple[int, int, bool], bool, str]] | None],
        action: dict[int, tuple[tuple[int, int, bool], bool, str]],
    ) -> None:
        for one in before:
            perform(history, one)
        moments = [year(2000 + n) for n in range(-1, 15)]
        said = lambda: [named(history.snapshot(Window(valid=moment))) for moment in moments]  # noqa: E731
        wanted = said()
        perform(history, action)
        history.undo(history.editions()[-1].number)
        assert said() == wanted


_KILLED = """
    import sys, datetime as dt
    import pyarrow as pa
    from twin.entity.geid import mint
    from twin.registry.open import open_history
    from twin.registry.versions import EditionKind
    history = open_history(sys.argv[1], "310105")
    with history.write(EditionKind.UPDATE, "never", dt.datetime(2020, 1, 1, tzinfo=dt.UTC)) as pen:
        names = mint("310105", [str(n) for n in range(30000)])
        numbers = [float(n % 90) for n in range(30000)]
        pen.assert_versions(pa.table({"geid": names, **dict.fromkeys(("west", "south", "east", "north"), numbers)}))
        print("written", flush=True)
        sys.stdin.read()
"""


class TestDisasters:
    def test_a_writer_that_is_killed_leaves_the_history_whole(self, where: Path | str, history: SqlHistory) -> None:
        write(history, geid=NAMES[:2], **{name: [1.0, 2.0] for name in ("west", "south", "east", "north")})
        command = [sys.executable, "-c", textwrap.dedent(_KILLED), str(where)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"written\n"
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        with open_history(where, AUTHORITY) as again:
            assert list(named(again.snapshot())) == NAMES[:2]
            assert list(again.verify()) == []
            assert write(again, geid=NAMES[2:3]).number == 2


def test_a_full_disk_leaves_the_history_whole(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite"
    with open_history(path, AUTHORITY) as history:
        write(history, geid=NAMES[:2], name=["a", "b"])
    worker = multiprocessing.get_context("spawn").Process(target=fill_the_disk, args=(path,))
    worker.start()
    worker.join(60)
    assert worker.exitcode == 0
    with open_history(path, AUTHORITY) as history:
        assert named(history.snapshot()) == {NAMES[0]: "a", NAMES[1]: "b"}
        assert list(history.verify()) == []
        assert write(history, geid=NAMES[2:3]).number == 2


def fill_the_disk(path: Path) -> None:
    """Writes more than the process may: to the system a file of that size is a full disk."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
    many = mint(AUTHORITY, [str(n) for n in range(20_000)])
    with open_history(path, AUTHORITY) as history:
        with pytest.raises(StoreError, match=r"full|disk|I/O"):
            write(history, geid=many, name=["x" * 500] * len(many))
        assert named(history.snapshot()) == {NAMES[0]: "a", NAMES[1]: "b"}
