"""Every store of events keeps the same promises: one order, nothing twice, state beside history, any past moment."""

from __future__ import annotations

import random
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.event_oracle import KINDS, Oracle, some_filter, some_report
from twin.errors import MisuseError, StoreError
from twin.live.conditions import Span, of_reports
from twin.live.model import Filter, Link, Place, Refusal, Report
from twin.live.open import open_events, open_keys
from twin.live.rows import storable
from twin.live.store import EventLog

NOW = 1_800_000_000_000
REPORT = Report("urn:a", "m1", "c1", "work_order", "created", "low", "井盖损坏", NOW)


class Clock:
    """A clock that says what it is told to."""

    def __init__(self) -> None:
        self.now_ms = NOW

    def __call__(self) -> int:
        return self.now_ms


Opener = Callable[[], EventLog]


class TestEventStore:
    """What everything live may rely on, wherever events lie."""

    @pytest.fixture(params=["sqlite", "postgis"])
    def where(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
        if request.param == "sqlite":
            return tmp_path / "events.sqlite"
        url: str = request.getfixturevalue("postgis_url")
        return url

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def opener(self, where: Path | str, clock: Clock) -> Iterator[Opener]:
        opened: list[EventLog] = []

        def one() -> EventLog:
            log = open_events(where)
            assert isinstance(log, EventLog)
            opened.append(EventLog(log._database, clock))
            return opened[-1]

        yield one
        for log in opened:
            log.close()

    @pytest.fixture
    def log(self, opener: Opener) -> EventLog:
        return opener()

    def test_a_report_comes_back_as_it_went_in(self, log: EventLog, opener: Opener) -> None:
        place = Place("g", "c:1", "s", "幸福路12号", 121.4, 31.2, -3.25, 15.0)
        data = {"照片": ["https://x/1.jpg"], "n": 2**70, "f": 0.1, "deep": {"a": [None, True, {}]}, "half": "\ud800"}
        report = replace(REPORT, reported_ms=NOW + 1, due_ms=NOW + 2, place=place, value=1 / 3, unit="m", data=data)
        link = Link("7k3m", "near", 0.1 + 0.2, 1e-9, 121.400000001, 31.2, 4.0)
        done = log.append([(report, link)])
        assert (list(done.offsets), list(done.fresh), done.last, done.recorded_ms) == ([1], [True], 1, NOW)
        for one in (log, opener()):
            stored = one.get(1)
            assert stored is not None
            assert (stored.report, stored.link, stored.recorded_ms) == (report, link, NOW)
        assert log.get(2) is None

    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(st.lists(st.text(), min_size=6, max_size=6), st.floats(), st.integers(-(2**40), 2**45))
    def test_any_text_and_any_number_can_be_kept(
        self, log: EventLog, texts: list[str], value: float, time: int
    ) -> None:
        source, name, case, title, address, word = texts
        report = Report(source, name, case, "k", "created", "low", title, time, value=value, data={word: word})
        report = replace(report, place=Place(address=address))
        done = log.append([(report, Link()), (report, Link())])
        assert done.offsets[0] == done.offsets[1]
        assert not done.fresh[1]
        stored = log.get(done.offsets[0])
        assert stored is not None
        kept = [stored.report.source, stored.report.id]
        assert kept == [storable(source), storable(name)]
        if done.fresh[0]:
            finite = abs(value) < float("inf")
            assert stored.report.value == (value if finite else None)
            assert (stored.report.title, stored.report.place.address) == (storable(title), storable(address))
            assert stored.report.data == {word: word}
            assert stored in log.case(source, case)
            assert stored in log.select(Filter(case=(source, case)), limit=10_000)

    @pytest.mark.parametrize("seed", range(6))
    def test_it_answers_as_a_list_in_memory_would(
        self, log: EventLog, clock: Clock, seed: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("twin.live.store.MOST_OPEN", 3 if seed % 2 else 2000)  # both ways to what is open
        dice, oracle = random.Random(seed), Oracle()
        recorded = 0
        for _ in range(25):
            clock.now_ms += dice.choice((0, 1, 100, 250, -300))
            recorded = max(recorded, clock.now_ms)
            rows = [some_report(dice, clock.now_ms) for _ in range(dice.randrange(1, 12))]
            rows += dice.sample(rows, dice.randrange(len(rows)))
            rows += [(one.report, Link()) for one in dice.sample(oracle.log, min(2, len(oracle.log)))]
            assert list(log.append(rows).fresh) == oracle.append(rows, recorded)
            if dice.random() < 0.2:
                kind, before = dice.choice(KINDS), recorded - dice.randrange(800)
                assert log.prune(kind, before) == oracle.prune(kind, before)
            for _ in range(8):
                wanted = some_filter(dice, clock.now_ms)
                assert log.select(wanted, limit=10_000) == oracle.select(wanted), wanted
                states, position = log.state(wanted)
                assert list(states) == oracle.state(wanted), wanted
                if wanted.as_of_ms is None:
                    assert position == oracle.last
        assert log.after(0, 10_000) == oracle.log
        counts = log.counts()
        linked = sum(one.link.geid is not None for one in oracle.log)
        assert counts["reports"] == counts["linked"] + counts["unlinked"] == len(oracle.log)
        assert (counts["linked"], counts["pruned"]) == (linked, oracle.pruned)
        assert counts["cases"] == len(oracle.states(None))
        assert counts["open"] == len(oracle.state(Filter(open=True)))
        assert log.last() == oracle.last == len(oracle.log) + oracle.pruned

    def test_a_late_report_goes_into_history_but_does_not_overturn_the_state(self, log: EventLog) -> None:
        closed = replace(REPORT, id="m2", status="closed", occurred_ms=NOW + 10)
        log.append([(REPORT, Link()), (closed, Link())])
        log.append([(replace(REPORT, id="m3", status="dispatched", occurred_ms=NOW + 5), Link())])
        assert [one.report.status for one in log.state(Filter())[0]] == ["closed"]
        assert [one.report.status for one in log.case("urn:a", "c1")] == ["created", "closed", "dispatched"]
        log.append([(replace(closed, id="m4", status="reopened"), Link())])
        assert [one.report.status for one in log.state(Filter())[0]] == ["reopened"]

    def test_a_clock_that_steps_back_never_makes_a_later_report_look_earlier(self, log: EventLog, clock: Clock) -> None:
        for number, now in enumerate((NOW, NOW - 3_600_000, NOW - 1, NOW + 1)):
            clock.now_ms = now
            log.append([(replace(REPORT, id=f"m{number}"), Link())])
        assert [one.recorded_ms for one in log.after(0)] == [NOW, NOW, NOW, NOW + 1]

    def test_what_was_known_at_a_moment_is_the_same_whatever_comes_later(self, log: EventLog, clock: Clock) -> None:
        dice = random.Random(7)
        seen = {}
        for _ in range(12):
            clock.now_ms += 1000
            log.append([some_report(dice, clock.now_ms) for _ in range(5)])
            for wanted in (Filter(), Filter(open=True), Filter(kinds=frozenset({"hotline"}))):
                past = replace(wanted, as_of_ms=clock.now_ms)
                seen[past] = (log.select(past, 1000), log.state(past))
        assert all((log.select(past, 1000), log.state(past)) == answer for past, answer in seen.items())
        assert log.state(Filter(as_of_ms=NOW))[0] == []

    def test_pages_meet_without_gap_or_repetition(self, log: EventLog) -> None:
        dice = random.Random(3)
        log.append([some_report(dice, NOW, f"m{number}") for number in range(137)])
        for wanted in (Filter(), Filter(since_ms=NOW - 2000), Filter(open=True), Filter(kinds=frozenset({"hotline"}))):
            pages: list[object] = []
            before: int | None = None
            while page := log.select(wanted, 10, before):
                pages += page
                before = page[-1].offset
            assert pages == log.select(wanted, 1000)
        followed: list[object] = []
        while found := log.after(len(followed), 10):
            followed += found
        assert followed == log.after(0, 1000)
        assert log.after(137) == log.after(10**30) == []
        assert log.select(Filter(), 0) == []

    def test_the_reports_of_an_entity_are_found_across_all_pieces_of_the_index(self, log: EventLog) -> None:
        mine = set(range(1, 40_000, 4_001)) | {8191, 8192, 8193, 32_767, 32_768}
        for begin in range(1, 40_000, 5_000):
            log.append(
                [
                    (replace(REPORT, id=f"m{n}"), Link("g1" if n in mine else f"x{n % 7}"))
                    for n in range(begin, begin + 5_000)
                ]
            )
        wanted = Filter(geids=frozenset({"g1", "nobody"}))
        assert [one.offset for one in log.select(wanted, 1000)] == sorted(mine, reverse=True)
        pages: list[int] = []
        while page := log.select(wanted, 3, pages[-1] if pages else None):
            pages += [one.offset for one in page]
        assert pages == sorted(mine, reverse=True)
        many = Filter(geids=frozenset({"g1", *(f"n{n}" for n in range(500))}))
        assert [one.offset for one in log.select(many, 1000)] == sorted(mine, reverse=True)

    def test_offsets_are_not_used_again_and_the_loss_is_told(self, log: EventLog, clock: Clock) -> None:
        rows = [(replace(REPORT, id=f"m{n}", case=f"c{n}", status="closed"), Link()) for n in range(3)]
        log.append(rows)
        clock.now_ms += 1
        assert log.first() == 1
        assert log.prune("work_order", NOW) == 0
        assert log.prune("hotline", NOW + 1) == 0
        assert log.prune("work_order", NOW + 1) == 3
        assert (log.first(), log.last(), log.after(0), log.counts()["cases"]) == (4, 3, [], 0)
        assert list(log.append(rows[:1]).offsets) == [4]

    def test_more_than_a_piece_is_given_up_and_what_is_open_stays(self, log: EventLog, clock: Clock) -> None:
        rows = [
            (replace(REPORT, id=f"m{n}", case=f"c{n}", status="created" if n % 10 == 0 else "closed"), Link("g"))
            for n in range(5000)
        ]
        log.append(rows)
        clock.now_ms += 1
        assert log.prune("work_order", NOW + 1) == 4500
        assert {one.report.status for one in log.after(0, 10_000)} == {"created"}
        assert log.counts() == {
            "reports": 500,
            "linked": 500,
            "unlinked": 0,
            "refused": 0,
            "pruned": 4500,
            "cases": 500,
            "open": 500,
        }

    def test_refusals_are_kept_until_they_are_mended(self, log: EventLog, opener: Opener) -> None:
        bad = [Refusal(0, 0, "urn:a", "event_no_kind", f"why {n}", 'bytes \x00 "\udcff"') for n in range(3)]
        assert list(log.refuse(bad)) == [1, 2, 3]
        log.append([(REPORT, Link())])
        log.mended(2, 1)
        other = opener()
        assert [(one.number, one.mended_by) for one in other.refusals()] == [(3, None), (1, None)]
        assert [(one.number, one.mended_by) for one in other.refusals(pending=False)] == [(3, None), (2, 1), (1, None)]
        assert [one.number for one in other.refusals(1, before=3)] == [1]
        first = other.refusals()[-1]
        assert (first.reason, first.body, first.recorded_ms) == ("why 0", 'bytes � "�"', NOW)
        assert log.counts()["refused"] == 2

    def test_the_last_word_that_was_learnt_counts(self, log: EventLog) -> None:
        log.learn("幸福路12号", "g1", "wang")
        log.learn("井 7", "g2", "wang")
        log.learn("幸福路12号", "g3", "li")
        assert log.learnt() == {"幸福路12号": "g3", "井 7": "g2"}

    def test_an_epoch_names_the_log_and_not_the_process(self, log: EventLog, opener: Opener) -> None:
        assert log.epoch == opener().epoch
        assert log.epoch.isalnum()

    def test_a_batch_that_cannot_be_written_leaves_nothing(self, log: EventLog) -> None:
        good = (replace(REPORT, id="good"), Link())
        with pytest.raises((TypeError, ValueError)):
            log.append([good, (replace(REPORT, data={"x": object()}), Link())])
        assert (log.last(), log.after(0), log.counts()["cases"]) == (0, [], 0)
        assert list(log.append([good]).offsets) == [1]
        assert log.append([]).last == 1

    def test_writers_in_many_threads_and_stores_give_one_order_without_loss(self, opener: Opener) -> None:
        logs = [opener(), opener()]
        failed: list[BaseException] = []
        gaps: list[tuple[int, int]] = []
        done = threading.Event()

        def write(writer: int) -> None:
            try:
                for batch in range(15):
                    rows = [(replace(REPORT, id=f"{writer}-{batch}-{row}"), Link()) for row in range(7)]
                    logs[writer % 2].append([*rows, (replace(REPORT, id=f"shared-{batch}"), Link())])
            except BaseException as error:
                failed.append(error)

        def follow() -> None:
            seen = 0
            while not done.is_set():
                for one in logs[0].after(seen):
                    if one.offset != seen + 1:
                        gaps.append((seen, one.offset))
                    seen = one.offset

        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        follower = threading.Thread(target=follow)
        for thread in (*threads, follower):
            thread.start()
        for thread in threads:
            thread.join()
        done.set()
        follower.join()
        assert not failed
        assert not gaps, "a report showed up behind one that had been read"
        stored = logs[1].after(0, 10_000)
        assert [one.offset for one in stored] == list(range(1, 4 * 15 * 7 + 15 + 1))
        assert len({one.report.id for one in stored}) == len(stored)

    def test_whoever_listens_hears_of_what_another_wrote(self, log: EventLog, opener: Opener) -> None:
        heard = threading.Event()
        stop = log.listen(heard.set)
        opener().append([(REPORT, Link())])
        assert heard.wait(20)
        stop()
        assert log.last() == 1

    def test_keys_lie_beside_the_events_and_neither_disturbs_the_other(self, log: EventLog, where: Path | str) -> None:
        keys = open_keys(where)
        log.append([(REPORT, Link())])
        assert keys.all() == []
        keys.close()

    def test_whether_a_report_is_known_is_asked_of_the_index_without_statistics_too(self, log: EventLog) -> None:
        log.append([(replace(REPORT, id=f"m{n}"), Link()) for n in range(500)])
        postgres = log._database.bucket_bits is None
        asked: list[str] = []
        with log._database.reading() as run:

            def explaining(sql: str, *values: object) -> list[tuple[object, ...]]:
                told = run(f"EXPLAIN {'' if postgres else 'QUERY PLAN '}{sql}", *values)
                asked.append(" ".join(str(row[-1]) for row in told))
                return []

            log._known(explaining, [(REPORT, Link())])  # type: ignore[arg-type]
        assert "live_report_message" in asked[0]
        assert re.search(r"message_id = .*source = |message_id=\? AND source=\?", asked[0])
        assert "Filter" not in asked[0]

    def test_a_later_version_is_refused(self, log: EventLog, where: Path | str) -> None:
        with log._database.writing() as run:
            run("UPDATE live_clock SET version = 99")
        with pytest.raises(StoreError, match="version 99"):
            open_events(where)

    def test_a_closed_log_says_so(self, log: EventLog) -> None:
        log.append([(REPORT, Link())])
        log.close()
        with pytest.raises(StoreError, match="closed"):
            log.append([(replace(REPORT, id="m2"), Link())])


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE mine (x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="something else"):
        open_events(path)
    damaged = tmp_path / "damaged.sqlite"
    damaged.write_bytes(b"no database " * 500)
    with pytest.raises(StoreError, match="damaged"):
        open_events(damaged)
    assert b"mine" in before
    assert not [name for name in _tables(path) if name.startswith("live_")]


def _tables(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    names = [str(name) for (name,) in connection.execute("SELECT name FROM sqlite_master")]
    connection.close()
    return names


def test_an_address_of_another_kind_is_refused_before_anything_is_made() -> None:
    with pytest.raises(MisuseError, match="mysql"):
        open_events("mysql://x/y")


def test_every_commit_of_a_file_is_flushed_to_the_disk(tmp_path: Path) -> None:
    log = open_events(tmp_path / "events.sqlite")
    assert isinstance(log, EventLog)
    with log._database.writing() as run:
        assert run("PRAGMA synchronous") == [(2,)]
        assert run("PRAGMA journal_mode") == [("wal",)]
    log.close()


def test_the_answers_that_must_be_quick_are_given_by_an_index(tmp_path: Path) -> None:
    log = open_events(tmp_path / "events.sqlite")
    assert isinstance(log, EventLog)
    plans = {
        "live_report_kind": "SELECT 1 FROM live_report r WHERE r.kind = 'k' AND r.number < 9 ORDER BY r.number DESC",
        "live_report_geid": "SELECT 1 FROM live_report r WHERE r.number >> 13 IN (SELECT value FROM json_each('[]'))"
        " AND r.geid IN (SELECT value FROM json_each('[]')) AND +r.number BETWEEN 1 AND 9",
        "live_latest_open": "SELECT 1 FROM live_latest l WHERE l.is_open = 1 AND l.kind = 'k'",
    }
    where = of_reports(log._database, Filter(open=True), Span(1, 9, 9), few_open=True)
    with log._database.reading() as run:
        told = str(run(f"EXPLAIN QUERY PLAN SELECT 1 FROM live_report r{where.sql}", *where.values))
        assert "live_report_case (case_id=? AND source=?)" in told
        for index, sql in plans.items():
            told = " ".join(str(row[3]) for row in run(f"EXPLAIN QUERY PLAN {sql}"))
            assert index in told
            assert "TEMP B-TREE" not in told
    log.close()
