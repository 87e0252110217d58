"""Areas stand above the buildings, keep their identity, and cost nothing where there are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyogrio
import pytest
import shapely

from pipelines.project import load_project
from pipelines.releases import validate_release
from tests.pipelines.district import ORIGIN, District
from twin.errors import MisuseError, ProjectError

X, Y = ORIGIN
TAIL = '[source.fields]\nid = "id"\n[[source.height]]\nfrom = "attribute"\nfield = "height"\n'


def box(west: float, south: float, east: float, north: float) -> Any:
    return shapely.box(X + west, Y + south, X + east, Y + north)


def write_areas(path: Path, shapes: list[Any], fields: dict[str, list[Any]]) -> None:
    path.unlink(missing_ok=True)
    geometry = pa.array(shapely.to_wkb(shapes), pa.binary())
    pyogrio.write_arrow(
        pa.table({**fields, "geometry": geometry}),
        path, driver="GPKG", crs="EPSG:4549", geometry_type="Unknown", geometry_name="geometry",
    )  # fmt: skip


def area_table(name: str, level: str, fields: str = 'id = "code"\nname = "name"\n') -> str:
    return f'[[area]]\nname = "{name}"\npath = "{name}.gpkg"\nlevel = "{level}"\n[area.fields]\n{fields}'


STREETS = [box(0, 0, 500, 500), box(500, 0, 1000, 500)]
GRIDS = [box(0, 0, 250, 500), box(250, 0, 500, 500), box(2000, 0, 2100, 100)]
HOUSES = [box(10, 10, 30, 30), box(300, 10, 330, 30), box(700, 10, 730, 30), box(1500, 10, 1530, 30)]


def district(root: Path, areas: str = "", **changes: Any) -> District:
    fields = {"id": [f"h{n}" for n in range(len(HOUSES))], "height": [9.0, 12.0, 15.0, 18.0]}
    settings = {"shapes": HOUSES, "fields": fields, "output": areas, **changes}
    return District(root, **settings)


@pytest.fixture
def layered(tmp_path: Path) -> District:
    made = district(tmp_path, area_table("streets", "subdistrict") + area_table("grids", "community")).write()
    write_areas(tmp_path / "streets.gpkg", STREETS, {"code": ["s1", "s2"], "name": ["Xinhua", None]})
    write_areas(tmp_path / "grids.gpkg", GRIDS, {"code": ["g1", "g2", "g9"], "name": ["A", "", "far"]})
    return made


def by_key(made: District) -> dict[str, dict[str, Any]]:
    return {row["source_key"]: row for row in made.index.table.to_pylist()}


def test_a_building_lies_in_the_finest_area_around_its_centre_and_that_in_a_coarser_one(layered: District) -> None:
    layered.build()
    rows = by_key(layered)
    above = {key: rows[key]["parent"] for key in rows}
    name_of = {row["geid"]: key for key, row in rows.items()}
    assert {key: name_of.get(parent) for key, parent in above.items()} == {
        "h0": "g1", "h1": "g2", "h2": "s2", "h3": None, "g1": "s1", "g2": "s1", "g9": None, "s1": None, "s2": None,
    }  # fmt: skip


def test_an_area_without_a_name_has_none(layered: District) -> None:
    layered.build()
    rows = by_key(layered)
    assert [rows[key]["name"] for key in ("s1", "s2", "g1", "g2")] == ["Xinhua", None, "A", None]


def test_an_area_is_an_entity_that_is_not_drawn_and_not_counted(layered: District) -> None:
    result = layered.build()
    assert [(one.layer, one.read, one.entities) for one in result.report.layers] == [("buildings", 4, 4)]
    rows = by_key(layered)
    assert {rows[key]["attr.level"] for key in ("g1", "g2", "g9")} == {"community"}
    for key in ("s1", "s2", "g1", "g2", "g9"):
        assert (rows[key]["layer"], rows[key]["entity_class"]) == ("areas", "AdministrativeArea")
        assert (rows[key]["tile"], rows[key]["row"], rows[key]["height_m"]) == (None, -1, None)
    assert list(layered.release.layers) == ["buildings"]


def test_validate_finds_nothing_wrong_with_rows_that_have_no_tile(layered: District) -> None:
    layered.build()
    verdict = validate_release(layered.release, None)
    assert (verdict.errors, verdict.warnings) == (0, 0), verdict.issues


def test_a_rebuild_from_nothing_but_the_registry_gives_the_same_bytes(layered: District) -> None:
    first = layered.build()
    before = layered.release.index.read_bytes()
    second = layered.build(force=True)
    assert (second.release, layered.release.index.read_bytes()) == (first.release, before)


def test_areas_leave_tiles_as_they_are(tmp_path: Path) -> None:
    bare = district(tmp_path).write()
    bare.build()
    before = bare.release.info["layers"]["buildings"]["digest"]
    file = tmp_path / "twin.toml"
    file.write_text(file.read_text(encoding="utf-8") + area_table("streets", "subdistrict"), encoding="utf-8")
    write_areas(tmp_path / "streets.gpkg", STREETS, {"code": ["s1", "s2"], "name": ["a", "b"]})
    again = bare.build()
    assert again.tiles_written == 0
    assert bare.release.info["layers"]["buildings"]["digest"] == before


def test_a_border_that_moves_gives_other_parents_without_new_tiles(layered: District) -> None:
    layered.build()
    before = by_key(layered)
    write_areas(layered.root / "grids.gpkg", [box(0, 0, 500, 500)], {"code": ["g1"], "name": ["A"]})
    again = layered.build()
    rows = by_key(layered)
    assert again.tiles_written == 0
    assert rows["h1"]["parent"] == rows["g1"]["geid"] == before["g1"]["geid"] != before["h1"]["parent"]


def test_areas_without_ids_are_known_again_by_their_geometry_in_any_order(tmp_path: Path) -> None:
    made = district(tmp_path, area_table("streets", "subdistrict", 'name = "name"\n')).write()
    write_areas(tmp_path / "streets.gpkg", STREETS, {"name": ["west", "east"]})
    made.build()
    before = {row["name"]: row["geid"] for row in made.index.table.to_pylist() if row["layer"] == "areas"}
    write_areas(tmp_path / "streets.gpkg", STREETS[::-1], {"name": ["east", "west"]})
    made.build()
    assert {row["name"]: row["geid"] for row in made.index.table.to_pylist() if row["layer"] == "areas"} == before


def test_pieces_with_one_id_are_one_area_and_broken_ones_are_told(tmp_path: Path) -> None:
    made = district(tmp_path, area_table("streets", "subdistrict")).write()
    shapes = [*STREETS, shapely.LineString([(X, Y), (X + 9, Y)])]
    write_areas(tmp_path / "streets.gpkg", shapes, {"code": ["s1", "s1", "s3"], "name": [None, "one", "line"]})
    result = made.build()
    rows = by_key(made)
    assert rows["s1"]["name"] == "one"
    assert rows["h0"]["parent"] == rows["h2"]["parent"] == rows["s1"]["geid"]
    found = {(one.code, one.count) for one in result.report.issues if one.code.startswith("area_")}
    assert found == {("area_joined", 1), ("area_refused", 1)}
    assert "s3" not in rows


def test_an_attribute_that_buildings_have_as_a_number_stays_one(tmp_path: Path) -> None:
    fields = {"id": list("abcd"), "height": [9.0] * 4, "level": [1, 2, 3, 4]}
    made = district(tmp_path, area_table("streets", "subdistrict"), fields=fields).write()
    write_areas(tmp_path / "streets.gpkg", STREETS, {"code": ["s1", "s2"], "name": ["a", "b"]})
    made.build()
    rows = by_key(made)
    assert [rows[key]["attr.level"] for key in "abcd"] == [1, 2, 3, 4]
    assert (rows["s1"]["attr.level"], rows["s1"]["attr.area.level"]) == (None, "subdistrict")


def test_a_name_that_is_taken_and_a_field_that_is_not_there_are_refused(tmp_path: Path) -> None:
    made = district(tmp_path, area_table("houses", "block")).write()
    with pytest.raises(ProjectError, match="already the name of a source"):
        load_project(made.root)
    other = district(tmp_path / "other", area_table("streets", "block")).write()
    write_areas(other.root / "streets.gpkg", STREETS, {"code": ["s1", "s2"]})
    with pytest.raises(MisuseError, match='no field "name"'):
        other.build()
