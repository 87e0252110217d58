"""An export of a moment holds what was so then, as it was known then, with typed attributes."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from pipelines import export_history
from pipelines.export import ExportOptions, export
from pipelines.project import load_project
from pipelines.project_registry import registry_location
from tests.pipelines.district import District, district
from twin.errors import MisuseError
from twin.registry.open import open_history
from twin.registry.versions import EditionKind


def day(number: int) -> datetime.datetime:
    return datetime.datetime(2026, 1, number, tzinfo=datetime.UTC)


def record(made: District, valid: datetime.datetime, height: float, floors: object) -> None:
    """Records every entity of the release with one height and one attribute."""
    table = made.index.table
    project = load_project(made.root)
    names = ["geid", "layer", "entity_class", "source", "source_key", "aliases", "parent", "lon", "lat", "base_m"]
    names += ["west", "south", "east", "north"]
    shapes = [shapely.MultiPolygon([(p[0], p[1:]) for p in rings]) for rings in table["geometry"].to_pylist()]
    versions = table.select(names)
    versions = versions.append_column("geometry", pa.array(shapely.to_wkb(shapes), pa.binary()))
    versions = versions.append_column("height_m", pa.array([height] * len(table), pa.float64()))
    versions = versions.append_column(
        "attributes", pa.array([json.dumps({"floors": floors, "use": "住宅"})] * len(table))
    )
    history = open_history(registry_location(project), project.project.authority)
    try:
        with history.write(EditionKind.UPDATE, "survey", valid) as pen:
            pen.assert_versions(versions)
    finally:
        history.close()


@pytest.mark.parametrize("page", [7, 1000])
def test_an_export_is_of_the_moment_asked_for_whatever_the_size_of_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(export_history, "PAGE", page)
    made = district(tmp_path / "district", 30)
    made.build()
    project = load_project(made.root)
    with pytest.raises(MisuseError, match="history is empty"):
        export(project, tmp_path / "none.parquet", ExportOptions(datetime=day(5)))
    record(made, day(1), 10.0, 3)
    record(made, day(10), 20.0, 6.5)
    for valid, height, floors in ((day(5), 10.0, 3), (day(15), 20.0, 6.5)):
        path = tmp_path / f"{valid.day}.parquet"
        result = export(project, path, ExportOptions(datetime=valid))
        table = pq.read_table(path)
        assert result.entities == len(table) == 30
        assert table["geid"].to_pylist() == made.index.table["geid"].to_pylist()
        assert set(table["height_m"].to_pylist()) == {height}
        assert set(table["attr.floors"].to_pylist()) == {floors}
        assert set(table["attr.use"].to_pylist()) == {"住宅"}
    solid = json.loads(export(project, tmp_path / "a.city.json", ExportOptions(datetime=day(5))).path.read_bytes())
    assert {len(one["geometry"]) for one in solid["CityObjects"].values()} == {2}
    before = export(
        project, tmp_path / "before.parquet", ExportOptions(datetime=datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC))
    )
    assert before.entities == 0
