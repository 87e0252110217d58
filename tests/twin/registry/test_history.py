"""What of a history needs no database, and what `verify` finds in one that was tampered with."""

from __future__ import annotations

import datetime as dt
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.entity.geid import check, mint
from twin.errors import StoreError
from twin.registry.history_changes import changed_fields
from twin.registry.history_rows import are_geids, to_micros, to_time
from twin.registry.history_undo import paint
from twin.registry.open import open_history
from twin.registry.sqlite import Registry
from twin.registry.versions import EditionKind, Relation

NAMES = sorted(mint("310105", ["a", "b", "c"]))
SINCE = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A history of two editions, closed."""
    file = tmp_path / "registry.sqlite"
    with open_history(file, "310105") as history:
        for kind in (EditionKind.ADOPT, EditionKind.UPDATE):
            with history.write(kind, kind.value, SINCE) as pen:
                box = {name: [1.5, 2.5, 3.5] for name in ("west", "south", "east", "north")}
                pen.assert_versions(pa.table({"geid": NAMES, "attributes": ['{"a": 1}'] * 3, **box}))
                pen.lineage([(NAMES[0], Relation.REPLACED_BY, NAMES[1])])
                pen.bridge(pa.table({"source": ["s"], "source_key": ["1"], "geid": NAMES[:1], "change": ["new"]}))
        assert list(history.verify()) == []
    return file


TAMPERED = [
    ("DELETE FROM history_edition WHERE number = 1", "edition 1 is missing"),
    ("UPDATE history_edition SET recorded_at = 5 WHERE number = 2", "recorded no later"),
    ("UPDATE history_edition SET kind = 'whim' WHERE number = 2", "unknown kind 'whim'"),
    ("UPDATE history_edition SET kind = 'undo' WHERE number = 2", "says it undoes None"),
    ("UPDATE history_edition SET kind = 'undo', undoes = 2 WHERE number = 2", "no edition before it"),
    ("DELETE FROM history_version WHERE id = 2", "edition 1 wrote 3 versions, 2 are there"),
    ("UPDATE history_version SET id = 99 WHERE id = 2", "version 99 lies outside the range"),
    ("UPDATE history_version SET edition = 7 WHERE id = 6", "belong to edition 7"),
    ("UPDATE history_version SET valid_to = 0 WHERE id = 6", "ends before it begins"),
    (f"UPDATE history_version SET geid = '{NAMES[1]}' WHERE id = 6", "twice for one moment"),
    ("UPDATE history_version SET geid = '7k3m-z9q2-4hdx-p1w9' WHERE id = 6", "malformed geid"),
    ("UPDATE history_version SET attributes = '{' WHERE id = 4", "version 4 has attributes that are no JSON"),
    ("UPDATE history_version SET provenance = '[]' WHERE id = 4", "version 4 has provenance that are no JSON"),
    ("UPDATE history_version SET geometry = x'0102' WHERE id = 5", "version 5 has a geometry that is no WKB"),
    ("UPDATE history_lineage SET other = '0000-0000-0000-0000' WHERE edition = 1", "without a version"),
    ("UPDATE history_lineage SET relation = 'dreams_of' WHERE edition = 1", "unknown kind"),
    ("DELETE FROM history_bridge WHERE edition = 2", "edition 2 wrote 1 bridge records, 0 are there"),
    ("UPDATE history_bridge SET geid = '0000-0000-0000-0000' WHERE edition = 2", "which has no version"),
    ("DELETE FROM history_box WHERE id = 3", "version 3 has a place that the R*Tree does not know"),
    ("UPDATE history_box SET west = 90, east = 91 WHERE id = 3", "version 3 lies outside its box"),
    ("INSERT INTO history_box VALUES (50, 1, 2, 1, 2)", "a box for version 50, which has no place"),
]


@pytest.mark.parametrize(("sql", "words"), TAMPERED)
def test_verify_says_what_is_broken(path: Path, sql: str, words: str) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    triggers = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    assert len(triggers) == 8
    for (name,) in triggers:
        database.execute(f"DROP TRIGGER {name}")
    database.execute(sql)
    database.close()
    with open_history(path, "310105") as history:
        found = list(history.verify())
    assert any(words in sentence for sentence in found), found


def test_the_history_lies_beside_the_identities_whoever_comes_first(path: Path, tmp_path: Path) -> None:
    with Registry.open(path, "310105") as registry:
        assert registry.authority == "310105"
    other = tmp_path / "other.sqlite"
    Registry.open(other, "310105").close()
    with open_history(other, "310105") as history:
        assert history.editions() == ()


def test_one_transaction_holds_identities_and_history(tmp_path: Path) -> None:
    file = tmp_path / "registry.sqlite"
    with (
        open_history(file, "310105") as history,
        pytest.raises(RuntimeError),
        history.write(EditionKind.UPDATE, "x", SINCE) as pen,
    ):
        registry = Registry(file, pen.driver_connection, "310105")
        registry.bind("survey", ["1"], NAMES[:1])
        raise RuntimeError
    with Registry.open(file, "310105") as registry:
        assert registry.lookup("survey:1") is None


def test_a_reader_makes_nothing_and_finds_the_history_once_it_is_there(tmp_path: Path) -> None:
    file = tmp_path / "registry.sqlite"
    with open_history(file, "310105", read_only=True) as reader:
        assert (reader.editions(), reader.snapshot().num_rows, file.exists()) == ((), 0, False)
        with open_history(file, "310105") as writer, writer.write(EditionKind.UPDATE, "x", SINCE) as pen:
            pen.assert_versions(pa.table({"geid": NAMES}))
        assert (len(reader.editions()), reader.snapshot().num_rows) == (1, 3)


def test_a_history_of_a_later_program_is_refused(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE setting SET value = '99' WHERE name = 'history_schema'")
    database.close()
    with pytest.raises(StoreError, match="version 99"):
        open_history(path, "310105")


def test_a_damaged_file_is_refused_with_a_next_step(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 9000)
    with pytest.raises(StoreError, match="backup"):
        open_history(path, "310105")


def test_a_build_does_not_import_what_the_history_needs() -> None:
    program = (
        "import sys, pipelines.run, twin.registry.open; print(sorted({'sqlalchemy', 'psycopg'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@given(st.integers(-(2**55), 2**57))
def test_moments_keep_their_microseconds(micros: int) -> None:
    assert to_micros(to_time(micros)) == micros


@given(st.lists(st.one_of(st.text(max_size=20), st.sampled_from(NAMES), st.none())))
def test_identifiers_are_told_from_other_texts_all_at_once(texts: list[str | None]) -> None:
    wanted = [text is not None and check(text) and text == text.lower() and len(text) == 19 for text in texts]
    found = are_geids(pa.array(texts, pa.string())).tolist()
    assert [one for one, text in zip(found, texts, strict=True) if text in NAMES] == [True] * sum(
        text in NAMES for text in texts
    )
    assert not any(one and not two for one, two in zip(found, wanted, strict=True))


def test_every_single_slip_in_an_identifier_is_noticed() -> None:
    slips = [NAMES[0][:n] + c + NAMES[0][n + 1 :] for n in range(19) for c in "0z-A" if NAMES[0][n] != c]
    assert not are_geids(pa.array(slips)).any()


_CLAIM = st.tuples(st.integers(0, 12), st.integers(1, 8)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(_CLAIM, st.lists(_CLAIM, max_size=6))
def test_a_span_is_painted_with_the_first_claim_on_each_moment(
    span: tuple[int, int], claims: list[tuple[int, int]]
) -> None:
    painted = paint(span, [(*claim, row) for row, claim in enumerate(claims)])
    for moment in range(*span):
        wanted = next((row for row, (a, b) in enumerate(claims) if a <= moment < b), -1)
        assert [row for (a, b), row in painted if a <= moment < b] == [wanted]
    assert np.all(np.diff([row for _, row in painted]) != 0)
    assert (painted[0][0][0], painted[-1][0][1]) == span


def test_what_changed_is_told_by_the_names_of_the_fields() -> None:
    before = {"name": "a", "attributes": '{"x": 1, "y": 2}', "geometry": b"1", "lon": 1.0, "edition": 1, "aliases": []}
    after = {"name": "b", "attributes": '{"y": 3, "z": 0}', "geometry": b"2", "lon": 2.0, "edition": 2, "aliases": None}
    assert changed_fields(before, after) == ["name", "attributes.x", "attributes.y", "attributes.z", "geometry"]
    assert changed_fields(before, {**before, "edition": 9, "lon": 3.0}) == ["lon"]
    assert changed_fields(None, after) == changed_fields(after, after) == []
