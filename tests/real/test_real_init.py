"""`twin init` and `twin check` on real data sets: what is guessed, what stops with the right words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from pipelines.commands import check, init
from pipelines.project import Project, load_project, resolve_paths, resolve_rasters
from twin.errors import MisuseError, ProjectError

pytestmark = pytest.mark.real


def run(*words: object) -> tuple[int, dict[str, Any]]:
    app = typer.Typer()
    init.register(app)
    check.register(app)
    result = CliRunner().invoke(app, [str(word) for word in (*words, "--json")])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, json.loads(result.stdout)


def started(folder: Path, *files: Path, flags: tuple[str, ...] = ("--vertical", "ellipsoid")) -> Project:
    code, answer = run("init", *files, "-o", folder, *flags)
    assert (code, answer["blanks"]) == (0, [])
    return load_project(folder)


@pytest.mark.parametrize(
    ("file", "working", "identity", "rules"),
    [
        ("suzhou_floor/suzhou_buildings.geojson", "EPSG:4549", None, ["height", "Floor"]),
        ("nyc_brooklyn_osm_heights/nyc_brooklyn_osm_heights.geojsonl.gz", "EPSG:32618", "id", ["height"]),
        ("tokyo_ota_height/tokyo_buildings.geojson", "EPSG:32654", "id", ["height"]),
        ("helsinki_osm_pbf/Helsinki.osm.pbf", "EPSG:32635", "id", ["height", "building:levels"]),
        ("korea_namyangju_4formats/footprint.shp", "EPSG:32652", None, ["height"]),
        ("korea_namyangju_4formats/footprint.gpkg", "EPSG:32652", None, ["height"]),
        ("korea_namyangju_4formats/footprint.parquet", "EPSG:32652", None, ["height"]),
        ("korea_namyangju_4formats/footprint-with-height.geojson", "EPSG:32652", None, ["height"]),
    ],
)
def test_a_footprint_set_gets_a_project_that_runs(
    real_data: Path, tmp_path: Path, file: str, working: str, identity: str | None, rules: list[str]
) -> None:
    project = started(tmp_path, real_data / "footprints" / file)
    (source,) = project.sources
    assert project.project.working_crs == working
    assert source.fields.id == identity
    assert [rule.field for rule in source.height] == rules  # type: ignore[union-attr]
    assert resolve_paths(project, source) == [(real_data / "footprints" / file).resolve()]


def test_brooklyn_tile_pieces_are_joined_and_parts_are_known(real_data: Path, tmp_path: Path) -> None:
    (source,) = started(tmp_path, *(real_data / "footprints/nyc_brooklyn_osm_heights").glob("*.gz")).sources
    assert source.duplicates == "union"
    assert source.fields.kind == "kind"


def test_four_formats_of_one_dataset_become_one_source(real_data: Path, tmp_path: Path) -> None:
    assert len(started(tmp_path, real_data / "footprints/korea_namyangju_4formats").sources) == 1


def test_goteborg_takes_dsm_and_dem_but_not_the_canopy(real_data: Path, tmp_path: Path) -> None:
    project = started(tmp_path, real_data / "terrain/goteborg_dsm_dem")
    (source,) = project.sources
    assert (source.name, source.encoding, project.project.working_crs) == ("buildings", "cp1252", "EPSG:3007")
    (height,), (ground,) = source.height, source.ground
    assert [path.name for path in resolve_rasters(project, source, height)] == ["DSM_KRbig.tif"]  # type: ignore[arg-type]
    assert [path.name for path in resolve_rasters(project, source, ground)] == ["DEM_KRbig.tif"]  # type: ignore[arg-type]


def test_the_egm96_grid_fills_the_undulation(real_data: Path, tmp_path: Path) -> None:
    files = [
        real_data / "footprints/suzhou_floor/suzhou_buildings.geojson",
        *(real_data / "terrain/geoid_egm96").glob("*.tif"),
    ]
    project = started(tmp_path, *files, flags=("--vertical", "EPSG:5737"))
    assert project.project.geoid_grid is not None
    assert project.project.geoid_grid.endswith("us_nga_egm96_15.tif")


def test_streets_without_a_crs_leave_a_blank_that_stops_with_the_right_words(real_data: Path, tmp_path: Path) -> None:
    _, answer = run("init", real_data / "shanghai/streets_raw/shanghai_street.shp", "-o", tmp_path)
    assert [blank["key"] for blank in answer["blanks"]] == [
        "project.vertical_datum", "project.geoid_undulation_m", "source[1].crs",
    ]  # fmt: skip
    for command in (lambda: load_project(tmp_path), lambda: run("check", "-C", tmp_path)):
        with pytest.raises(ProjectError) as caught:
            command()
        text = str(caught.value)
        assert "the CRS of shanghai_street.shp, which states none" in text
        assert "degrees, in China?" in text
        assert '"EPSG:4490", "EPSG:4326", "gcj02" or "bd09"' in text
    with pytest.raises(MisuseError, match="already"):
        run("init", real_data / "shanghai/streets_raw/shanghai_street.shp", "-o", tmp_path)


@pytest.mark.parametrize("folder", ["messy/mapshaper_shapefiles", "messy/pyogrio_fixtures"])
def test_messy_files_end_in_a_project_or_a_clear_refusal(real_data: Path, tmp_path: Path, folder: str) -> None:
    files = sorted(
        path
        for path in (real_data / folder).rglob("*")
        if path.suffix in (".shp", ".gpkg", ".geojson", ".fgb", ".parquet", ".gml", ".geojsonl", ".zip", ".tif")
    )
    assert files
    written = 0
    for number, file in enumerate(files):
        try:
            run("init", file, "-o", tmp_path / str(number), "--vertical", "ellipsoid")
        except Exception as error:
            assert hasattr(error, "exit_code"), (file, error)
            assert str(error)
            continue
        written += 1
        try:
            load_project(tmp_path / str(number))
        except ProjectError as error:
            assert "is a blank" in error.what, (file, error)
    assert written


def test_the_check_of_tokyo_shows_its_invalid_polygons(real_data: Path, tmp_path: Path) -> None:
    started(tmp_path, real_data / "footprints/tokyo_ota_height/tokyo_buildings.geojson")
    code, answer = run("check", "-C", tmp_path, "-o", tmp_path / "r.html")
    (source,) = answer["sources"]
    assert (code, source["read"], source["with_height"], source["invalid"]) == (3, 1374, 1374, 3)
    assert (tmp_path / "r.html").read_text(encoding="utf-8").count('class="invalid"') == 6


def test_the_check_of_goteborg_counts_what_the_rasters_leave_out(real_data: Path, tmp_path: Path) -> None:
    started(tmp_path, real_data / "terrain/goteborg_dsm_dem")
    code, answer = run("check", "-C", tmp_path)
    assert code == 3
    codes = {row["code"]: row["count"] for row in answer["findings"]}
    assert codes["geometry_invalid"] == 2
    assert codes["ground_outside_raster"] == codes["height_outside_raster"] == 103
