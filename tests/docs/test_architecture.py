"""docs/architecture.md and the decisions name only modules and functions that exist, and every package of ours."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "docs" / "architecture.md", *sorted((ROOT / "docs" / "decisions").glob("*.md"))]
_NAME = re.compile(r"`((?:twin|pipelines|server)(?:\.[A-Za-z_][A-Za-z_0-9]*)+)[`(]")
_PATH = re.compile(r"`((?:twin|pipelines|server|tests|tools|docs|benchmarks|data_samples)(?:/[A-Za-z_0-9.-]+)+)/?`")
TEXT = DOCUMENTS[0].read_text(encoding="utf-8")


def exists(name: str) -> bool:
    """Whether a dotted name can be imported, or is an attribute of what can."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            if not hasattr(thing, part):
                return False
            thing = getattr(thing, part)
        return True
    return False


@pytest.mark.parametrize("name", sorted({name for one in DOCUMENTS for name in _NAME.findall(one.read_text("utf-8"))}))
def test_every_name_exists(name: str) -> None:
    if name in ("twin.commands", "twin.district", "twin.toml"):  # entry-point groups and the project file, no modules
        return
    assert exists(name)


def test_a_name_that_is_not_there_is_noticed() -> None:
    assert exists("twin.errors.TwinError.exit_code")
    assert not exists("twin.errors.NoSuchError")
    assert not exists("twin.nothing")


def test_every_path_exists() -> None:
    paths = {path for one in DOCUMENTS for path in _PATH.findall(one.read_text("utf-8"))}
    assert len(paths) > 8
    missing = [path for path in sorted(paths) if not (ROOT / path).exists() and not (ROOT / f"{path}.py").exists()]
    assert not missing


def test_every_package_of_the_library_is_described() -> None:
    packages = {path.parent.name for path in (ROOT / "twin").glob("*/__init__.py")}
    assert len(packages) == 14
    for package in packages:
        assert re.search(rf"`twin\.{package}\.[a-z]", TEXT), package


def test_the_decisions_are_listed_and_have_their_parts() -> None:
    listing = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    notes = [one for one in DOCUMENTS[1:] if one.name != "README.md"]
    assert len(notes) >= 13
    for note in notes:
        text = note.read_text(encoding="utf-8")
        assert f"({note.name})" in listing
        assert text.startswith(f"# {note.name[:4]} ")
        parts = re.findall(r"^## (.+)$", text, re.MULTILINE)
        assert parts == ["Context", "Decision", "Consequences", "What would change our mind"], note.name
