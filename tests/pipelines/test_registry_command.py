"""A project whose registry lies in PostgreSQL builds the same district, and `twin registry` moves it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.build_result import BuildOptions
from pipelines.cli import run
from pipelines.project import load_project, project_digest
from pipelines.project_registry import registry_location
from pipelines.run import build
from tests.pipelines.district import District, district
from twin.errors import ProjectError
from twin.registry.open import DATABASE_VARIABLE, open_history, open_registry

AUTHORITY = "310105"


def files(made: District) -> dict[str, bytes]:
    root = made.release.path
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, object]:
    capsys.readouterr()
    assert run([*arguments, "--json"]) == code
    answer: dict[str, object] = json.loads(capsys.readouterr().out)
    return answer


def test_a_build_on_postgis_gives_the_bytes_of_a_build_on_a_file(
    tmp_path: Path, postgis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = district(tmp_path / "here", 60).write()
    shutil.copytree(here.root, tmp_path / "there")
    here.build()
    monkeypatch.setenv(DATABASE_VARIABLE, postgis_url)
    there = replace(here, root=tmp_path / "there")
    build(load_project(there.root), BuildOptions(workers=1))
    assert files(here) == files(there)
    assert not (there.root / "registry.sqlite").exists()
    with open_registry(postgis_url, AUTHORITY, read_only=True) as registry:
        names = there.index.table["geid"].to_pylist()
        assert registry.given(names) == set(names)


def test_a_registry_moves_by_the_command_line(
    tmp_path: Path, postgis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = district(tmp_path / "d", 30)
    made.build()
    folder = ["-C", str(made.root)]
    open_history(made.root / "registry.sqlite", AUTHORITY).close()
    assert told(capsys, "registry", "verify", *folder)["whole"] is True
    exported = told(capsys, "registry", "export", str(tmp_path / "open"), *folder)
    assert exported["rows"]["entity"] == 30  # type: ignore[index]
    told(capsys, "registry", "backup", str(tmp_path / "b.sqlite"), *folder)
    monkeypatch.setenv(DATABASE_VARIABLE, postgis_url)
    assert told(capsys, "registry", "import", str(tmp_path / "b.sqlite"), *folder)["form"] == "postgis"
    migrated = told(capsys, "registry", "migrate", *folder)
    assert migrated["before"] == migrated["after"]
    told(capsys, "registry", "export", str(tmp_path / "again"), *folder)
    for file in (tmp_path / "open").iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()


def test_verify_ends_with_3_where_something_is_broken(
    tmp_path: Path, postgis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import psycopg

    monkeypatch.setenv(DATABASE_VARIABLE, postgis_url)
    made = district(tmp_path / "d", 5)
    made.build()
    with psycopg.connect(postgis_url) as connection:
        connection.execute("UPDATE entity SET first_release = 9")
    answer = told(capsys, "registry", "verify", "-C", str(made.root), code=3)
    assert answer["whole"] is False
    assert answer["problems"]


def test_misuse_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = district(tmp_path / "d", 3).write()
    folder = ["-C", str(made.root)]
    assert run(["registry", "export", *folder]) == 2
    assert run(["registry", "verify", "x", *folder]) == 2
    assert run(["registry", "import", "postgresql://u:s3cr3t@h/d", *folder]) == 2
    assert "s3cr3t" not in "".join(capsys.readouterr())


def test_the_variable_beats_the_project_file_and_neither_changes_the_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = district(tmp_path / "d", 3).write()
    file = made.root / "twin.toml"
    plain = load_project(file)
    assert registry_location(plain) == file.parent / "registry.sqlite"
    file.write_text(file.read_text() + '\n[registry]\ndatabase_url = "postgresql://u:s3cr3t@h/d"\n')
    project = load_project(file)
    assert registry_location(project) == "postgresql://u:s3cr3t@h/d"
    assert project_digest(project) == project_digest(plain)
    assert "s3cr3t" not in repr(project)
    monkeypatch.setenv(DATABASE_VARIABLE, "postgresql://other/d")
    assert registry_location(project) == "postgresql://other/d"
    monkeypatch.setenv(DATABASE_VARIABLE, "mysql://u:s3cr3t@h/d")
    with pytest.raises(ProjectError, match=DATABASE_VARIABLE) as error:
        registry_location(project)
    assert "s3cr3t" not in str(error.value)
    file.write_text(file.read_text().replace("postgresql://u:s3cr3t@h/d", "mysql://u:s3cr3t@h/d"))
    with pytest.raises(ProjectError) as error:
        load_project(file)
    assert "s3cr3t" not in str(error.value)
