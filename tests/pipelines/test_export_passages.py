"""A house over a passage begins above the ground, in the index, in every export, now and at any moment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.adopt import adopt
from pipelines.cli import run
from pipelines.export import ExportOptions, export
from pipelines.project import load_project
from pipelines.project_registry import open_project_history
from tests.pipelines.district import District, houses

LOWER = [3.25, None, 0.0, 4.0]
HEIGHTS = [9.0, 9.0, 12.0, 3.5]  # the last one would end below where it begins: its lower end is not believed
TRUE = [3.25, 0.0, 0.0, 0.0]
TAIL = '[source.fields]\nid = "id"\nmin_height = "floor"\n[[source.height]]\nfrom = "attribute"\nfield = "height"\n'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> District:
    fields = {"id": list("abcd"), "height": HEIGHTS, "floor": LOWER}
    made = District(tmp_path_factory.mktemp("passages"), houses(4), fields, tail=TAIL)
    made.build()
    return made


def by_key(table: Any) -> dict[str, Any]:
    return dict(zip(table["source_key"].to_pylist(), table["min_height_m"].to_pylist(), strict=True))


def ends(document: dict[str, Any], geid: str) -> tuple[float, float]:
    """Lowest and highest elevation of a solid."""
    (solid,) = (one for one in document["CityObjects"][geid]["geometry"] if one["type"] == "Solid")
    used = np.unique([at for shell in solid["boundaries"] for face in shell for ring in face for at in ring])
    scale, shift = (np.array(document["transform"][name]) for name in ("scale", "translate"))
    z = (np.array(document["vertices"]) * scale + shift)[used, 2]
    return float(z.min()), float(z.max())


def test_the_index_holds_the_lower_end(made: District) -> None:
    assert by_key(made.index.table) == dict(zip("abcd", TRUE, strict=True))
    table = made.index.table
    span = np.array(table["height"]) - np.array(table["base_m"])
    assert np.allclose(span - span.min(), table["min_height_m"].to_numpy(), atol=1e-6)


@pytest.mark.parametrize("of", ["release", "history"])
def test_exports_begin_where_the_house_begins(made: District, tmp_path: Path, of: str) -> None:
    project = load_project(made.root)
    options = ExportOptions()
    if of == "history":
        history = open_project_history(project)
        try:
            if not history.editions():
                adopt(project, history)
            options = ExportOptions(as_of=history.editions()[-1].recorded_at)
        finally:
            history.close()
    lines = export(project, tmp_path / "a.geojsonl", options).path.read_text("utf-8").splitlines()
    found = {row["source_key"]: row["min_height_m"] for row in (json.loads(line)["properties"] for line in lines)}
    assert {key: round(value, 6) for key, value in found.items()} == dict(zip("abcd", TRUE, strict=True))
    document = json.loads(export(project, tmp_path / "a.city.json", options).path.read_bytes())
    for row in made.index.table.to_pylist():
        low, high = ends(document, row["geid"])
        assert low == pytest.approx(row["base_m"] + TRUE["abcd".index(row["source_key"])], abs=0.0006)
        assert high == pytest.approx(row["roof_m"], abs=0.0006)
        assert document["CityObjects"][row["geid"]]["attributes"]["min_height_m"] == pytest.approx(
            TRUE["abcd".index(row["source_key"])], abs=1e-6
        )


def test_it_can_be_asked_for_and_is_listed(made: District, tmp_path: Path) -> None:
    words = ["export", "-C", str(made.root), "-o", str(tmp_path / "a.geojsonl"), "--where", "min_height_m > 0"]
    assert run(words) == 0
    assert [
        json.loads(line)["properties"]["source_key"]
        for line in (tmp_path / "a.geojsonl").read_text("utf-8").splitlines()
    ] == ["a"]
    assert run(["entities", "-C", str(made.root), "--format", "csv", "-o", str(tmp_path / "a.csv")]) == 0
    assert "3.25" in (tmp_path / "a.csv").read_text("utf-8")
