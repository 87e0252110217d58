"""suzhou_floor, tokyo_ota_height: footprints that state their height, or their storeys, for every building."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely

from tests.real.build_case import Case, assert_sound, build, built, outlines, twin

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def suzhou_file(real_data: Path) -> Path:
    return real_data / "footprints/suzhou_floor/suzhou_buildings.geojson"


@pytest.fixture(scope="module")
def grid(real_data: Path) -> Path:
    return real_data / "terrain/geoid_egm96/us_nga_egm96_15.tif"


def storeys_only(root: Path) -> None:
    """Takes the rule that copies the height out of twin.toml, so that only storeys are left to go by."""
    target = root / "twin.toml"
    text = target.read_text(encoding="utf-8")
    before, rule, after = text.partition('[[source.height]]\nfrom = "attribute"\n')
    assert rule
    target.write_text(before + after[after.index("[[source.height]]") :], encoding="utf-8")


@pytest.fixture(scope="module")
def suzhou(suzhou_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    root = tmp_path_factory.mktemp("suzhou")
    assert twin("init", suzhou_file, "-o", root, "--vertical", "H85", "--undulation", "10.9").code == 0
    storeys_only(root)
    return build(root)


def truth(file: Path) -> dict[tuple[float, float], dict]:
    """Features of a file by the centre they state, read as plain JSON."""
    features = json.loads(file.read_bytes())["features"]
    found = {(row["properties"]["x"], row["properties"]["y"]): row for row in features}
    assert len(found) == len(features)
    return found


def by_centre(case: Case) -> dict[tuple[float, float], dict[str, str]]:
    found = {(float(row["attr.x"]), float(row["attr.y"])): row for row in case.entities}
    assert len(found) == len(case.entities)
    return found


def assert_same_place(case: Case, expected: dict[tuple[float, float], dict], metres: float) -> None:
    """Footprints lie where the file says, corner by corner."""
    shapes = outlines(case)
    mine = by_centre(case)
    ours = np.array([shapes[mine[centre]["geid"]] for centre in expected])
    theirs = np.array([shapely.geometry.shape(row["geometry"]) for row in expected.values()])
    assert shapely.hausdorff_distance(ours, theirs).max() * 111_320 < metres


def test_storeys_times_three_metres_is_the_height_of_every_building_in_suzhou(suzhou: Case, suzhou_file: Path) -> None:
    expected = truth(suzhou_file)
    assert len(expected) == 3076
    assert_sound(suzhou, 3076)
    assert (suzhou.code, suzhou.outcomes["built"], suzhou.layer["reasons"]) == (0, 3076, {})
    mine = by_centre(suzhou)
    assert mine.keys() == expected.keys()
    for centre, row in mine.items():
        source = expected[centre]["properties"]
        assert float(row["height_m"]) == source["Floor"] * 3 == source["height"]
        assert int(row["storeys"]) == source["Floor"]
        assert row["height_source"] == "storeys"
        assert float(row["height"]) == pytest.approx(10.9, abs=1e-9)
    assert_same_place(suzhou, expected, 0.01)


def test_the_height_field_gives_the_same_heights_and_the_same_ids(
    suzhou: Case, suzhou_file: Path, tmp_path: Path
) -> None:
    case = built(tmp_path, suzhou_file, flags=("--vertical", "H85", "--undulation", "10.9"))
    assert {row["geid"]: row["height_m"] for row in case.entities} == {
        row["geid"]: row["height_m"] for row in suzhou.entities
    }
    assert {row["height_source"] for row in case.entities} == {"attribute:height"}
    assert confidence(case) > confidence(suzhou)


def confidence(case: Case) -> float:
    """The one confidence all its heights have."""
    (value,) = {float(row["height_confidence"]) for row in case.entities}
    return value


def test_the_egm96_grid_lifts_every_building_by_its_own_undulation(
    suzhou_file: Path, grid: Path, tmp_path: Path
) -> None:
    case = built(tmp_path, suzhou_file, flags=("--vertical", "H85", "--undulation", grid, "--ground", "4.25"))
    assert_sound(case, 3076)
    with rasterio.open(grid) as raster:
        for row in case.entities:
            expected = 4.25 + bilinear(raster, float(row["lon"]), float(row["lat"]))
            assert float(row["height"]) == pytest.approx(expected, abs=0.001)
            assert float(row["base_m"]) == 4.25
    assert len({row["height"] for row in case.entities}) > 50  # every millimetre of the slope of the geoid here


def bilinear(raster: rasterio.DatasetReader, lon: float, lat: float) -> float:
    """Undulation between the four nearest nodes, straight from the raster."""
    column, row = ~raster.transform @ (lon, lat)
    left, top = int(np.floor(column - 0.5)), int(np.floor(row - 0.5))
    cells = raster.read(1, window=((top, top + 2), (left, left + 2))).astype(float)
    right, down = column - 0.5 - left, row - 0.5 - top
    upper, lower = cells @ (1 - right, right)
    return float(upper * (1 - down) + lower * down)


def test_shuffled_features_in_another_folder_give_the_same_ids_and_tiles(
    suzhou: Case, suzhou_file: Path, tmp_path: Path
) -> None:
    """As a user would do it: in processes of its own, with as many workers as there are cores."""
    document = json.loads(suzhou_file.read_bytes())
    np.random.default_rng(5).shuffle(document["features"])
    (tmp_path / "renamed.geojson").write_text(json.dumps(document), encoding="utf-8")
    answer = twin("init", tmp_path / "renamed.geojson", "-o", tmp_path, "--vertical", "H85", "--undulation", "10.9")
    assert answer.code == 0
    storeys_only(tmp_path)
    command = [sys.executable, "-c", "from pipelines.cli import main; main()", "build", "-C", str(tmp_path), "--json"]
    done = subprocess.run(command, capture_output=True, check=False, env={**os.environ, "PYTHONUTF8": "1"})
    assert (done.returncode, done.stderr) == (0, b"")
    case = Case(tmp_path, 0, json.loads(done.stdout))
    assert case.report["release"] == suzhou.report["release"]
    assert case.entities == suzhou.entities


def test_nothing_is_written_beside_the_source(suzhou: Case, suzhou_file: Path) -> None:
    assert sorted(path.name for path in suzhou_file.parent.iterdir()) == ["SOURCE.txt", suzhou_file.name]


def test_tokyo_keeps_its_1374_heights(real_data: Path, tmp_path: Path) -> None:
    file = real_data / "footprints/tokyo_ota_height/tokyo_buildings.geojson"
    expected = truth(file)
    invalid = sum(not shapely.geometry.shape(row["geometry"]).is_valid for row in expected.values())
    case = built(tmp_path, file, flags=("--vertical", "ellipsoid", "--admin-code", "131113"))
    assert_sound(case, 1374)
    assert case.outcomes == {"built": 1374, "fallback": 0, "skipped": 0, "failed": 0}
    assert case.layer["reasons"].keys() <= {"geometry_repaired"}
    assert case.layer["reasons"].get("geometry_repaired", 0) <= invalid
    assert case.code == (3 if case.layer["reasons"] else 0)
    mine = by_centre(case)
    stated = {centre: row["properties"]["height"] for centre, row in expected.items()}
    assert {centre: float(mine[centre]["height_m"]) for centre in stated} == pytest.approx(stated, abs=0.0005)
    assert all(mine[centre]["source_key"] == str(row["properties"]["id"]) for centre, row in expected.items())
    heights = [float(row["height_m"]) for row in case.entities]
    assert (min(heights), np.median(heights), max(heights)) == (3, 24, 96)
    whole = {centre: row for centre, row in expected.items() if "geometry_repaired" not in mine[centre]["reasons"]}
    valid = {centre: row for centre, row in whole.items() if shapely.geometry.shape(row["geometry"]).is_valid}
    assert len(valid) >= 1371
    assert_same_place(case, valid, 0.01)
