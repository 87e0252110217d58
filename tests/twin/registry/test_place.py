"""One rule says where a registry lies, and pipelines and server both go by it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import project_registry
from pipelines.project import load_project
from server import settings
from tests.pipelines.district import district
from twin.errors import ProjectError
from twin.registry.open import DATABASE_VARIABLE
from twin.registry.place import REGISTRY_FILE, registry_location, stated_database

ADDRESSES = st.sampled_from(["postgresql://u:p@h/d", "postgres://h/e", "postgresql://other/f"])


@given(st.none() | st.just("") | ADDRESSES, st.none() | st.sampled_from(["", "  "]) | ADDRESSES)
def test_the_variable_beats_the_project_file_which_beats_the_file(stated: str | None, told: str | None) -> None:
    environment = {} if told is None else {DATABASE_VARIABLE: told}
    found = registry_location(Path("d"), stated, environment)
    assert found == ((told or "").strip() or stated or Path("d") / REGISTRY_FILE)
    assert stated_database(stated, environment) == (None if isinstance(found, Path) else found)


@pytest.mark.parametrize("told", [{DATABASE_VARIABLE: "mysql://u:s3cr3t@h/d"}, {}])
def test_another_database_is_refused_without_telling_its_password(told: dict[str, str]) -> None:
    with pytest.raises(ProjectError) as error:
        stated_database("mysql://u:s3cr3t@h/d", told)
    assert "s3cr3t" not in str(error.value)
    assert (DATABASE_VARIABLE in str(error.value)) == bool(told)


@pytest.mark.parametrize("told", ["", "postgresql://h/by-variable"])
@pytest.mark.parametrize("stated", ["", 'database_url = "postgresql://h/by-file"'])
def test_pipelines_and_server_find_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str, stated: str
) -> None:
    made = district(tmp_path / "d", 3).write()
    file = made.root / "twin.toml"
    file.write_text(f"{file.read_text()}\n[registry]\n{stated}\n")
    monkeypatch.setenv(DATABASE_VARIABLE, told)
    found = settings.registry_location(made.root)
    assert found == project_registry.registry_location(load_project(file))
    assert found == told or (not told and (isinstance(found, Path) == (not stated)))


def test_a_release_directory_has_no_registry_unless_a_database_is_named(tmp_path: Path) -> None:
    assert settings.registry_location(tmp_path, {}) is None
    assert settings.registry_location(tmp_path, {DATABASE_VARIABLE: "postgresql://h/d"}) == "postgresql://h/d"
