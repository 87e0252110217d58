"""docs/reason-codes.md lists every code the program can report, with its outcome and severity, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from twin.report import REASONS, Reason

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "reason-codes.md").read_text(encoding="utf-8")
#: Code to the cells of its rows.
ROWS = [[cell.strip() for cell in row.split("|")[1:-1]] for row in re.findall(r"^\| `[a-z].*$", TEXT, re.MULTILINE)]
LISTED = [row[0].strip("`") for row in ROWS]
_CODE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_MAKERS = {"Issue", "_issue", "_finding", "finding"}


def texts(value: ast.expr, named: dict[str, list[ast.expr]]) -> Iterator[str]:
    """The codes an argument may be: a text, one of two, or a variable that is given one of them."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str) and _CODE.fullmatch(value.value):
        yield value.value
    elif isinstance(value, ast.IfExp):
        yield from texts(value.body, named)
        yield from texts(value.orelse, named)
    elif isinstance(value, ast.Name):
        for other in named.get(value.id, ()):
            if not isinstance(other, ast.Name):
                yield from texts(other, named)


def codes_in(source: str) -> Iterator[str]:
    """Codes of the findings a module makes, from the calls that make them."""
    for function in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)):
        named: dict[str, list[ast.expr]] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                named.setdefault(node.targets[0].id, []).append(node.value)
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _MAKERS:
                for argument in node.args[:2]:
                    yield from texts(argument, named)


MADE = {
    code
    for folder in ("twin", "pipelines")
    for path in (ROOT / folder).rglob("*.py")
    for code in codes_in(path.read_text(encoding="utf-8"))
}


def test_findings_are_found_in_the_code() -> None:
    assert len(MADE) > 35
    assert {"crs_missing", "height_outside_raster", "raster_unit", "feature_twice", "source_note"} <= MADE


@pytest.mark.parametrize("code", sorted(MADE | set(REASONS)))
def test_every_code_is_listed(code: str) -> None:
    assert code in LISTED


def test_no_code_is_listed_that_is_not_there() -> None:
    assert set(LISTED) <= MADE | set(REASONS)


def test_no_code_is_listed_twice() -> None:
    assert len(LISTED) == len(set(LISTED))


@pytest.mark.parametrize("reason", REASONS.values(), ids=lambda reason: reason.code)
def test_outcome_and_severity_are_those_of_the_program(reason: Reason) -> None:
    row = next(row for row in ROWS if row[0] == f"`{reason.code}`")
    assert row[1:3] == ["–" if reason.outcome is None else reason.outcome.value, reason.severity.value]


def test_codes_that_other_documents_explain_are_there() -> None:
    known = MADE | set(REASONS)
    for name in ("user-guide.md", "crs.md", "sources.md"):
        rows = re.findall(
            r"^\| ((?:`[a-z]+_[a-z_]+`(?:, )?)+) \|", (ROOT / "docs" / name).read_text(encoding="utf-8"), re.MULTILINE
        )
        named = {code for row in rows for code in re.findall(r"`([a-z_]+)`", row)}
        prefixed = {code for code in named if code.split("_")[0] in {one.split("_")[0] for one in known}}
        settings = {"crs_file", "height_source", "height_confidence", "ground_source", "height_m"}
        assert prefixed - settings <= known, name
