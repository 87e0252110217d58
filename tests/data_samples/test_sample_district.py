"""The sample district is what its README says: believable, labelled, reproducible, and faulty on purpose only."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pyogrio
import pytest
import rasterio
import shapely
from pyproj import Transformer

import data_samples
from data_samples.blocks import fill
from data_samples.generate import EXTRACT, SEED, generate_district
from data_samples.plan import draw

HOME = Path(data_samples.__file__).parent
COMMITTED = HOME / "extract"
FIELDS = ["FWBH", "MC", "DZ", "CS", "JZGD", "YT", "JGNF", "JDDM"]


@pytest.fixture(scope="module")
def plan():
    return draw(SEED)


@pytest.fixture(scope="module")
def town(plan):
    return fill(plan, SEED)


@pytest.fixture(scope="module")
def extract(tmp_path_factory):
    return generate_district(tmp_path_factory.mktemp("sample"), extent="extract").parent


def sheets(folder: Path) -> dict[str, pd.DataFrame]:
    return {
        path.name: pyogrio.read_dataframe(path, encoding=None if path.with_suffix(".cpg").exists() else "GB18030")
        for path in sorted(folder.glob("buildings/*.shp"))
    }


def whole(folder: Path) -> pd.DataFrame:
    return pd.concat(sheets(folder).values(), ignore_index=True)


def test_generating_the_extract_again_gives_what_is_committed(extract):
    names = {path.relative_to(extract) for path in extract.rglob("*") if path.is_file()}
    assert names == {path.relative_to(COMMITTED) for path in COMMITTED.rglob("*") if path.is_file()}
    for name in sorted(names):
        if name.suffix in (".json", ".toml", ".txt", ".cpg", ".prj") or name.name == "LICENSE":
            assert (extract / name).read_bytes() == (COMMITTED / name).read_bytes(), name
        if name.suffix == ".tif":
            with rasterio.open(extract / name) as new, rasterio.open(COMMITTED / name) as old:
                assert (new.crs, new.transform, new.nodata) == (old.crs, old.transform, old.nodata)
                np.testing.assert_array_equal(new.read(), old.read())
    for (name, new), old in zip(sheets(extract).items(), sheets(COMMITTED).values(), strict=True):
        pd.testing.assert_frame_equal(new[FIELDS], old[FIELDS], obj=name)
        _same_shapes(new.geometry, old.geometry)
    for layer in ("roads", "water", "green", "district", "subdistricts"):
        new, old = (pyogrio.read_dataframe(folder / "base.gpkg", layer=layer) for folder in (extract, COMMITTED))
        pd.testing.assert_frame_equal(new.drop(columns="geometry"), old.drop(columns="geometry"), obj=layer)
        _same_shapes(new.geometry, old.geometry)


def _same_shapes(new, old):
    one, other = (shapely.normalize(shapes.to_numpy()) for shapes in (new, old))
    assert (shapely.is_missing(one) == shapely.is_missing(other)).all()
    there = ~shapely.is_missing(one)
    assert shapely.equals_exact(one[there], other[there], tolerance=0.002).all()


def test_the_same_seed_gives_the_same_bytes_and_a_stale_sheet_does_not_stay(extract, tmp_path):
    (tmp_path / "buildings").mkdir()
    (tmp_path / "buildings" / "FW_09.shp").write_bytes(b"stale")
    generate_district(tmp_path, extent="extract")
    files = {path.relative_to(extract) for path in extract.rglob("*") if path.is_file()}
    assert {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()} == files
    for name in files:
        assert (tmp_path / name).read_bytes() == (extract / name).read_bytes(), name


def test_another_seed_gives_another_town(plan):
    blocks, others = ({block.wkb for block in one.blocks} for one in (plan, draw(7)))
    assert len(blocks & others) < 0.1 * len(blocks)


def test_the_extract_is_small_and_says_that_it_is_synthetic():
    assert sum(path.stat().st_size for path in COMMITTED.rglob("*") if path.is_file()) < 1_500_000
    assert "SYNTHETIC" in (COMMITTED / "README.txt").read_text(encoding="utf-8")
    assert "SYNTHETIC" in (HOME / "README.md").read_text(encoding="utf-8")
    assert "CC0" in (COMMITTED / "LICENSE").read_text(encoding="utf-8")
    assert json.loads((COMMITTED / "manifest.json").read_text(encoding="utf-8"))["synthetic"] is True
    assert 600 <= len(whole(COMMITTED)) <= 1000


def test_the_district_lies_where_changning_lies(plan):
    to_degrees = Transformer.from_crs("EPSG:4549", "EPSG:4490", always_xy=True)
    lon, lat = to_degrees.transform(*shapely.get_coordinates(plan.outline).T)
    assert 121.33 <= lon.min() < lon.max() <= 121.44
    assert 31.18 <= lat.min() < lat.max() <= 31.24
    assert plan.outline.area == pytest.approx(37e6, rel=1e-6)


def test_ten_subdistricts_tile_the_district(plan):
    admin = json.loads((HOME / "admin.json").read_text(encoding="utf-8"))
    assert set(plan.subdistricts) == {street["code9"] for street in admin["streets"]}
    shapes = list(plan.subdistricts.values())
    assert all(shape.geom_type == "Polygon" for shape in shapes)
    assert sum(shape.area for shape in shapes) == pytest.approx(plan.outline.area, rel=1e-6)
    assert shapely.union_all(shapes).symmetric_difference(plan.outline).area < 1.0


def test_there_are_enough_buildings_of_every_kind_and_height(town):
    assert len(town) > 20_000
    kinds = "lane slab tower villa office podium mall school hospital hall shed terminal hangar"
    assert {b.kind for b in town} >= set(kinds.split())
    height = np.array([b.storeys * b.storey_m for b in town])
    assert 150 < height.max() < 230
    assert (height > 2).all()
    towers = height[[b.kind == "tower" for b in town]]
    assert 30 < towers.min() < towers.max() < 100
    holes = sum(len(b.shape.interiors) > 0 for b in town)
    assert holes > 50
    vertices = shapely.get_num_coordinates([b.shape for b in town]).mean()
    assert 6 < vertices < 16


def test_no_building_stands_on_another_nor_in_the_water_nor_outside(plan, town):
    shape = np.array([b.shape for b in town], dtype=object)
    assert shapely.is_valid(shape).all()
    one, two = shapely.STRtree(shape).query(shape, predicate="intersects")
    pair = one < two
    assert shapely.area(shapely.intersection(shape[one[pair]], shape[two[pair]])).max() <= 0.05
    water = shapely.union_all(list(plan.water.values()))
    shapely.prepare(water)
    assert not shapely.dwithin(shape, water, 10.0).any()
    assert shapely.contains(plan.outline.buffer(0.1), shape).all()
    assert not shapely.intersects(shapely.union_all(list(plan.parks.values())), shape).any()


def test_a_block_of_the_extract_is_the_same_block_in_the_district(plan, town):
    window = shapely.box(*EXTRACT)
    some = fill(plan, SEED, window)
    near = {b.shape.wkb for b in town if window.contains(b.shape.centroid)}
    assert near == {b.shape.wkb for b in some if window.contains(b.shape.centroid)}


def test_the_faults_are_those_of_the_manifest_and_no_others(extract):
    manifest = json.loads((extract / "manifest.json").read_text(encoding="utf-8"))
    found, faults, expected = whole(extract), manifest["faults"], manifest["expected"]
    shape = found.geometry.to_numpy()
    there = ~shapely.is_missing(shape)
    assert len(found) == manifest["features"] == expected["read"] == sum(manifest["sheets"].values())
    assert (~there).sum() == faults["geometry_null"]
    assert (~shapely.is_valid(shape[there])).sum() == faults["ring_crosses_itself"]
    assert (shapely.area(shape[there]) < 1.0).sum() == faults["sliver"]
    assert found["FWBH"].duplicated().sum() == faults["delivered_twice"]
    once = found[~found["FWBH"].duplicated()]
    bad = once["JZGD"].isin([9999.0, 0.0, -1.0])
    assert bad.sum() == faults["height_placeholder"]
    assert once.loc[bad, "CS"].isna().all()
    assert (once["JZGD"].isna() & once["CS"].isna()).sum() == faults["height_and_storeys_missing"]
    assert (once["JZGD"].isna() & once["CS"].notna()).sum() == faults["height_missing_storeys_known"]
    assert all(number >= 2 for number in faults.values())
    outcomes = [expected[key] for key in ("built", "fallback", "skipped", "failed")]
    assert sum(outcomes) == expected["read"]


def test_one_sheet_is_gb18030_and_nothing_in_it_says_so(extract):
    last = sorted(extract.glob("buildings/*.dbf"))[-1]
    assert not last.with_suffix(".cpg").exists()
    assert last.read_bytes()[29] == 0
    text = last.read_bytes()
    assert "弄".encode("gb18030") in text
    with pytest.raises(UnicodeDecodeError):
        text.decode("utf-8")


def test_storeys_and_heights_belong_together(extract):
    found = whole(extract)
    known = found[found["JZGD"].between(1, 500) & found["CS"].notna()]
    per_storey = known["JZGD"] / known["CS"]
    assert per_storey.between(2.2, 8.0).all()
    assert set(found["YT"]) <= {"住宅", "办公", "商业", "学校", "医院", "工业", "其他"}
    assert found["DZ"].str.fullmatch(r"\D+\d+(弄\d+)?号").all()
    assert known["JGNF"].between(1900, 2024).all()


def test_the_terrain_is_a_plain_with_a_creek_and_its_sheets_agree(extract, plan):
    tiles = []
    for path in sorted(extract.glob("dem/*.tif")):
        with rasterio.open(path) as data:
            assert data.nodata == -9999.0
            tiles.append((data.bounds, data.read(1)))
    (west, left), (east, right) = tiles
    shared = round((west.right - east.left) / 5)
    assert shared >= 20
    np.testing.assert_array_equal(left[:, -shared:], right[:, :shared])
    land = left[left > -9999]
    assert (left == -9999).any()
    assert 2.5 < np.median(land) < 5.5
    assert np.percentile(right[right > -9999], 1) < 0.5


def test_the_project_file_states_what_cannot_be_guessed(extract):
    project = tomllib.loads((extract / "twin.toml").read_text(encoding="utf-8"))
    assert project["project"]["working_crs"] == "EPSG:4549"
    assert project["project"]["geoid_undulation_m"] == 10.9
    assert [rule["from"] for rule in project["source"][0]["height"]] == ["attribute", "storeys"]
    assert sorted(extract.glob(project["source"][0]["path"]))
    assert sorted(extract.glob(project["source"][0]["ground"][0]["raster"]))
