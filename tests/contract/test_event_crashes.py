"""Killed processes, a full disk, a database that goes away: what was acknowledged is there, once, and nothing else."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.event_writer import SIZE, rows
from tests.postgis import Cluster
from twin.errors import MisuseError, StoreError
from twin.live.model import EventStore, Filter
from twin.live.open import open_events
from twin.live.store import EventLog
from twin.live.store_sqlite import SqliteDatabase

ROOT = Path(__file__).parents[2]
ROUNDS = 6
WRITER = "tests.contract.event_writer"


def writer(where: Path | str, name: str, begin: int, end: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", WRITER, str(where), name, str(begin), str(end)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def acknowledged(process: subprocess.Popen[str], until: int) -> dict[int, int]:
    """Batches acknowledged and the first offset of each; kills the process after so many, mid-way through the next."""
    assert process.stdout is not None
    assert process.stderr is not None
    acks: dict[int, int] = {}
    for line in process.stdout:
        batch, offset = map(int, line.split())
        acks[batch] = offset
        if len(acks) == until:
            process.kill()  # what was said before it died is still read: it was acknowledged, too
    told = process.stderr.read()
    process.wait(60)
    assert process.returncode in (0, -9), told
    process.stdout.close()
    process.stderr.close()
    return acks


def check_whole(log: EventStore, name: str, acks: dict[int, int], tried: int) -> None:
    """Every batch acknowledged is there whole and where it was said to be, every other one whole or not at all."""
    stored = log.after(0, 1_000_000)
    assert [one.offset for one in stored] == sorted({one.offset for one in stored})
    batches = Counter(int(one.report.id.split("-")[0]) for one in stored if one.report.source == f"urn:{name}")
    assert set(acks) <= set(batches) <= set(range(tried))
    assert set(batches.values()) == {SIZE}, "half a batch, or a report twice"
    by_id = {(one.report.source, one.report.id): one for one in stored}
    assert len(by_id) == len(stored)
    assert all(by_id[f"urn:{name}", f"{batch}-0"].offset == offset for batch, offset in acks.items())
    for batch in acks:
        for report, link in rows(name, batch):
            assert by_id[report.source, report.id].report == report
            assert by_id[report.source, report.id].link == link
    counts = log.counts()
    assert counts["reports"] == counts["linked"] == len(stored)
    assert counts["cases"] == len({(one.report.source, one.report.case) for one in stored})
    last = max(batches)
    states, _ = log.state(Filter(sources=frozenset({f"urn:{name}"})))
    assert {one.report.id.split("-")[0] for one in states} == {str(last)}
    assert counts["open"] >= (SIZE if last % 2 else 0)


@pytest.mark.parametrize("backend", ["sqlite", "postgis"])
def test_a_writer_killed_again_and_again_loses_nothing_acknowledged_and_writes_nothing_twice(
    request: pytest.FixtureRequest, tmp_path: Path, backend: str
) -> None:
    where = tmp_path / "events.sqlite" if backend == "sqlite" else request.getfixturevalue("postgis_url")
    dice = random.Random(5)
    acks: dict[int, int] = {}
    end, killed = 400, 0
    for _ in range(ROUNDS):
        # Like a sender that does not know what its last batches came to: it begins before where it stopped.
        begin = max(0, max(acks, default=0) - 2)
        process = writer(where, "w", begin, end)
        again = acknowledged(process, dice.randrange(3, 30))
        killed += process.returncode == -9
        assert all(acks.get(batch, offset) == offset for batch, offset in again.items()), "an offset changed"
        acks |= again
        log = open_events(where)
        check_whole(log, "w", acks, end)
        log.close()
    assert killed >= ROUNDS - 1
    if backend == "sqlite":
        connection = sqlite3.connect(where)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()


@pytest.mark.parametrize("backend", ["sqlite", "postgis"])
def test_two_processes_that_write_at_once_share_one_order(
    request: pytest.FixtureRequest, tmp_path: Path, backend: str
) -> None:
    where = tmp_path / "events.sqlite" if backend == "sqlite" else request.getfixturevalue("postgis_url")
    both = [writer(where, name, 0, 30) for name in ("a", "b")]
    acks = [acknowledged(process, 10**9) for process in both]
    log = open_events(where)
    assert log.last() == 2 * 30 * SIZE
    assert [one.offset for one in log.after(0, 10**6)] == list(range(1, log.last() + 1))
    for name, told in zip("ab", acks, strict=True):
        check_whole(log, name, told, 30)
        assert len(told) == 30
    log.close()


_FULL = """
import resource, signal, sys
from pathlib import Path
from tests.contract.event_writer import rows
from twin.errors import StoreError
from twin.live.model import Filter
from twin.live.open import open_events
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path(sys.argv[1])
log = open_events(path)
log.append(rows("w", 0))
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
wal = Path(f"{path}-wal")
resource.setrlimit(resource.RLIMIT_FSIZE, (wal.stat().st_size + 150_000, hard))
acked, told = 0, ""
for batch in range(1, 100):
    try:
        log.append(rows("w", batch))
        acked = batch
    except StoreError as error:
        told = str(error)
        break
assert "disk" in told and "next:" in told, told
assert len(log.after(0, 10**6)) == (acked + 1) * len(rows("w", 0)) == log.last()
try:
    log.append(rows("w", acked + 1))
except StoreError:
    pass
else:
    raise SystemExit("the disk was not full")
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
log.append(rows("w", acked + 1))
log.append(rows("w", acked + 2))
print(acked + 2)
log.close()
"""


def test_a_full_disk_refuses_what_it_cannot_keep_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    command = [sys.executable, "-c", _FULL, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    last = int(done.stdout)
    assert last > 3
    log = open_events(path)
    check_whole(log, "w", {batch: batch * SIZE + 1 for batch in range(last + 1)}, last + 1)
    log.close()


def test_a_database_that_may_not_grow_says_so_and_stays_whole(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "events.sqlite")
    log = EventLog(database)
    log.append(rows("w", 0))
    (pages,) = database._writer.execute("PRAGMA page_count").fetchone()
    database._writer.execute(f"PRAGMA max_page_count = {pages + 8}")
    with pytest.raises(StoreError, match="full"):
        for batch in range(1, 50):
            log.append(rows("w", batch))
    kept = log.last() // SIZE
    database._writer.execute("PRAGMA max_page_count = 1000000")
    log.append(rows("w", kept))
    check_whole(log, "w", {batch: batch * SIZE + 1 for batch in range(kept + 1)}, kept + 1)
    log.close()


def test_a_writer_that_waited_in_vain_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    log = open_events(path, 0.05)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="written by somebody else"):
        log.append(rows("w", 0))
    assert log.after(0) == []
    other.execute("ROLLBACK")
    other.close()
    assert log.append(rows("w", 0)).last == SIZE
    log.close()


@pytest.fixture
def restarting(postgis_cluster: Cluster) -> Iterator[Cluster]:
    """The cluster with real fsync; it runs again afterwards, whatever the test did."""
    postgis_cluster.stop("fast")
    postgis_cluster.start(durable=True)
    yield postgis_cluster
    postgis_cluster.stop("immediate")
    postgis_cluster.start()


def test_a_database_cut_off_in_the_middle_keeps_what_it_acknowledged_and_the_log_finds_it_again(
    restarting: Cluster, postgis_url: str
) -> None:
    log = open_events(postgis_url)
    heard = threading.Event()
    stop = log.listen(heard.set)
    acks = {}
    for batch in range(3):
        acks[batch] = log.append(rows("w", batch)).offsets[0]
        log.after(0)
        restarting.stop("immediate")
        with pytest.raises(StoreError, match=r"stopped or restarted|connection was lost|cannot be reached") as told:
            log.append(rows("w", batch + 1))
        assert "postgresql://" not in str(told.value)
        with pytest.raises(StoreError):
            log.last()
        restarting.start(durable=True)
        heard.clear()
        check_whole(log, "w", acks, 3)
        assert heard.wait(30), "who listened has to be told to read on: what was said meanwhile is lost"
    stop()
    log.close()


def test_a_connection_that_an_administrator_ends_costs_one_batch_its_answer_and_no_more(postgis_url: str) -> None:
    import psycopg

    log = open_events(postgis_url)
    log.append(rows("w", 0))
    log.last()
    with psycopg.connect(postgis_url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert log.append(rows("w", 1)).last == 2 * SIZE
    check_whole(log, "w", {0: 1, 1: SIZE + 1}, 2)
    log.close()


def test_a_server_that_answers_before_it_has_flushed_is_told_to_flush(postgis_url: str) -> None:
    log = open_events(postgis_url)
    assert isinstance(log, EventLog)
    with log._database.writing() as run:
        assert run("SHOW synchronous_commit") == [("on",)]
    log.close()


@pytest.mark.parametrize(
    "url", ["postgresql://u:s3cr3t@127.0.0.1:1/x", "postgresql://u:s3cr3t/h@127.0.0.1:1/x", "postgresql://s3cr3t?x"]
)
def test_a_password_stands_in_no_message(url: str) -> None:
    with pytest.raises((StoreError, MisuseError)) as told:
        open_events(url)
    error: BaseException | None = told.value
    while error is not None:
        assert "s3cr3t" not in str(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_a_log_in_a_file_loads_nothing_of_a_database() -> None:
    code = (
        "import sys, tempfile, pathlib\n"
        "from twin.live.open import open_events\n"
        "open_events(pathlib.Path(tempfile.mkdtemp()) / 'e.sqlite').close()\n"
        "print([name for name in ('psycopg', 'sqlalchemy', 'alembic', 'numpy', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
