"""Coordinates end to end: no CRS, Chinese web maps, zone prefixes, axes, degrees for metres, a secret local grid."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyogrio
import pyproj
import pytest
import shapely

from tests.real.build_case import Case, assert_sound, build, built, bytes_beneath, outlines, started, twin
from twin.crs import datum_cn

pytestmark = pytest.mark.real

STREETS = "shanghai/streets_raw/shanghai_street.shp"
PROJECT = ("--vertical", "H85", "--undulation", "10.9", "--name", "Suzhou")
Move = Callable[[np.ndarray], np.ndarray]


@pytest.fixture(scope="module")
def suzhou(real_data: Path) -> dict:
    return json.loads((real_data / "footprints/suzhou_floor/suzhou_buildings.geojson").read_bytes())


@pytest.fixture(scope="module")
def plain(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Suzhou as it is, to compare with."""
    file = real_data / "footprints/suzhou_floor/suzhou_buildings.geojson"
    return built(tmp_path_factory.mktemp("plain"), file, flags=PROJECT)


def write_geojson(target: Path, document: dict, move: Move) -> Path:
    """The same features somewhere else."""
    features = [
        {**row, "geometry": shapely.geometry.mapping(shapely.transform(shapely.geometry.shape(row["geometry"]), move))}
        for row in document["features"]
    ]
    target.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    return target


def write_table(target: Path, document: dict, move: Move, crs: str | None) -> Path:
    """The same features in a Shapefile or GeoPackage, in another CRS."""
    rows = document["features"]
    shapes = np.array([shapely.transform(shapely.geometry.shape(row["geometry"]), move) for row in rows], dtype=object)
    names = ("Floor", "height", "x", "y")
    pyogrio.raw.write(
        target, shapely.to_wkb(shapes), [np.array([row["properties"][name] for row in rows]) for name in names],
        fields=list(names), geometry_type="Polygon" if target.suffix == ".shp" else "Unknown",
        crs=crs or "EPSG:4326", promote_to_multi=False,
    )  # fmt: skip
    if crs is None:
        target.with_suffix(".prj").unlink()
    return target


def projected(crs: str | pyproj.CRS) -> Move:
    step = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    return lambda xy: np.column_stack(step.transform(*xy.T))


def by_centre(case: Case) -> dict[tuple[str, str], dict[str, str]]:
    found = {(row["attr.x"], row["attr.y"]): row for row in case.entities}
    assert len(found) == len(case.entities)
    return found


def apart_m(one: Case, other: Case) -> float:
    """Largest distance between the footprints of the same building."""
    ours, theirs = by_centre(one), by_centre(other)
    assert ours.keys() == theirs.keys()
    first, second = outlines(one), outlines(other)
    shapes = [[first[ours[key]["geid"]] for key in ours], [second[theirs[key]["geid"]] for key in ours]]
    return float(shapely.hausdorff_distance(*(np.array(row, dtype=object) for row in shapes)).max() * 111_320)


def test_streets_without_a_crs_stop_and_say_what_to_write(real_data: Path, tmp_path: Path) -> None:
    answer = started(tmp_path, real_data / STREETS, flags=("--vertical", "ellipsoid"))
    assert answer.code == 0
    assert [blank["key"] for blank in answer.json["blanks"]] == ["source[1].crs"]
    stopped = twin("build", "-C", tmp_path, "--json")
    assert (stopped.code, stopped.out) == (2, "")
    for words in (
        "twin.toml:",
        "source[1].crs",
        "shanghai_street.shp, which states none",
        '"EPSG:4326"',
        "next: write",
    ):
        assert words in stopped.err
    assert not (tmp_path / "out").exists()


def test_streets_with_a_crs_are_drawn_flat_and_said_to_be(real_data: Path, tmp_path: Path) -> None:
    case = built(tmp_path, real_data / STREETS, flags=("--vertical", "ellipsoid", "--crs", "EPSG:4326"))
    _, _, wkb, _ = pyogrio.raw.read(real_data / STREETS)
    assert_sound(case, len(wkb))
    assert case.outcomes == {"built": 0, "fallback": 251, "skipped": 0, "failed": 0}
    assert case.layer["reasons"] == {"height_missing": 251}
    assert case.code == 3
    streets = shapely.from_wkb(wkb)
    ours = np.array(list(outlines(case).values()), dtype=object)
    near = shapely.STRtree(shapely.centroid(ours)).nearest(shapely.centroid(streets))
    assert len(np.unique(near)) == 251
    assert (shapely.area(shapely.symmetric_difference(ours[near], streets)) < 1e-4 * shapely.area(streets)).all()


@pytest.mark.parametrize(("name", "forward"), [("gcj02", datum_cn.wgs84_to_gcj02), ("bd09", datum_cn.wgs84_to_bd09)])
def test_a_web_map_lands_where_the_survey_has_it(
    suzhou: dict, plain: Case, tmp_path: Path, name: str, forward: Move
) -> None:
    file = write_geojson(tmp_path / "buildings.geojson", suzhou, forward)
    moved = shapely.geometry.shape(json.loads(file.read_bytes())["features"][0]["geometry"])
    assert moved.distance(shapely.geometry.shape(suzhou["features"][0]["geometry"])) * 111_320 > 100
    case = built(tmp_path, file, flags=PROJECT, edit={'# crs = "EPSG:4326"': f'crs = "{name}"'})
    assert_sound(case, 3076)
    assert apart_m(case, plain) < 0.01
    assert case.outcomes == plain.outcomes


@pytest.mark.parametrize("suffix", [".shp", ".gpkg"])
def test_a_zone_with_and_without_its_prefix_gives_the_same_entities(
    suzhou: dict, plain: Case, tmp_path: Path, suffix: str
) -> None:
    cases = []
    for crs in ("EPSG:4528", "EPSG:4549"):
        folder = tmp_path / crs[5:]
        folder.mkdir()
        file = write_table(folder / f"houses{suffix}", suzhou, projected(crs), crs)
        first = shapely.get_coordinates(shapely.from_wkb(pyogrio.raw.read(file, max_features=1)[2]))[0]
        assert (first[0] > 40_000_000) == (crs == "EPSG:4528")
        cases.append(built(folder, file, flags=(*PROJECT, "--working-crs", "EPSG:4549")))
    prefixed, bare = cases
    assert_sound(prefixed, 3076)
    assert [(r["geid"], r["height_m"], r["attr.x"]) for r in prefixed.entities] == [
        (r["geid"], r["height_m"], r["attr.x"]) for r in bare.entities
    ]
    assert apart_m(prefixed, bare) < 0.001
    assert apart_m(prefixed, plain) < 0.01


REFUSALS = {
    "swapped axes": (lambda xy: xy[:, ::-1], "EPSG:4326", ("latitude stands in x",)),
    "degrees given as metres": (lambda xy: xy, "EPSG:4549", ("degrees",)),
    "metres given as degrees": (projected("EPSG:4549"), "EPSG:4490", ("metres",)),
    "a prefix the zone has not": (projected("EPSG:4528"), "EPSG:4549", ("EPSG:4528",)),
    "a prefix left out": (projected("EPSG:4549"), "EPSG:4528", ("EPSG:4549",)),
}


@pytest.mark.parametrize(("move", "crs", "words"), REFUSALS.values(), ids=REFUSALS)
def test_coordinates_that_cannot_be_what_the_crs_says_are_refused_by_name(
    suzhou: dict, tmp_path: Path, move: Move, crs: str, words: tuple[str, ...]
) -> None:
    file = write_table(tmp_path / "houses.shp", suzhou, move, crs)
    answer = started(tmp_path, file, flags=(*PROJECT, "--working-crs", "EPSG:4549"))
    assert answer.code == 0, answer.err
    stopped = twin("build", "-C", tmp_path, "--json")
    assert stopped.code == 2, stopped.err
    for word in ("houses.shp", "next: ", *words):
        assert word in stopped.err
    assert not list(tmp_path.glob("out/releases/*"))


SECRET = (
    "+proj=tmerc +lat_0=31.17654321 +lon_0=120.54321987 +k=1.00001372 +x_0=87654.321 +y_0=-23456.789 +ellps=GRS80"
    " +towgs84=0,0,0,0,0,0,0 +units=m +no_defs"
)
#: What nobody may find anywhere: every number of the definition, as text and as a float64.
NUMBERS = tuple(re.findall(r"\d+\.\d{3,}", SECRET))


def traces(text: bytes) -> list[str]:
    """Numbers of the secret definition that can be found in some bytes."""
    found = [number for number in NUMBERS if number.encode() in text or number.replace(".", "").encode() in text]
    packed = [form + number for number in NUMBERS for form in "<>" if struct.pack(form + "d", float(number)) in text]
    return found + packed + [word for word in ("tmerc", "ransverse", "ercator") if word.encode() in text]


def assert_secret(root: Path, secret: set[Path], answers: list[tuple[int, str, str]]) -> None:
    for path, content in bytes_beneath(root):
        if path not in secret:
            assert not traces(content), path
    for code, out, err in answers:
        assert not traces((out + err).encode()), (code, out, err)


@pytest.mark.parametrize("form", ["proj", "wkt"])
def test_a_private_city_grid_builds_and_is_told_to_nobody(
    suzhou: dict, plain: Case, tmp_path: Path, form: str, recwarn: pytest.WarningsRecorder
) -> None:
    crs = pyproj.CRS.from_user_input(SECRET)
    source = tmp_path / "survey"
    source.mkdir()
    file = write_table(source / "houses.shp", suzhou, projected(crs), None)
    project = tmp_path / "project"
    project.mkdir()
    secret_file = project / f"grid.{form}"
    secret_file.write_text(SECRET if form == "proj" else crs.to_wkt(), encoding="utf-8")
    said = [started(project, file, flags=(*PROJECT, "--crs", secret_file, "--working-crs", "EPSG:4549"))]
    text = (project / "twin.toml").read_text(encoding="utf-8")
    assert "crs_file" in text and said[0].json["blanks"] == []
    said.append(twin("check", "-C", project, "-o", project / "report.html"))
    said.append(twin("build", "-C", project, "-vv", "--workers", 1))
    assert said[-1].code == 0, said[-1].err
    said += [twin(*words, "-C", project) for words in (("validate",), ("info", "--json"), ("info",))]
    again = twin("build", "-C", project, "--force", "--json", "--workers", 1)
    case = Case(project, again.code, again.json)
    assert_sound(case, 3076)
    assert apart_m(case, plain) < 0.01
    # coordinates that cannot be in the grid, a definition with a slip: errors keep the secret too
    write_table(source / "houses.shp", suzhou, lambda xy: xy, None)
    said += [again, twin("build", "-C", project, "--json"), twin("check", "-C", project, "--json")]
    assert said[-2].code in (1, 2)  # a grid of metres may have a place at 120, 31: then no building has an area there
    assert "next: " in said[-2].err
    secret_file.write_text(secret_file.read_text(encoding="utf-8")[3:], encoding="utf-8")
    said += [twin("build", "-C", project), twin("build", "-C", project, "--json")]
    assert said[-1].code == 2
    assert "grid." in said[-1].err
    assert_secret(project, {secret_file}, [(one.code, one.out, one.err) for one in said])
    assert not any(traces(str(warning.message).encode()) for warning in recwarn)


def test_a_private_working_grid_stays_out_of_the_release(suzhou: dict, plain: Case, tmp_path: Path) -> None:
    """The grid is the district's own working CRS as well: its text stands in twin.toml and nowhere else."""
    file = write_geojson(tmp_path / "buildings.geojson", suzhou, lambda xy: xy)
    said = started(tmp_path, file, flags=PROJECT)
    target = tmp_path / "twin.toml"
    text, changed = re.subn(r'(?m)^working_crs = ".*"$', f'working_crs = "{SECRET}"', target.read_text("utf-8"))
    assert changed == 1
    target.write_text(text, encoding="utf-8")
    case = build(tmp_path)
    assert_sound(case, 3076)
    assert apart_m(case, plain) < 0.01
    assert json.loads(next(tmp_path.glob("out/releases/*/release.json")).read_bytes())["working_crs"] is None
    assert_secret(tmp_path, {target, file}, [(0, said.out, json.dumps([case.report, case.info, case.verdict]))])
