"""CityJSON: every solid is closed, its volume is area times height, parts lie in their buildings, others read it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from pipelines.export import ExportOptions, ExportResult, export
from pipelines.project import load_project
from tests.pipelines.district import ORIGIN, District, houses
from twin.crs.reference import parse_crs
from twin.export.cityjson import reference_system
from twin.export.cityjson_geometry import Grid, quantise
from twin.export.cityjson_objects import _Corners
from twin.export.entities import Selection
from twin.geometry.footprints import from_shapely

Object = dict[str, Any]
TAIL = (
    '[source.fields]\nid = "id"\nkind = "kind"\npart_of = "part_of"\n'
    '[[source.height]]\nfrom = "attribute"\nfield = "height"\n'
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> District:
    """Forty houses, a building with a courtyard that touches the outside, and an outline with two parts."""
    x, y = ORIGIN[0] - 500, ORIGIN[1] - 500
    pinched = shapely.box(x, y, x + 30, y + 30) - shapely.Polygon([(x, y + 9), (x + 9, y + 5), (x + 9, y + 15)])
    outline = shapely.box(x + 100, y, x + 140, y + 20)
    parts = [shapely.box(x + 100, y, x + 120, y + 20), shapely.box(x + 120, y, x + 140, y + 20)]
    twins = shapely.MultiPolygon([shapely.box(x, y + 90, x + 9, y + 99), shapely.box(x + 20, y + 90, x + 29, y + 99)])
    shapes = [*houses(40), pinched, outline, *parts, twins]
    fields = {
        "id": [*(f"H{number}" for number in range(40)), "pinched", "outline", "low", "high", "twins"],
        "height": [*(None if number % 9 == 0 else 3.5 + number for number in range(40)), 9.0, None, 6.0, 21.0, 5.0],
        "kind": [*["building"] * 42, "part", "part", "building"],
        "part_of": [*[None] * 42, "outline", "outline", None],
    }
    made = District(tmp_path_factory.mktemp("city"), shapes, fields, tail=TAIL)
    made.build()
    return made


def written(made: District, folder: Path, name: str = "all.city.json", **options: Any) -> ExportResult:
    return export(load_project(made.root), folder / name, ExportOptions(**options))


def coordinates(document: Object, transform: Object) -> np.ndarray:
    return np.array(document["vertices"], dtype=float) * transform["scale"] + transform["translate"]


def solids(one: Object) -> list[Object]:
    return [geometry for geometry in one["geometry"] if geometry["type"] == "Solid"]


def edges(shell: list[list[list[int]]]) -> Counter[tuple[int, int]]:
    return Counter((ring[i - 1], ring[i]) for face in shell for ring in face for i in range(len(ring)))


def is_closed(shell: list[list[list[int]]]) -> bool:
    """Every edge once in each direction."""
    found = edges(shell)
    return set(found.values()) == {1} and all((b, a) in found for a, b in found)


def volume(shell: list[list[list[int]]], xyz: np.ndarray) -> float:
    """By the divergence theorem, over fans of every ring; holes run the other way and take off."""
    total = 0.0
    for face in shell:
        for ring in face:
            a, rest = xyz[ring[0]], xyz[ring[1:]]
            total += float(np.einsum("ij,ij->i", np.cross(rest[:-1], rest[1:]), np.tile(a, (len(rest) - 1, 1))).sum())
    return total / 6.0


def test_every_solid_is_closed_and_its_volume_is_area_times_height(made: District, tmp_path: Path) -> None:
    document = json.loads(written(made, tmp_path).path.read_bytes())
    xyz = coordinates(document, document["transform"]) - np.array(document["transform"]["translate"])
    index = {row["geid"]: row for row in made.index.table.to_pylist()}
    count = 0
    for geid, one in document["CityObjects"].items():
        row = index[geid]
        footprint = shapely.MultiPolygon([(p[0], p[1:]) for p in row["geometry"]])
        found = solids(one)
        assert bool(found) == (row["lod"] == "1.2")
        for solid in found:
            (shell,) = solid["boundaries"]
            assert is_closed(shell)
            assert len(solid["semantics"]["values"][0]) == len(shell)
        if found:
            total = sum(volume(solid["boundaries"][0], xyz) for solid in found)
            assert total == pytest.approx(footprint.area * row["height_m"], rel=1e-3)
            count += len(found)
    assert count > 35


def test_the_footprint_is_there_to_the_millimetre(made: District, tmp_path: Path) -> None:
    document = json.loads(written(made, tmp_path).path.read_bytes())
    xyz = coordinates(document, document["transform"])
    for row in made.index.table.to_pylist():
        flat = next(g for g in document["CityObjects"][row["geid"]]["geometry"] if g["lod"] == "0")
        shape = shapely.MultiPolygon([(xyz[face[0]], [xyz[r] for r in face[1:]]) for face in flat["boundaries"]])
        original = shapely.MultiPolygon([(p[0], p[1:]) for p in row["geometry"]])
        assert shapely.hausdorff_distance(shapely.force_2d(shape), original) < 0.001


def test_parts_lie_in_their_building_which_has_no_body_of_its_own(made: District, tmp_path: Path) -> None:
    result = written(made, tmp_path)
    assert result.notes == {"without_geometry": 0, "without_parent": 0}
    objects = json.loads(result.path.read_bytes())["CityObjects"]
    geid = made.geids()
    building = objects[geid["outline"]]
    assert sorted(building["children"]) == sorted([geid["low"], geid["high"]])
    assert not solids(building)
    assert building["geometry"]
    for part in ("low", "high"):
        assert objects[geid[part]]["type"] == "BuildingPart"
        assert objects[geid[part]]["parents"] == [geid["outline"]]
        assert solids(objects[geid[part]])
    assert len(solids(objects[geid["twins"]])) == 2


def test_a_part_without_its_building_is_a_building_and_is_counted(made: District, tmp_path: Path) -> None:
    result = written(made, tmp_path, selection=Selection(classes=("BuildingPart",)))
    assert result.notes["without_parent"] == result.entities == 2
    objects = json.loads(result.path.read_bytes())["CityObjects"]
    assert {one["type"] for one in objects.values()} == {"Building"}
    assert {one["attributes"]["parent"] for one in objects.values()} == {made.geids()["outline"]}


def test_a_sequence_holds_the_same_objects_each_line_for_itself(made: District, tmp_path: Path) -> None:
    whole = json.loads(written(made, tmp_path).path.read_bytes())
    lines = written(made, tmp_path, "all.city.jsonl").path.read_bytes().splitlines()
    header, *features = map(json.loads, lines)
    assert (header["type"], header["CityObjects"], header["vertices"]) == ("CityJSON", {}, [])
    assert {key: header[key] for key in ("version", "transform", "metadata")} == {
        key: whole[key] for key in ("version", "transform", "metadata")
    }
    together: dict[str, Object] = {}
    xyz = coordinates(whole, whole["transform"])
    for feature in features:
        assert feature["id"] in feature["CityObjects"]
        used = {i for one in feature["CityObjects"].values() for i in numbers_in(one["geometry"])}
        assert used == set(range(len(feature["vertices"])))
        own = coordinates(feature, header["transform"]) if feature["vertices"] else np.empty((0, 3))
        for geid, one in feature["CityObjects"].items():
            other = whole["CityObjects"][geid]
            assert {**one, "geometry": 0} == {**other, "geometry": 0}
            left, right = (list(numbers_in(o["geometry"])) for o in (one, other))
            np.testing.assert_array_equal(own[left], xyz[right])
            together[geid] = one
    assert list(together) == list(whole["CityObjects"])


def numbers_in(geometry: list[Object]) -> list[int]:
    def flat(nested: Any) -> list[int]:
        return [nested] if isinstance(nested, int) else [i for item in nested for i in flat(item)]

    return flat([one["boundaries"] for one in geometry])


def test_the_header_states_extent_and_crs(made: District, tmp_path: Path) -> None:
    document = json.loads(written(made, tmp_path).path.read_bytes())
    xyz = coordinates(document, document["transform"])
    extent = np.array(document["metadata"]["geographicalExtent"])
    np.testing.assert_allclose(extent, [*xyz.min(axis=0), *xyz.max(axis=0)], atol=0.0006)
    assert document["metadata"]["referenceSystem"] == "https://www.opengis.net/def/crs/EPSG/0/4549"
    assert document["metadata"]["vertical_datum"].startswith("EPSG:5737")


def test_a_registered_compound_crs_is_named() -> None:
    assert reference_system(parse_crs("EPSG:28992"), 5709).endswith("/EPSG/0/7415")
    assert reference_system(parse_crs("EPSG:28992"), None).endswith("/EPSG/0/28992")


def test_cjio_reads_it(made: District, tmp_path: Path) -> None:
    path = written(made, tmp_path).path
    code = (
        "import sys, json; from cjio import cityjson; cm = cityjson.reader(open(sys.argv[1])); cm.decompress(); "
        "print(json.dumps([cm.get_version(), cm.get_epsg(), len(cm.j['CityObjects']), cm.number_city_objects_level1(), "
        "len(list(cm.generate_features()))]))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, path], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    count = len(made.index)
    assert json.loads(done.stdout.splitlines()[-1])[:4] == ["2.0", 4549, count, count - 2]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=4, max_size=12), st.floats(0.002, 300))
def test_any_footprint_becomes_a_closed_solid(corners: list[tuple[int, int]], height: float) -> None:
    shape = shapely.make_valid(shapely.Polygon([(x / 7, y / 7) for x, y in corners]))
    pieces = [p for p in shapely.get_parts(shape) if p.geom_type == "Polygon" and p.area > 0.01]
    if not pieces:
        return
    footprint = from_shapely(np.array([shapely.MultiPolygon(pieces)], dtype=object))
    grid = Grid(np.zeros(3), np.full(3, 0.001))
    shapes = quantise(footprint, np.array([1.0]), np.array([1.0 + height]), np.zeros(1, dtype=np.int64), grid)
    for solid in _Corners(shapes, np.zeros(1, dtype=np.int64)).geometry(0)[1:]:
        assert is_closed(solid["boundaries"][0])
    assert shapes.solid.all()
