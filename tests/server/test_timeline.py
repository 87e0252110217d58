"""The history as the server reads it: fresh editions are seen, a missing or replaced file is no failure."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from server import timeline
from server.timeline import NO_TIMELINE, Timeline
from tests.server.recorded_district import AUTHORITY, Recorded, begin, day
from twin.registry.versions import Window

FIRST, SPRING = Window(valid=day("2026-02-01")), Window(valid=day("2026-03-15"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return begin(tmp_path_factory.mktemp("timeline") / "district")


@pytest.fixture
def recorded(built: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """A copy of the district that may be written to; editions are seen at once."""
    monkeypatch.setattr(timeline, "_FRESH_SECONDS", -1.0)
    shutil.copytree(built.root, tmp_path / "district")
    return Recorded(tmp_path / "district", built.geids)


@pytest.fixture
def opened(recorded: Recorded) -> Timeline:
    return Timeline(recorded.root / "registry.sqlite", AUTHORITY)


def test_a_district_without_a_history_knows_nothing_and_begins_to_with_the_first_edition(
    recorded: Recorded, opened: Timeline
) -> None:
    assert opened.head() == 0
    assert opened.snapshot(FIRST).num_rows == opened.versions(recorded.geids["H00001"]).num_rows == 0
    recorded.adopt()
    assert (opened.recorded, opened.head()) == (True, 1)
    assert opened.snapshot(FIRST)["geid"].to_pylist() == sorted(recorded.geids.values())
    opened.close()


def test_a_snapshot_is_kept_until_an_edition_is_written(recorded: Recorded, opened: Timeline) -> None:
    recorded.adopt()
    first = opened.snapshot(SPRING)
    assert opened.snapshot(SPRING) is first
    recorded.survey()
    second = opened.snapshot(SPRING)
    gone, come = (set(one["geid"].to_pylist()) for one in (first, second))
    assert gone - come == {recorded.geids["H00002"]} and len(come - gone) == 1
    assert opened.snapshot(FIRST)["geid"].to_pylist() == first["geid"].to_pylist()
    opened.close()


def test_the_oldest_snapshots_are_forgotten_when_memory_is_short(
    recorded: Recorded, opened: Timeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded.adopt()
    first = opened.snapshot(FIRST)
    monkeypatch.setattr(timeline, "_CACHE_BYTES", first.nbytes)
    opened.snapshot(SPRING)
    again = opened.snapshot(FIRST)
    assert again is not first and again.equals(first)
    opened.close()


def test_a_history_that_is_replaced_or_lost_is_read_anew(recorded: Recorded, opened: Timeline, tmp_path: Path) -> None:
    path = recorded.root / "registry.sqlite"
    recorded.adopt()
    shutil.copy(path, tmp_path / "backup")
    recorded.survey()
    assert opened.head() == 2
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    (tmp_path / "backup").replace(path)
    assert opened.head() == 1
    path.unlink()
    assert not opened.recorded
    path.write_bytes(b"no database at all" * 100)
    assert not opened.recorded
    opened.close()


def test_where_nothing_is_known_of_a_history_every_answer_is_empty() -> None:
    assert not NO_TIMELINE.recorded
    assert NO_TIMELINE.snapshot().num_rows == NO_TIMELINE.entity("a").num_rows == 0
    assert (*NO_TIMELINE.lineage("a"), *NO_TIMELINE.successors("a")) == ()
