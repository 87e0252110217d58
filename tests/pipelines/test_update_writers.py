"""Two updates at once, in a file and in PostgreSQL: the second waits or refuses, and neither leaves a half."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import pipelines.update as module
from pipelines.cli import run
from pipelines.project import load_project
from pipelines.update import Applied, UpdateOptions, run_update, undo_update
from tests.pipelines.district import District
from tests.pipelines.test_update import Survey, edited
from tests.pipelines.test_update_classes import told
from twin.errors import StoreError
from twin.registry.open import DATABASE_VARIABLE, open_history, open_registry
from twin.registry.versions import Window

AUTHORITY = "310105"

_HELD = """
import sys
from pathlib import Path
import pipelines.update as target
from pipelines.cli import run
apply = target.apply_plan
def held(*given):
    print("planned", flush=True)
    sys.stdin.readline()
    return apply(*given)
target.apply_plan = held
sys.exit(run(["update", "-C", sys.argv[1], "--no-build", "-q", "--name", "held"]))
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    Survey().write(tmp_path / "d").build()
    return tmp_path / "d"


def names(where: Path | str) -> list[str]:
    with open_history(where, AUTHORITY, read_only=True) as history:
        assert list(history.verify()) == []
        return [one.name for one in history.editions()][1:]


def test_a_second_update_refuses_or_waits_while_one_runs(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    edited().write(root)
    command = [sys.executable, "-c", _HELD, str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin is not None and holder.stdout is not None
        assert holder.stdout.readline() == "planned\n"
        second = ["update", "-C", str(root), "--no-build", "-q", "--name", "second"]
        assert run(second) == 1
        assert "next:" in capfd.readouterr().err
        assert names(root / "registry.sqlite") == []
        codes: list[int] = []
        waiting = threading.Thread(target=lambda: codes.append(run([*second, "--wait", "60"])))
        waiting.start()
        holder.stdin.write("go on\n")
        holder.stdin.close()
        waiting.join(60)
    assert (holder.returncode, codes) == (0, [0])
    assert names(root / "registry.sqlite") == ["held"]
    assert "nothing new" in capfd.readouterr().out


# --- PostgreSQL -------------------------------------------------------------------------------------------------


@pytest.fixture
def served(tmp_path: Path, postgis_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A district whose registry lies in a database."""
    monkeypatch.setenv(DATABASE_VARIABLE, postgis_url)
    Survey().write(tmp_path / "d").build()
    assert not (tmp_path / "d" / "registry.sqlite").exists()
    return tmp_path / "d"


def standing(url: str) -> dict[str, str]:
    with open_history(url, AUTHORITY, read_only=True) as history:
        table = history.snapshot(Window())
        return dict(zip(table.column("source_key").to_pylist(), table.column("geid").to_pylist(), strict=True))


def bound(url: str, *keys: str) -> list[str | None]:
    with open_registry(url, AUTHORITY, read_only=True) as registry:
        return [registry.lookup(f"houses:{key}") for key in keys]


def geids(root: Path) -> dict[str, str]:
    return District(root, [], {}).geids()


def test_an_update_in_a_database_is_planned_applied_built_and_taken_back(served: Path, postgis_url: str) -> None:
    old = geids(served)
    edited().write(served)
    assert run(["update", "-C", str(served), "--plan", "-q"]) == 0
    assert bound(postgis_url, "RENUMBERED") == [None] and standing(postgis_url) == {}
    assert run(["update", "-C", str(served), "--name", "2026", "-q"]) == 0
    new = geids(served)
    assert standing(postgis_url) == new
    assert new["RENUMBERED"] == old["H00003"] and new["H00001"] == old["H00001"]
    assert not {new["H00002"], new["H00002b"], new["N1"]} & set(old.values())
    with (
        open_history(postgis_url, AUTHORITY, read_only=True) as history,
        open_registry(postgis_url, AUTHORITY, read_only=True) as registry,
    ):
        assert set(history.successors(old["H00002"])) == {new["H00002"], new["H00002b"]}
        assert list(history.verify()) == []
        gone, kept = registry.entity(old["H00004"]), registry.entity(old["H00003"])
        assert gone is not None and gone.retired and kept is not None and not kept.retired
    assert run(["registry", "verify", "-C", str(served)]) == 0
    assert run(["update", "-C", str(served), "--undo"]) == 0
    assert standing(postgis_url) == old
    assert bound(postgis_url, *old) == list(old.values())
    Survey().write(served).build()
    assert geids(served) == old


def test_a_file_and_a_database_give_the_same_identifiers(served: Path, tmp_path: Path, postgis_url: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(DATABASE_VARIABLE)
        Survey().write(tmp_path / "file").build()
        edited().write(tmp_path / "file")
        assert run(["update", "-C", str(tmp_path / "file"), "-q"]) == 0
    edited().write(served)
    assert run(["update", "-C", str(served), "-q"]) == 0
    assert standing(postgis_url) == geids(served) == geids(tmp_path / "file")


@pytest.mark.parametrize("step", ["bind_rows", "move_rows", "forget_rows"])
def test_an_error_among_the_identities_leaves_no_edition_in_the_database(
    served: Path, postgis_url: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = geids(served)
    edited().write(served)
    from pipelines import update_apply

    real = getattr(update_apply, step)

    def fail(*given: object) -> None:
        real(*given)
        raise OSError("the machine is gone")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="gone"):
        patch.setattr(update_apply, step, fail)
        run_update(load_project(served), UpdateOptions("half"))
    assert names(postgis_url) == [] and bound(postgis_url, "RENUMBERED", "H00003") == [None, old["H00003"]]
    assert told(run_update(load_project(served), UpdateOptions("whole")))["split"] == 2
    assert names(postgis_url) == ["whole"]


def test_a_connection_cut_before_the_commit_leaves_nothing(
    served: Path, postgis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited().write(served)
    from pipelines import update_apply

    real = update_apply.bind_identities

    def cut(plan: object, registry: object) -> None:
        real(plan, registry)  # type: ignore[arg-type]
        mine = registry.connection.info.backend_pid  # type: ignore[attr-defined]
        import psycopg

        with psycopg.connect(postgis_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (mine,))

    with monkeypatch.context() as patch, pytest.raises(StoreError):
        patch.setattr(update_apply, "bind_identities", cut)
        run_update(load_project(served), UpdateOptions("cut"))
    assert names(postgis_url) == [] and bound(postgis_url, "RENUMBERED") == [None]
    assert run_update(load_project(served), UpdateOptions("whole")).edition is not None


def test_two_machines_that_planned_the_same_update_write_it_once(
    served: Path, postgis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a folder of its own, so only the database can tell them apart."""
    edited().write(served)
    other = tmp_path / "other"
    shutil.copytree(served, other)
    real, done = module.apply_plan, []

    def overtaken(*given: object) -> object:
        monkeypatch.setattr(module, "apply_plan", real)
        done.append(run_update(load_project(other), UpdateOptions("other")))
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "apply_plan", overtaken)
    with pytest.raises(StoreError, match="was written while this update was being planned"):
        run_update(load_project(served), UpdateOptions("mine"))
    assert isinstance(done[0], Applied) and done[0].edition is not None
    assert names(postgis_url) == ["other"]
    assert run_update(load_project(served), UpdateOptions("mine")).plan.empty
    undo_update(load_project(served))
    assert standing(postgis_url) == dict(zip(*keys_before(postgis_url), strict=True))


def keys_before(url: str) -> tuple[list[str], list[str]]:
    """Keys and geids of the adopted release."""
    with open_history(url, AUTHORITY, read_only=True) as history:
        table = history.bridge(1)
        return table.column("source_key").to_pylist(), table.column("geid").to_pylist()
