"""`twin export --where` writes what the filter holds for, in every format, of a release and of a moment."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import shapely

from pipelines.cli import run
from pipelines.export import ExportOptions, export
from pipelines.project import load_project
from tests.pipelines.district import District, houses
from tests.pipelines.test_export import FILES, PRIVATE, shapes_of
from tests.pipelines.test_export_history import day, record
from twin.crs.reference import horizontal, parse_crs
from twin.errors import MisuseError
from twin.export.entities import Selection

COUNT = 40
TAIL = '[source.fields]\nid = "id"\n[[source.height]]\nfrom = "attribute"\nfield = "height"\n'
FIELDS = {
    "id": [f"H{number:03d}" for number in range(COUNT)],
    "height": [None if number % 7 == 0 else 3.0 + number for number in range(COUNT)],
    "用途": ["住宅" if number % 2 else None for number in range(COUNT)],
    "name": [f"House {number}" for number in range(COUNT)],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> District:
    made = District(tmp_path_factory.mktemp("where"), houses(COUNT), FIELDS, tail=TAIL)
    made.build()
    return made


def geids_in(path: Path) -> set[str]:
    """Identifiers in a file of any format, read by what reads it."""
    if path.suffix == ".parquet":
        return set(pq.read_table(path)["geid"].to_pylist())
    if path.suffix == ".gpkg":
        return set(geopandas.read_file(path, layer="entities")["geid"])
    texts = path.read_text("utf-8").splitlines()
    if path.name.endswith(".city.json"):
        return set(json.loads(path.read_text("utf-8"))["CityObjects"])
    if path.name.endswith(".city.jsonl"):
        return {name for text in texts[1:] for name in json.loads(text)["CityObjects"]}
    return {json.loads(text)["id"] for text in texts}


def of_height(made: District, low: float) -> set[str]:
    table = made.index.table
    return set(table.filter(pc.greater(table["height_m"], low))["geid"].to_pylist())


@pytest.mark.parametrize("name", FILES)
def test_every_format_holds_what_the_filter_holds_for_and_nothing_else(
    made: District, tmp_path: Path, name: str
) -> None:
    wanted = of_height(made, 30.0)
    assert 0 < len(wanted) < COUNT / 2
    status = run(["export", "-C", str(made.root), "-o", str(tmp_path / name), "--where", "height_m > 30"])
    assert status == 0
    assert geids_in(tmp_path / name) == wanted


def test_text_and_json_say_the_same_and_quoted_names_reach_attributes(made: District, tmp_path: Path) -> None:
    texts = {
        "text": "\"用途\" = '住宅' AND NOT height_m BETWEEN 10 AND 20",
        "json": json.dumps(
            {
                "op": "and",
                "args": [
                    {"op": "=", "args": [{"property": "用途"}, "住宅"]},
                    {"op": "not", "args": [{"op": "between", "args": [{"property": "height_m"}, 10, 20]}]},
                ],
            }
        ),
    }
    found = [write(made, tmp_path / f"{name}.parquet", where) for name, where in texts.items()]
    rows = [
        row for row in made.index.table.to_pylist()
        if row["attr.用途"] == "住宅" and row["height_m"] is not None and not 10 <= row["height_m"] <= 20
    ]  # fmt: skip
    assert found[0] == found[1] == {row["geid"] for row in rows}
    assert 0 < len(rows) < COUNT / 2


def write(made: District, path: Path, where: str, selection: Selection | None = None) -> set[str]:
    project = load_project(made.root)
    result = export(project, path, ExportOptions(where=where, selection=selection or Selection()))
    found = geids_in(path)
    assert result.entities == len(found)
    return found


@pytest.mark.parametrize("crs", ["EPSG:4549", PRIVATE])
def test_a_place_in_degrees_finds_what_geos_finds_in_metres(tmp_path: Path, crs: str) -> None:
    """Also where the working CRS is private: nothing of it is in the file."""
    made = District(tmp_path / "d", houses(COUNT), FIELDS, tail=TAIL)
    made.write()
    file = made.root / "twin.toml"
    file.write_text(file.read_text("utf-8").replace('working_crs = "EPSG:4549"', f'working_crs = "{crs}"'))
    made.build()
    shapes = shapes_of(made)
    west, south, east, north = shapely.total_bounds(shapes)
    ring = shapely.Polygon([(west, south), ((west + east) / 2, south), (west, north), (west, south)])
    degrees = shapely.transform(ring, horizontal(parse_crs(crs), parse_crs("EPSG:4326")))
    found = write(made, tmp_path / "in.parquet", f"S_INTERSECTS(geometry, {degrees.wkt})")
    inside = shapely.intersects(ring, shapes)
    assert found == set(np.array(made.index.table["geid"].to_pylist())[inside])
    assert 0 < len(found) < COUNT


def test_a_filter_comes_on_top_of_box_and_class(made: District, tmp_path: Path) -> None:
    table = made.index.table
    edge = float(np.median(table["east"].to_numpy()))
    box = (-180.0, -90.0, edge, 90.0)
    wanted = set(table.filter(pc.less_equal(table["west"], edge))["geid"].to_pylist()) & of_height(made, 12)
    assert write(made, tmp_path / "a.gpkg", "height_m > 12", Selection(bbox=box)) == wanted
    assert 0 < len(wanted) < len(of_height(made, 12))
    assert write(made, tmp_path / "b.gpkg", "height_m > 12", Selection(classes=("Bridge",))) == set()


def test_a_filter_is_asked_of_the_moment(tmp_path: Path) -> None:
    made = District(tmp_path / "d", houses(COUNT), FIELDS, tail=TAIL)
    made.build()
    record(made, day(1), 10.0, 3)
    record(made, day(10), 20.0, 6)
    project = load_project(made.root)
    for valid, where, count in (
        (day(5), "floors = 3", COUNT),
        (day(15), "floors = 3", 0),
        (day(15), "height_m = 20", COUNT),
    ):
        path = tmp_path / f"{valid.day}-{where[:3]}.parquet"
        assert export(project, path, ExportOptions(datetime=valid, where=where)).entities == count


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("heigth_m > 3", "asks for 'heigth_m', which entities do not have"),
        ("height_m >", "is not cql2-text"),
        ("{", "not JSON"),
        ("height_m > 'x'", "compares"),
        ("height_m", "condition is expected"),
        ("frobnicate(name) = 1", "not known here"),
        ("(" * 60 + "height_m > 1" + ")" * 60, "levels of brackets"),
    ],
)
def test_a_filter_that_cannot_be_answered_is_refused_and_no_file_is_left(
    made: District, tmp_path: Path, where: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(MisuseError, match=told):
        write(made, tmp_path / "x.gpkg", where)
    assert run(["export", "-C", str(made.root), "-o", str(tmp_path / "x.gpkg"), "--where", where]) == 2
    assert told in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_misspelt_name_is_answered_with_the_names_there_are(made: District, tmp_path: Path) -> None:
    with pytest.raises(MisuseError) as error:
        write(made, tmp_path / "x.gpkg", "heigth_m > 3")
    assert "height_m" in error.value.next_step
    assert "用途" in error.value.next_step
