"""A database that stops, a process that is killed, a connection that dies: the registry is whole afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.postgis import Cluster
from twin.errors import MisuseError, StoreError
from twin.registry.integrity import verify
from twin.registry.matching import Anchors
from twin.registry.open import open_registry

AUTHORITY = "310105"
KEYS = [f"k{number}" for number in range(500)]


def record(where: Path | str, keys: list[str], commit: bool = True) -> None:
    with open_registry(where, AUTHORITY) as registry:
        anchors = Anchors.of(np.ones((len(keys), 7)))
        registry.record(registry.resolve("buildings", "osm", pa.array(keys), anchors))
        if commit:
            registry.commit("r")


def count(where: Path | str) -> int:
    with open_registry(where, AUTHORITY, read_only=True) as registry:
        return int(registry.rows("SELECT count(*) FROM entity")[0][0])  # type: ignore[attr-defined]


@pytest.fixture
def restarting(postgis_cluster: Cluster) -> Iterator[Cluster]:
    """The cluster with real fsync; it runs again afterwards, whatever the test did."""
    postgis_cluster.stop("fast")
    postgis_cluster.start(durable=True)
    yield postgis_cluster
    postgis_cluster.stop("immediate")
    postgis_cluster.start()


def test_a_database_that_is_cut_off_in_the_middle_of_a_build_keeps_the_last_commit(
    restarting: Cluster, postgis_url: str
) -> None:
    record(postgis_url, KEYS[:10])
    with open_registry(postgis_url, AUTHORITY) as registry:
        registry.record(registry.resolve("buildings", "osm", pa.array(KEYS), Anchors.of(np.ones((len(KEYS), 7)))))
        restarting.stop("immediate")
        restarting.start(durable=True)
        with pytest.raises(StoreError, match=r"stopped or restarted|connection was lost|cannot be reached") as told:
            registry.commit("r2")
        assert "postgresql://" not in str(told.value)
    assert count(postgis_url) == 10
    assert verify(postgis_url, AUTHORITY) == []
    record(postgis_url, KEYS)
    assert count(postgis_url) == len(KEYS)


def test_a_connection_that_an_administrator_ends_gives_a_sentence_and_leaves_nothing_behind(
    postgis_cluster: Cluster, postgis_url: str
) -> None:
    import psycopg

    record(postgis_url, KEYS[:10])
    with open_registry(postgis_url, AUTHORITY) as registry:
        registry.record(registry.resolve("buildings", "osm", pa.array(KEYS), Anchors.of(np.ones((len(KEYS), 7)))))
        with psycopg.connect(postgis_url, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        with pytest.raises(StoreError):
            registry.add_aliases("code", ["x"], ["y"])
        with pytest.raises(StoreError):
            registry.entity("0000-0000-0000-0000")
            registry.commit("r2")
    assert count(postgis_url) == 10


_WRITER = """
import os, signal, sys
import numpy as np, pyarrow as pa
from twin.registry.matching import Anchors
from twin.registry.open import open_registry
where, authority, step = sys.argv[1:]
keys = [f"k{number}" for number in range(500)]
with open_registry(where, authority) as registry:
    die = lambda: os.kill(os.getpid(), signal.SIGKILL)
    registry.record(registry.resolve("buildings", "osm", pa.array(keys), Anchors.of(np.ones((len(keys), 7)))))
    if step == "recorded":
        die()
    registry.add_aliases("code", keys, registry.resolve("buildings", "osm", pa.array(keys),
                         Anchors.of(np.ones((len(keys), 7)))).geids.to_pylist())
    if step == "aliased":
        die()
    registry.commit("r2")
    die()
"""


@pytest.mark.parametrize("backend", ["sqlite", "postgis"])
@pytest.mark.parametrize(("step", "after"), [("recorded", 10), ("aliased", 10), ("committed", 500)])
def test_a_process_killed_before_or_after_its_commit_leaves_all_or_nothing(
    request: pytest.FixtureRequest, tmp_path: Path, backend: str, step: str, after: int
) -> None:
    where = tmp_path / "registry.sqlite" if backend == "sqlite" else request.getfixturevalue("postgis_url")
    record(where, KEYS[:10])
    done = subprocess.run(
        [sys.executable, "-c", _WRITER, str(where), AUTHORITY, step],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert count(where) == after
    assert verify(where, AUTHORITY) == []
    record(where, KEYS)
    assert count(where) == len(KEYS)


def test_a_later_version_is_refused_and_an_older_one_names_the_way_up(postgis_url: str) -> None:
    import psycopg

    from twin.registry.postgres_address import Address
    from twin.registry.postgres_schema import migrate

    record(postgis_url, KEYS[:10])
    with psycopg.connect(postgis_url, autocommit=True) as connection:
        connection.execute("UPDATE registry_version SET version_num = '9999'")
        with pytest.raises(StoreError, match="version 9999"):
            open_registry(postgis_url, AUTHORITY)
        with pytest.raises(StoreError, match="version 9999"):
            migrate(Address.of(postgis_url))
        connection.execute("DROP TABLE history_edition, history_version, history_lineage, history_bridge")
        connection.execute("DROP FUNCTION history_fixed")
        connection.execute("DELETE FROM setting WHERE name = 'history_schema'")
        connection.execute("UPDATE registry_version SET version_num = '0001'")
    with pytest.raises(StoreError, match="twin registry migrate"):
        open_registry(postgis_url, AUTHORITY)
    assert migrate(Address.of(postgis_url))[0] == "0001"
    assert count(postgis_url) == 10
    assert verify(postgis_url, AUTHORITY) == []


SECRETS = (
    "postgresql://u:s3cr3t@127.0.0.1:1/x",
    "postgresql://u:s3cr3t@h@127.0.0.1:1/x",
    "postgresql://u:s3cr3t/h@127.0.0.1:1/x",
    "postgresql://u:a:s3cr3t@127.0.0.1:1/x",
    "postgresql://u:s3cr3t#h@127.0.0.1:1/x",
    "postgresql://u:s3cr3t?h@127.0.0.1:1/x",
    "postgresql://u@127.0.0.1:1/x?password=s3cr3t",
    "postgresql://u@127.0.0.1:1/x?s3cr3t",
    "postgresql://u:s3cr3t%zz@127.0.0.1:1/x",
    "postgresql://u:s3cr3t@[::1/x",
)


@pytest.mark.parametrize("url", SECRETS)
def test_a_password_stands_in_no_message_however_the_address_is_miswritten(url: str) -> None:
    with pytest.raises((StoreError, MisuseError)) as told:
        open_registry(url, AUTHORITY)
    error: BaseException | None = told.value
    while error is not None:
        assert "s3cr3t" not in str(error)
        assert "s3cr3t" not in repr(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MisuseError, match=r"(?s)driver.*postgis"):
        open_registry("postgresql://127.0.0.1/x", AUTHORITY)


def test_a_registry_in_a_file_loads_nothing_of_a_database() -> None:
    code = (
        "import sys, tempfile, pathlib\n"
        "from twin.registry.open import open_registry\n"
        "open_registry(pathlib.Path(tempfile.mkdtemp()) / 'r.sqlite', '310105').close()\n"
        "print([name for name in ('psycopg', 'sqlalchemy', 'alembic', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "[]"
