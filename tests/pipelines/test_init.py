"""`twin init` writes a `twin.toml` that runs, says what it guessed, and leaves blank what nobody can know."""

from __future__ import annotations

import json
import re
import tomllib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import pytest
import rasterio
import shapely
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from pipelines.commands import init as command
from pipelines.init_text import Blank, Entry, Section, render, toml_value
from pipelines.project import ConstantGround, DemGround, DsmHeight, StoreysHeight, load_project, resolve_paths
from twin.errors import MisuseError, ProjectError

Run = Callable[..., dict[str, Any]]
ELLIPSOID = ("--vertical", "ellipsoid")


def squares(count: int, x0: float, y0: float, side: float) -> list[shapely.Polygon]:
    corners = [(x0 + 3 * side * (i % 8), y0 + 3 * side * (i // 8)) for i in range(count)]
    return [shapely.box(x, y, x + side, y + side) for x, y in corners]


def write(path: Path, shapes: list[Any], fields: dict[str, Any], crs: str | None = "EPSG:4549", **options: Any) -> Path:
    kind = "Point" if all(shape.geom_type == "Point" for shape in shapes) else options.pop("geometry_type", "Polygon")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided")
        _write(path, shapes, fields, kind, crs, options)
    return path


def _write(path: Path, shapes: list[Any], fields: dict[str, Any], kind: str, crs: str | None, options: Any) -> None:
    pyogrio.raw.write(
        path,
        shapely.to_wkb(np.array(shapes, dtype=object)),
        [np.array(values) for values in fields.values()],
        list(fields),
        geometry_type=kind,
        crs=crs,
        promote_to_multi=False,
        **options,
    )


def buildings(path: Path, count: int = 24, crs: str | None = "EPSG:4549", **fields: Any) -> Path:
    values = {
        "OBJECTID": [1000 + i for i in range(count)],
        "height": [6.0 + i for i in range(count)],
        "floor": [2 + i % 9 for i in range(count)],
        **fields,
    }
    return write(path, squares(count, 500_000, 3_450_000, 12), values, crs)


def raster(path: Path, level: float, crs: str | None = "EPSG:4549") -> Path:
    cells = (level + np.arange(60 * 60).reshape(60, 60) * 0.001).astype("float32")
    place = rasterio.Affine(10, 0, 499_900, 0, -10, 3_450_300)
    with rasterio.open(
        path, "w", driver="GTiff", width=60, height=60, count=1, dtype="float32", crs=crs, transform=place
    ) as data:
        data.write(cells, 1)
    return path


@pytest.fixture
def run() -> Run:
    app = typer.Typer()
    command.register(app)
    app.command("other")(lambda: None)

    def call(*words: object) -> dict[str, Any]:
        result = CliRunner().invoke(app, ["init", *(str(word) for word in words), "--json"])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        answer: dict[str, Any] = json.loads(result.stdout)
        return answer

    return call


def test_what_it_writes_for_a_shapefile_runs_without_an_edit(tmp_path: Path, run: Run) -> None:
    answer = run(buildings(tmp_path / "FWM.shp"), "-o", tmp_path, "--vertical", "H85", "--undulation", "10.9")
    assert answer["blanks"] == []
    project = load_project(tmp_path)
    (source,) = project.sources
    assert project.project.working_crs == "EPSG:4549"
    assert project.project.geoid_undulation_m == 10.9
    assert (source.path, source.fields.id) == (("FWM.shp",), "OBJECTID")
    assert [rule.from_ for rule in source.height] == ["attribute", "storeys"]
    assert isinstance(source.height[1], StoreysHeight)
    assert source.height[1].storey_height_m == 3.0
    assert source.ground == (ConstantGround.model_validate({"from": "constant", "elevation_m": 0.0}),)
    assert resolve_paths(project, source) == [tmp_path / "FWM.shp"]


def test_every_guess_is_marked_with_its_reason_in_the_file(tmp_path: Path, run: Run) -> None:
    answer = run(buildings(tmp_path / "FWM.shp"), "-o", tmp_path, *ELLIPSOID)
    text = (tmp_path / "twin.toml").read_text(encoding="utf-8")
    assert text.count("GUESS: ") == len(answer["guesses"]) > 5
    for guess in answer["guesses"]:
        assert guess["why"], guess
        assert f"GUESS: {guess['why']}" in text
    assert "!!! The ground elevation is NOT known" in text


def test_all_answers_can_be_given_as_flags(tmp_path: Path, run: Run) -> None:
    file = buildings(tmp_path / "x.gpkg", crs=None, alt=[i * 1.5 + 4 for i in range(24)])
    flags = "--crs EPSG:4549 --vertical EPSG:5737 --undulation 10.9 --name 长宁 --admin-code 310105 --ground 4.2"
    more = "--working-crs EPSG:4548 --storey-height 3.3 --height alt --storeys floor --id OBJECTID --encoding UTF-8"
    run(file, "-o", tmp_path, *flags.split(), *more.split())
    project = load_project(tmp_path)
    (source,) = project.sources
    assert (project.project.name, project.project.admin_code, project.project.authority) == ("长宁", "310105", "310105")
    assert (source.crs, project.project.working_crs, source.encoding) == ("EPSG:4549", "EPSG:4548", "UTF-8")
    assert source.height[0].field == "alt"  # type: ignore[union-attr]
    assert source.height[1].storey_height_m == 3.3  # type: ignore[union-attr]
    assert source.ground[0].elevation_m == 4.2  # type: ignore[union-attr]


def test_what_nobody_can_know_is_a_blank_that_stops_with_line_and_words(tmp_path: Path, run: Run) -> None:
    answer = run(buildings(tmp_path / "raw.shp", crs=None), "-o", tmp_path)
    keys = [blank["key"] for blank in answer["blanks"]]
    assert keys == ["project.working_crs", "project.vertical_datum", "project.geoid_undulation_m", "source[1].crs"]
    lines = (tmp_path / "twin.toml").read_text(encoding="utf-8").splitlines()
    assert all("FILL-ME" in lines[blank["line"] - 1] for blank in answer["blanks"])
    with pytest.raises(ProjectError) as caught:
        load_project(tmp_path)
    told = caught.value.what.splitlines()
    assert len(told) == 4
    assert all("is a blank that only you can fill in" in row for row in told)
    assert re.search(r"twin\.toml:\d+: key `source\[1\]\.crs`.*the CRS of raw\.shp, which states none", told[3])


def test_filling_the_blanks_makes_it_run(tmp_path: Path, run: Run) -> None:
    run(buildings(tmp_path / "raw.shp", crs=None), "-o", tmp_path)
    file = tmp_path / "twin.toml"
    text = file.read_text(encoding="utf-8")
    for key, value in (("crs", '"EPSG:4549"'), ("working_crs", '"EPSG:4549"'), ("vertical_datum", '"ellipsoid"')):
        text = re.sub(rf'^{key} = "FILL-ME.*"', f"{key} = {value}", text, flags=re.MULTILINE)
    file.write_text(re.sub(r"^geoid_undulation_m = .*\n", "", text, flags=re.MULTILINE), encoding="utf-8")
    assert load_project(tmp_path).sources[0].crs == "EPSG:4549"


def test_degrees_without_a_crs_in_china_are_named_as_such(tmp_path: Path, run: Run) -> None:
    shapes = squares(9, 121.4, 31.2, 0.0002)
    write(tmp_path / "a.shp", shapes, {"h": [1.0] * 9}, crs=None)
    (blank,) = run(tmp_path / "a.shp", "-o", tmp_path, *ELLIPSOID)["blanks"]
    assert '"EPSG:4490", "EPSG:4326", "gcj02" or "bd09"' in blank["write"]
    assert 'working_crs = "EPSG:4549"' in (tmp_path / "twin.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("lon", "lat", "crs", "working"),
    [
        (121.4, 31.2, "EPSG:4326", "EPSG:4549"),
        (116.4, 39.9, "EPSG:4490", "EPSG:4548"),
        (87.6, 43.8, "EPSG:4490", "EPSG:4538"),
        (-73.98, 40.68, "EPSG:4326", "EPSG:32618"),
        (-73.98, 40.68, "EPSG:4269", "EPSG:26918"),
        (24.94, 60.17, "EPSG:4258", "EPSG:25835"),
        (151.2, -33.9, "EPSG:4326", "EPSG:32756"),
    ],
)
def test_the_working_crs_fits_the_place_and_the_datum(
    tmp_path: Path, run: Run, lon: float, lat: float, crs: str, working: str
) -> None:
    write(tmp_path / "a.gpkg", squares(9, lon, lat, 0.0002), {"height": [9.0] * 9}, crs)
    run(tmp_path / "a.gpkg", "-o", tmp_path, *ELLIPSOID)
    assert load_project(tmp_path).project.working_crs == working


def test_web_mercator_is_not_taken_to_compute_in(tmp_path: Path, run: Run) -> None:
    write(tmp_path / "a.gpkg", squares(9, 13_514_000, 3_663_000, 20), {"height": [9.0] * 9}, "EPSG:3857")
    run(tmp_path / "a.gpkg", "-o", tmp_path, *ELLIPSOID)
    assert load_project(tmp_path).project.working_crs == "EPSG:4549"


def test_rasters_among_the_files_become_rules(tmp_path: Path, run: Run) -> None:
    buildings(tmp_path / "houses.gpkg")
    raster(tmp_path / "DTM_1m.tif", 3.0)
    raster(tmp_path / "city_dsm.tif", 20.0)
    run(tmp_path, "-o", tmp_path, *ELLIPSOID)
    (source,) = load_project(tmp_path).sources
    assert [rule.from_ for rule in source.height] == ["attribute", "dsm", "storeys"]
    assert isinstance(source.height[1], DsmHeight)
    assert source.height[1].raster == ("city_dsm.tif",)
    assert [type(rule) for rule in source.ground] == [DemGround]
    assert source.ground[0].raster == ("DTM_1m.tif",)  # type: ignore[union-attr]


def test_of_two_unnamed_rasters_the_higher_is_the_surface(tmp_path: Path, run: Run) -> None:
    buildings(tmp_path / "houses.gpkg")
    raster(tmp_path / "sheet_1.tif", 20.0)
    raster(tmp_path / "sheet_2.tif", 3.0)
    run(tmp_path, "-o", tmp_path, *ELLIPSOID)
    (source,) = load_project(tmp_path).sources
    assert source.height[1].raster == ("sheet_1.tif",)  # type: ignore[union-attr]
    assert source.ground[0].raster == ("sheet_2.tif",)  # type: ignore[union-attr]


def test_a_raster_elsewhere_is_left_out_and_said(tmp_path: Path, run: Run) -> None:
    write(tmp_path / "far.gpkg", squares(9, 400_000, 3_300_000, 12), {"height": [9.0] * 9})
    raster(tmp_path / "dem.tif", 3.0)
    answer = run(tmp_path, "-o", tmp_path, *ELLIPSOID)
    assert {"file": "dem.tif", "why": "it lies nowhere over the footprints"} in answer["unused"]
    assert load_project(tmp_path).sources[0].ground[0].from_ == "constant"


def test_a_geoid_grid_among_the_files_fills_the_undulation(tmp_path: Path, run: Run) -> None:
    buildings(tmp_path / "houses.gpkg")
    raster(tmp_path / "geoid_local.tif", 10.0, "EPSG:4490")
    run(tmp_path, "-o", tmp_path, "--vertical", "H85")
    assert load_project(tmp_path).project.geoid_grid == "geoid_local.tif"


def test_files_with_the_same_fields_are_sheets_of_one_source(tmp_path: Path, run: Run) -> None:
    (tmp_path / "d").mkdir()
    for number in range(3):
        shapes = squares(8, 500_000, 3_450_000 + 500 * number, 12)
        fields = {"id": [100 * number + i for i in range(8)], "height": [9.0 + i for i in range(8)]}
        write(tmp_path / "d" / f"bld_{number}.shp", shapes, fields)
    run(*sorted((tmp_path / "d").glob("*.shp")), "-o", tmp_path, *ELLIPSOID)
    (source,) = load_project(tmp_path).sources
    assert source.path == ("d/*.shp",)
    assert source.name == "buildings"
    run(*sorted((tmp_path / "d").glob("*.shp"))[:2], "-o", tmp_path, *ELLIPSOID, "--force")
    assert load_project(tmp_path).sources[0].path == ("d/bld_0.shp", "d/bld_1.shp")


def sheets(folder: Path, first_ids: tuple[int, int]) -> list[Path]:
    files = []
    for number, first in enumerate(first_ids):
        shapes = squares(12, 500_000, 3_450_000 + 500 * number, 12)
        fields = {"id": [first + i for i in range(12)], "height": [9.0 + i for i in range(12)]}
        files.append(write(folder / f"bld_{number}.shp", shapes, fields))
    return files


def test_pieces_clipped_at_the_edge_of_a_sheet_are_joined(tmp_path: Path, run: Run) -> None:
    run(*sheets(tmp_path, (100, 110)), "-o", tmp_path, *ELLIPSOID)
    (source,) = load_project(tmp_path).sources
    assert (source.duplicates, len(resolve_paths(load_project(tmp_path), source))) == ("union", 2)
    assert "2 ids occur in several sheets" in (tmp_path / "twin.toml").read_text(encoding="utf-8")


def test_sheets_that_count_their_ids_anew_are_sources_of_their_own(tmp_path: Path, run: Run) -> None:
    run(*sheets(tmp_path, (1, 1)), "-o", tmp_path, *ELLIPSOID)
    assert [source.name for source in load_project(tmp_path).sources] == ["bld_0", "bld_1"]
    assert {source.duplicates for source in load_project(tmp_path).sources} == {"error"}


def test_a_crs_that_does_not_fit_the_coordinates_is_said_loudly(tmp_path: Path, run: Run) -> None:
    write(tmp_path / "a.gpkg", squares(9, 121.4, 31.2, 0.0002), {"height": [*range(9, 18)]}, "EPSG:4549")
    run(tmp_path / "a.gpkg", "-o", tmp_path, *ELLIPSOID)
    (line,) = [row for row in (tmp_path / "twin.toml").read_text(encoding="utf-8").splitlines() if "!!! " in row][:1]
    assert "degrees" in line


def test_files_with_other_fields_are_sources_of_their_own(tmp_path: Path, run: Run) -> None:
    buildings(tmp_path / "a.gpkg")
    write(tmp_path / "b.gpkg", squares(9, 501_000, 3_450_000, 12), {"gid": list(range(9)), "storeys": [*range(2, 11)]})
    run(tmp_path / "a.gpkg", tmp_path / "b.gpkg", "-o", tmp_path, *ELLIPSOID)
    assert [source.name for source in load_project(tmp_path).sources] == ["a", "b"]


def test_the_same_data_in_two_formats_is_taken_once(tmp_path: Path, run: Run) -> None:
    for suffix in ("gpkg", "shp", "fgb"):
        buildings(tmp_path / f"a.{suffix}")
    answer = run(tmp_path, "-o", tmp_path, *ELLIPSOID)
    assert len(load_project(tmp_path).sources) == 1
    assert sum("holds the same data" in row["why"] for row in answer["unused"]) == 2


def test_of_several_tables_the_buildings_are_chosen_and_the_choice_is_said(tmp_path: Path, run: Run) -> None:
    file = write(tmp_path / "city.gpkg", squares(9, 500_000, 3_450_000, 90), {"name": ["x"] * 9}, layer="districts")
    write(file, squares(9, 500_000, 3_450_000, 9), {"height": [9.0] * 9}, layer="buildings", append=True)
    write(file, [shapely.Point(500_000 + i, 3_450_000) for i in range(9)], {"k": [1] * 9}, layer="trees", append=True)
    answer = run(file, "-o", tmp_path, *ELLIPSOID)
    assert load_project(tmp_path).sources[0].table == "buildings"
    assert {row["file"] for row in answer["unused"]} == {"city.gpkg, table districts", "city.gpkg, table trees"}


def test_of_a_folder_only_what_looks_like_buildings_is_taken(tmp_path: Path, run: Run) -> None:
    buildings(tmp_path / "houses.gpkg")
    write(tmp_path / "zones.gpkg", squares(16, 500_000, 3_450_000, 100), {"zone": list("abcdefghijklmnop")})
    answer = run(tmp_path, "-o", tmp_path / "folder", *ELLIPSOID)
    assert [source.path for source in load_project(tmp_path / "folder").sources] == [("../houses.gpkg",)]
    assert answer["unused"][0]["file"] == "zones.gpkg"
    run(tmp_path / "houses.gpkg", tmp_path / "zones.gpkg", "-o", tmp_path / "named", *ELLIPSOID)
    assert len(load_project(tmp_path / "named").sources) == 2


def test_a_folder_with_its_data_in_folders_gives_a_project_that_loads(tmp_path: Path, run: Run) -> None:
    data = tmp_path / "data"
    for inside in ("maps/north", "terrain", "a/b/c/d"):
        (data / inside).mkdir(parents=True)
    buildings(data / "maps" / "north" / "houses.gpkg")
    buildings(data / "a" / "b" / "c" / "d" / "deep.gpkg")
    raster(data / "terrain" / "dem.tif", 3.0)
    answer = run(data, "-o", tmp_path / "district", *ELLIPSOID)
    (source,) = load_project(tmp_path / "district").sources
    assert source.path == ("../data/maps/north/houses.gpkg",)
    assert [rule.raster for rule in source.ground] == [("../data/terrain/dem.tif",)]  # type: ignore[union-attr]
    assert answer["unused"] == [
        {"file": "d", "why": "it lies more than 3 folders deep: name it to have it looked into"}
    ]


def test_an_empty_folder_is_refused_with_its_name(tmp_path: Path, run: Run) -> None:
    (tmp_path / "empty" / "inside").mkdir(parents=True)
    with pytest.raises(MisuseError, match="no file of a known format, nor do the folders inside it"):
        run(tmp_path / "empty", "-o", tmp_path)


@pytest.mark.parametrize(
    ("crs", "x", "y", "side", "said"),
    [
        ("EPSG:4549", 500_000, 3_450_000, 12.0, True),
        (None, 121.4, 31.2, 0.0002, True),
        ("EPSG:3879", 25_496_000, 6_672_000, 12.0, False),
        ("EPSG:28992", 85_000, 447_000, 12.0, False),
        (None, 4.4, 52.0, 0.0002, False),
        (None, 1234.0, 987.0, 12.0, None),
    ],
    ids=["china", "degrees in china", "helsinki", "delft", "degrees in delft", "nobody knows"],
)
def test_the_chinese_datum_is_proposed_where_the_data_lie_in_china(
    tmp_path: Path, run: Run, crs: str | None, x: float, y: float, side: float, said: bool | None
) -> None:
    write(tmp_path / "a.gpkg", squares(9, x, y, side), {"height": [9.0 + i for i in range(9)]}, crs)
    asked = next(blank["write"] for blank in run(tmp_path, "-o", tmp_path)["blanks"] if "vertical" in blank["key"])
    assert ("5737" in asked) == (said is not False), asked
    assert ("in China" in asked) == (said is None), asked
    assert "ellipsoid" in asked


def test_without_height_and_storeys_there_is_no_height_rule_and_a_remark(tmp_path: Path, run: Run) -> None:
    write(tmp_path / "plain.gpkg", squares(9, 500_000, 3_450_000, 12), {"note": ["x"] * 9})
    run(tmp_path / "plain.gpkg", "-o", tmp_path, *ELLIPSOID)
    assert load_project(tmp_path).sources[0].height == ()
    assert "every footprint is drawn flat and reported" in (tmp_path / "twin.toml").read_text(encoding="utf-8")


def test_pieces_with_one_id_are_joined_and_copies_kept_once(tmp_path: Path, run: Run) -> None:
    shapes = squares(12, 500_000, 3_450_000, 12)
    ids = [f"B{i:03}" for i in range(12)]
    fields = {"id": [*ids, *ids[:3]], "height": [9.0 + i for i in range(12)] * 2}
    fields["height"] = fields["height"][:15]
    write(tmp_path / "copies.gpkg", [*shapes, *shapes[:3]], fields)
    run(tmp_path / "copies.gpkg", "-o", tmp_path / "c", *ELLIPSOID)
    assert load_project(tmp_path / "c").sources[0].duplicates == "first"
    pieces = [shapely.affinity.translate(shape, 12, 0) for shape in shapes[:3]]
    write(tmp_path / "pieces.gpkg", [*shapes, *pieces], fields)
    run(tmp_path / "pieces.gpkg", "-o", tmp_path / "p", *ELLIPSOID)
    assert load_project(tmp_path / "p").sources[0].duplicates == "union"


def test_an_existing_file_is_kept_unless_forced(tmp_path: Path, run: Run) -> None:
    file = buildings(tmp_path / "a.gpkg")
    (tmp_path / "twin.toml").write_text("mine")
    with pytest.raises(MisuseError, match="there is a project file here already"):
        run(file, "-o", tmp_path, *ELLIPSOID)
    assert (tmp_path / "twin.toml").read_text() == "mine"
    run(file, "-o", tmp_path, *ELLIPSOID, "--force")
    assert load_project(tmp_path).sources


def test_files_without_polygons_are_refused_with_what_they_hold(tmp_path: Path, run: Run) -> None:
    write(tmp_path / "poi.gpkg", [shapely.Point(i, i) for i in range(4)], {"k": [1] * 4})
    with pytest.raises(MisuseError, match=r"none of the files holds polygons.*poi\.gpkg: 4 other"):
        run(tmp_path / "poi.gpkg", "-o", tmp_path)
    assert not (tmp_path / "twin.toml").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--height", "Height"), 'no field "Height"'),
        (("--undulation", "ten"), "neither a number nor a file"),
        (("--vertical", "sea"), "no vertical datum is called"),
        (("--crs", "EPSG:1"), "EPSG:1"),
        (("--working-crs", "EPSG:4326"), "must be projected, in metres"),
        (("--admin-code", "31"), "6 to 12 digits"),
        (("--vertical", "ellipsoid", "--undulation", "3"), "no meaning with ellipsoidal"),
        (("--ground", "99999"), "elevation_m"),
    ],
)
def test_a_wrong_flag_is_refused_and_nothing_is_written(
    tmp_path: Path, run: Run, flags: tuple[str, ...], words: str
) -> None:
    with pytest.raises(MisuseError, match=re.escape(words)):
        run(buildings(tmp_path / "a.gpkg"), "-o", tmp_path / "out", *flags)
    assert not (tmp_path / "out").exists()


def test_a_missing_file_is_refused(tmp_path: Path, run: Run) -> None:
    with pytest.raises(MisuseError, match="no such file"):
        run(tmp_path / "nothing.shp", "-o", tmp_path)


def test_a_private_crs_file_is_named_but_not_copied(tmp_path: Path, run: Run) -> None:
    secret = "+proj=tmerc +lat_0=31.235 +lon_0=121.467 +x_0=1234.5 +y_0=-77.25 +ellps=GRS80 +towgs84=0,0,0 +units=m"
    (tmp_path / "local.prj.txt").write_text(secret)
    file = write(tmp_path / "a.gpkg", squares(9, 500, 500, 12), {"height": [9.0] * 9}, crs=None)
    run(file, "-o", tmp_path, "--crs", tmp_path / "local.prj.txt", *ELLIPSOID)
    text = (tmp_path / "twin.toml").read_text(encoding="utf-8")
    assert load_project(tmp_path).sources[0].crs_file == "local.prj.txt"
    assert "1234.5" not in text
    assert load_project(tmp_path).project.working_crs.startswith("EPSG:")


def test_paths_are_relative_where_sensible(tmp_path: Path, run: Run) -> None:
    (tmp_path / "data").mkdir()
    file = buildings(tmp_path / "data" / "a.gpkg")
    run(file, "-o", tmp_path / "work", *ELLIPSOID)
    assert load_project(tmp_path / "work").sources[0].path == ("../data/a.gpkg",)
    run(file, "-o", tmp_path / "a" / "b" / "c" / "d", *ELLIPSOID)
    assert load_project(tmp_path / "a" / "b" / "c" / "d").sources[0].path == (str(file),)


TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)


@given(TEXT, TEXT, st.one_of(TEXT, st.floats(allow_nan=False, allow_infinity=False), st.lists(TEXT, max_size=3)))
def test_whatever_a_value_or_remark_holds_the_file_stays_toml(note: str, guess: str, value: Any) -> None:
    entries = (
        Entry("a", value, note, guess),
        Entry("", note=note),
        Entry("b", Blank(note)),
        Entry("c", value, off=True),
    )
    parsed = tomllib.loads(render([Section("[x]", tuple(entries), "one\ntwo")]))["x"]
    assert parsed["a"] == value
    assert parsed["b"].startswith("FILL-ME: ")
    assert set(parsed) == {"a", "b"}


def test_a_name_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(MisuseError, match="not valid Unicode"):
        toml_value("a\udcff.shp")
