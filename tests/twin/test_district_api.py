"""`from twin import District`: the snippets of docs/python-api.md run, and it says what the command line says."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import twin
from pipelines.cli import run
from twin.errors import MisuseError, ProjectError

ROOT = Path(__file__).parents[2]
_SNIPPET = re.compile(r"<!-- tested[^>]*-->\n```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("api")
    shutil.copytree(ROOT / "data_samples" / "extract", folder / "district")
    return folder


@pytest.fixture(scope="module")
def followed(folder: Path) -> dict[str, Any]:
    """What is known after every snippet of the page has run, in order, in one folder."""
    names: dict[str, Any] = {}
    snippets = _SNIPPET.findall((ROOT / "docs" / "python-api.md").read_text(encoding="utf-8"))
    assert len(snippets) >= 5
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for snippet in snippets:
            exec(snippet, names)
    return names


def test_the_snippets_of_the_page_find_what_they_look_for(followed: dict[str, Any]) -> None:
    assert 0 < len(followed["some"]) < len(followed["district"].entities)
    assert followed["here"][0]["geid"] == followed["found"][0]["geid"] == followed["record"]["geid"]
    assert followed["frame"].crs.to_epsg() == 4490
    assert followed["frame"].geometry.is_valid.all()
    assert followed["versions"].num_rows == 0


def test_python_and_the_command_line_export_the_same_bytes(followed: dict[str, Any], folder: Path) -> None:
    by_python = folder / "district.gpkg"
    by_command = folder / "command.gpkg"
    box = "121.41,31.21,121.42,31.22"
    arguments = ["-o", str(by_command), "--bbox", box, "--where", "height_m > 30"]
    assert run(["export", "-C", str(folder / "district"), *arguments]) == 0
    assert by_python.read_bytes() == by_command.read_bytes()


def test_a_build_through_python_is_the_build_of_the_command_line(
    followed: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(["build", "-C", str(folder / "district"), "--json"])
    account = json.loads(capsys.readouterr().out)
    assert account["unchanged"]
    assert account["release"] == followed["result"].release == followed["district"].release.id
    assert code == followed["result"].report.exit_code


def test_check_tells_the_findings_of_the_command(
    followed: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipelines.check_report import to_json

    run(["check", "-C", str(folder / "district"), "--json"])
    assert json.loads(json.dumps(to_json(followed["district"].check()))) == json.loads(capsys.readouterr().out)


def test_arrow_and_geopandas_hold_the_same_entities_in_the_order_of_geids(followed: dict[str, Any]) -> None:
    table = followed["some"].to_arrow()
    assert isinstance(table, pa.Table)
    assert table["geid"].to_pylist() == sorted(table["geid"].to_pylist()) == list(followed["frame"].index)


def test_what_is_not_there_is_told_with_a_next_step(followed: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="twin id"):
        followed["district"].entity("0000-0000-0000-0000")
    with pytest.raises(MisuseError, match="no box in degrees"):
        followed["district"].entities.where(bbox=(635000, 3455000, 635100, 3455100))
    with pytest.raises(ProjectError):
        twin.District.open(tmp_path)
    with pytest.raises(AttributeError, match="Distrikt"):
        _ = twin.Distrikt


def test_serve_ends_with_the_exit_code_of_the_command(followed: dict[str, Any]) -> None:
    with pytest.raises(SystemExit) as stop:
        followed["district"].serve("--host", "0.0.0.0", "--port", "0")
    assert stop.value.code == 2
