"""What `twin export` writes holds everything the index holds, is the same every time, and gives no private CRS away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely

from pipelines.cli import run
from pipelines.export import ENDINGS, ExportOptions, export, form_of
from pipelines.project import load_project
from tests.pipelines.district import District, houses
from twin.crs.reference import horizontal, parse_crs
from twin.entity.index_schema import ATTRIBUTE
from twin.errors import MisuseError
from twin.export.columns import apart
from twin.export.entities import Selection, footprints_of

FILES = ("all.gpkg", "all.parquet", "all.city.json", "all.city.jsonl", "all.geojsonl")
PRIVATE = (
    "+proj=tmerc +lat_0=0 +lon_0=121.4642 +k=1 +x_0=3487.125 +y_0=-3457211.5 +ellps=GRS80 "
    "+towgs84=0,0,0 +units=m +no_defs"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> District:
    count = 60
    fields = {
        "id": [f"H{number:03d}" for number in range(count)],
        "height": [None if number % 7 == 0 else 3.0 + number / 3 for number in range(count)],
        "use": ["住宅" if number % 2 else None for number in range(count)],
        "listed": [number % 3 == 0 for number in range(count)],
        "code": [f"C:{number}" for number in range(count)],
    }
    tail = '[source.fields]\nid = "id"\naliases = ["code"]\n[[source.height]]\nfrom = "attribute"\nfield = "height"\n'
    made = District(tmp_path_factory.mktemp("export"), houses(count), fields, tail=tail)
    made.build()
    return made


def write(made: District, name: str, folder: Path, **options: Any) -> Path:
    return export(load_project(made.root), folder / name, ExportOptions(**options)).path


def shapes_of(made: District) -> np.ndarray:
    return footprints_of(made.index.table["geometry"]).to_shapely()


@pytest.mark.parametrize("name", FILES)
def test_the_same_selection_gives_the_same_bytes(made: District, tmp_path: Path, name: str) -> None:
    first = write(made, name, tmp_path).read_bytes()
    assert write(made, name, tmp_path, force=True).read_bytes() == first
    assert str(made.root).encode() not in first
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_geoparquet_holds_every_column_and_the_geometry_bit_by_bit(made: District, tmp_path: Path) -> None:
    path = write(made, "all.parquet", tmp_path)
    index = made.index.table.drop_columns(["geometry"])
    assert pq.read_table(path).select(index.column_names).equals(index)
    frame = geopandas.read_parquet(path)
    assert frame.crs.to_epsg() == 4549
    assert shapely.equals_exact(frame.geometry.to_numpy(), shapes_of(made), 0.0).all()


def test_geoparquet_states_what_the_standard_asks_for(made: District, tmp_path: Path) -> None:
    path = write(made, "all.parquet", tmp_path)
    geo = json.loads(pq.read_metadata(path).metadata[b"geo"])
    column = geo["columns"][geo["primary_column"]]
    assert geo["version"] == "1.1.0"
    assert (column["encoding"], column["geometry_types"]) == ("WKB", ["MultiPolygon"])
    assert column["crs"]["id"] == {"authority": "EPSG", "code": 4549}
    np.testing.assert_array_equal(column["bbox"], shapely.total_bounds(shapes_of(made)))
    west, south, _, _ = column["bbox"]
    box = (west, south, west + 60, south + 60)
    near = geopandas.read_parquet(path, bbox=box)  # reads through the covering column
    expected = shapely.intersects(shapely.box(*shapely.bounds(shapes_of(made)).T), shapely.box(*box)).sum()
    assert 0 < len(near) == expected < len(made.index)


def test_geopackage_holds_every_column_and_lists_as_tables_of_their_own(made: District, tmp_path: Path) -> None:
    path = write(made, "all.gpkg", tmp_path)
    assert {name for name, _ in pyogrio.list_layers(path)} == {"entities", "aliases", "reasons", "about"}
    meta, table = pyogrio.read_arrow(path, layer="entities")
    assert (meta["crs"], meta["geometry_type"]) == ("EPSG:4549", "MultiPolygon")
    rows, index = table.to_pylist(), made.index.table.to_pylist()
    for one, other in zip(rows, index, strict=True):
        for name, value in other.items():
            if name != "geometry":
                assert one[name] == (json.dumps(value, separators=(",", ":")) if isinstance(value, list) else value)
    assert shapely.equals_exact(
        shapely.from_wkb(table[meta["geometry_name"] or "wkb_geometry"].to_numpy()), shapes_of(made), 0.0
    ).all()
    aliases = pyogrio.read_arrow(path, layer="aliases")[1].to_pylist()
    assert {(row["geid"], f"{row['scheme']}:{row['value']}") for row in aliases} == {
        (row["geid"], alias) for row in index for alias in row["aliases"]
    }
    reasons = pyogrio.read_arrow(path, layer="reasons")[1].to_pylist()
    assert [(r["geid"], r["reason"]) for r in reasons] == [(r["geid"], one) for r in index for one in r["reasons"]]
    assert reasons


def test_geojson_lines_are_features_in_degrees_with_typed_attributes(made: District, tmp_path: Path) -> None:
    lines = write(made, "all.geojsonl", tmp_path).read_text(encoding="utf-8").splitlines()
    features = [json.loads(line) for line in lines]
    assert [one["id"] for one in features] == made.index.table["geid"].to_pylist()
    back = horizontal(parse_crs("EPSG:4326"), parse_crs("EPSG:4549"))
    shapes = shapely.transform(np.array([shapely.from_geojson(json.dumps(one["geometry"])) for one in features]), back)
    assert max(shapely.hausdorff_distance(shapes, shapes_of(made))) < 0.001
    kinds = {type(one["properties"]["attributes"]["listed"]) for one in features}
    assert kinds == {bool}


def test_a_box_a_class_and_a_layer_choose(made: District, tmp_path: Path) -> None:
    table = made.index.table
    middle = float(np.median(table["lon"].to_numpy()))
    box = (middle, -90.0, 180.0, 90.0)
    chosen = pq.read_table(write(made, "box.parquet", tmp_path, selection=Selection(bbox=box)))
    expected = table.filter(pa.array(table["east"].to_numpy() >= middle))["geid"]
    assert chosen["geid"].to_pylist() == expected.to_pylist()
    assert 0 < len(chosen) < len(table)
    for selection, count in ((Selection(layers=("no",)), 0), (Selection(classes=("Building",)), len(table))):
        name = f"{count}.parquet"
        assert pq.read_table(write(made, name, tmp_path, selection=selection)).num_rows == count


@pytest.mark.parametrize("name", FILES)
def test_an_empty_selection_is_an_empty_file_that_can_be_read(made: District, tmp_path: Path, name: str) -> None:
    path = write(made, name, tmp_path, selection=Selection(classes=("Tree",)))
    if name.endswith(".gpkg"):
        assert pyogrio.read_info(path, layer="entities")["features"] == 0
    elif name.endswith(".city.json"):
        assert json.loads(path.read_bytes())["CityObjects"] == {}


@pytest.mark.parametrize("name", FILES)
def test_a_private_working_crs_is_in_no_export(tmp_path: Path, name: str) -> None:
    made = District(tmp_path / "district", houses(4), {"id": list("abcd"), "height": [3.0] * 4})
    made.write()
    file = made.root / "twin.toml"
    file.write_text(file.read_text().replace('working_crs = "EPSG:4549"', f'working_crs = "{PRIVATE}"'))
    made.build()
    result = export(load_project(made.root), tmp_path / name)
    assert result.crs in ("EPSG:4326", "EPSG:4490")
    content = result.path.read_bytes()
    for secret in (b"121.4642", b"3487.125", b"3457211.5"):
        assert secret not in content
    with pytest.raises(MisuseError):
        export(load_project(made.root), tmp_path / "private.gpkg", ExportOptions(crs=PRIVATE))


def test_no_file_is_replaced_unless_asked_and_none_is_left_half_written(made: District, tmp_path: Path) -> None:
    path = write(made, "all.gpkg", tmp_path)
    with pytest.raises(MisuseError, match="--force"):
        write(made, "all.gpkg", tmp_path)
    with pytest.raises(MisuseError):
        export(load_project(made.root), made.root / "twin.toml", ExportOptions(form=form_of(path), force=True))
    with pytest.raises(MisuseError, match="GCJ"):
        write(made, "shifted.gpkg", tmp_path, crs="gcj02")
    assert [one.name for one in tmp_path.iterdir()] == ["all.gpkg"]


def test_every_ending_has_a_format_and_others_are_refused() -> None:
    assert {form_of(Path(f"a{ending}")) for ending in ENDINGS} == set(ENDINGS.values())
    for name in ("a.json", "a.shp", "gpkg"):
        with pytest.raises(MisuseError, match="format"):
            form_of(Path(name))


def test_names_that_differ_in_case_only_are_kept_apart() -> None:
    assert apart(["attr.Name", "attr.name", "attr.NAME"]) == ["attr.Name", "attr.name (2)", "attr.NAME (3)"]


def test_the_command_tells_what_it_wrote(made: District, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.city.json"
    assert run(["export", "-C", str(made.root), "-o", str(path), "--json", "--class", "Building"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["entities"], told["format"], told["bytes"]) == (60, "cityjson", path.stat().st_size)
    assert run(["export", "-C", str(made.root), "-o", str(tmp_path / "b.gpkg"), "--bbox", "1,2,3"]) == 2
    assert run(["export", "-C", str(made.root), "-o", str(tmp_path / "b.gpkg"), "--format", "shp"]) == 2
    assert "gpkg" in capsys.readouterr().err


def test_the_attributes_of_the_source_are_all_there(made: District, tmp_path: Path) -> None:
    names = {name for name in made.index.table.column_names if name.startswith(ATTRIBUTE)}
    assert {"attr.use", "attr.listed", "attr.code"} <= names
    document = json.loads(write(made, "all.city.json", tmp_path).read_bytes())
    held = {name for one in document["CityObjects"].values() for name in one["attributes"]}
    assert names <= held
