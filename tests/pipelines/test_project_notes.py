"""Placeholders that `twin init` writes are told until somebody states the truth."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.project import load_project
from pipelines.project_notes import project_notes
from twin.report import Severity

HEAD = '[project]\nname = "x"\nadmin_code = "{code}"\nworking_crs = "EPSG:4549"\n{datum}\n'
H85 = 'vertical_datum = "H85"\ngeoid_undulation_m = 10.9'
SOURCE = '[[source]]\nname = "{name}"\npath = "{name}.shp"\n'
CONSTANT = '[[source.ground]]\nfrom = "constant"\nelevation_m = {0}\n'
FIELD = '[[source.ground]]\nfrom = "attribute"\nfield = "g"\n'


def told(folder: Path, text: str) -> list[tuple[str, str | None]]:
    (folder / "twin.toml").write_text(text, encoding="utf-8")
    found = project_notes(load_project(folder))
    assert all(issue.severity is Severity.WARNING and issue.next_step for issue in found)
    return [(issue.code, issue.source) for issue in found]


@pytest.mark.parametrize(("code", "placeholder"), [("000000", True), ("000000000", True), ("310105", False)])
def test_a_code_of_noughts_is_a_placeholder(tmp_path: Path, code: str, placeholder: bool) -> None:
    text = HEAD.format(code=code, datum=H85) + SOURCE.format(name="a") + CONSTANT.format(4.0)
    assert told(tmp_path, text) == ([("admin_code_placeholder", None)] if placeholder else [])


def test_what_hangs_on_the_code_and_where_it_stands_is_said(tmp_path: Path) -> None:
    text = HEAD.format(code="000000", datum=H85) + SOURCE.format(name="a") + CONSTANT.format(0)
    told(tmp_path, text)
    code, ground = project_notes(load_project(tmp_path))
    assert "every identifier is minted from it" in code.text
    assert "twin.toml, line 3" in code.next_step
    assert f"line {text.splitlines().index('elevation_m = 0') + 1}" in ground.next_step
    stated = text.replace('admin_code = "000000"', 'admin_code = "000000"\nauthority = "office"')
    told(tmp_path, stated)
    assert "minted" not in project_notes(load_project(tmp_path))[0].text


@pytest.mark.parametrize(
    ("rules", "datum", "placeholder"),
    [
        (CONSTANT.format(0), H85, True),
        (CONSTANT.format("0.0"), 'vertical_datum = "NAP"\ngeoid_undulation_m = 43.2', True),
        (CONSTANT.format(0.001), H85, False),
        (CONSTANT.format(-1), H85, False),
        (FIELD + CONSTANT.format(0), H85, False),
        (CONSTANT.format(0), 'vertical_datum = "ellipsoid"', False),
    ],
)
def test_a_ground_of_nought_and_nothing_else_is_a_placeholder(
    tmp_path: Path, rules: str, datum: str, placeholder: bool
) -> None:
    text = HEAD.format(code="310105", datum=datum) + SOURCE.format(name="a") + rules
    assert told(tmp_path, text) == ([("ground_placeholder", "a")] if placeholder else [])


def test_each_source_is_told_by_its_name(tmp_path: Path) -> None:
    parts = [SOURCE.format(name=name) + CONSTANT.format(level) for name, level in (("a", 0), ("b", 3), ("c", 0))]
    assert told(tmp_path, HEAD.format(code="310105", datum=H85) + "".join(parts)) == [
        ("ground_placeholder", "a"), ("ground_placeholder", "c"),
    ]  # fmt: skip
