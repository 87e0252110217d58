"""Rasters as agencies publish them: a 1 m surface and terrain model of Gothenburg, three 5 m sheets from Korea."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyogrio
import pytest
import rasterio
import shapely

from twin.modelling.heights import DsmRule, GroundDem, HeightContext, evaluate
from twin.sources.raster import RasterMosaic

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def goteborg(real_data):
    return real_data / "terrain" / "goteborg_dsm_dem"


@pytest.fixture(scope="module")
def footprints(goteborg):
    _, _, geometry, _ = pyogrio.raw.read(goteborg / "buildings.shp", columns=[])
    return shapely.make_valid(shapely.from_wkb(geometry))


@pytest.fixture(scope="module")
def korea(real_data):
    return sorted((real_data / "terrain" / "korea_dem_mosaic").glob("*.tif"))


def test_goteborg_heights_are_plausible_and_the_rest_is_accounted_for(goteborg, footprints):
    rasters = {name: RasterMosaic.open([goteborg / f"{name}_KRbig.tif"]) for name in ("DSM", "DEM")}
    context = HeightContext(crs="EPSG:3007", rasters=rasters)
    table = pa.table({"row": np.arange(len(footprints))})
    found = evaluate(table, footprints, [DsmRule("DSM", percentile=75, inset_m=1.0)], [GroundDem("DEM")], context)
    inside = shapely.intersects(footprints, shapely.box(*rasters["DEM"].bounds))
    assert len(footprints) == 137
    assert inside.sum() == 41
    known = np.isfinite(found.height_m)
    assert not known[~inside].any()
    assert [row for row, code in found.reasons if code == "ground_missing"] == np.flatnonzero(~inside).tolist()
    assert known.sum() >= 0.95 * inside.sum()
    assert (found.height_m[known] > 0.5).all()
    assert (found.height_m[known] < 40).all()
    assert 12 < np.median(found.height_m[known]) < 20
    assert set(found.source.to_pylist()) == {"dsm", None}


def test_goteborg_statistics_are_those_of_the_cells_inside(goteborg, footprints):
    mosaic = RasterMosaic.open([goteborg / "DSM_KRbig.tif"])
    with rasterio.open(goteborg / "DSM_KRbig.tif") as data:
        value = data.read(1).ravel().astype(float)
        west, north = data.bounds.left, data.bounds.top
        row, column = np.mgrid[0 : data.height, 0 : data.width]
    centre = shapely.points(west + column.ravel() + 0.5, north - row.ravel() - 0.5)
    tree = shapely.STRtree(centre)
    found = mosaic.zonal(footprints, "EPSG:3007", ["lowest", 75])
    for number, shape in enumerate(footprints):
        inside = value[tree.query(shape, predicate="contains")]
        if len(inside):
            assert found.pixels[number] == pytest.approx(len(inside), abs=1)
            assert found.values[number, 0] == pytest.approx(inside.min(), abs=0.5)


def test_the_text_grid_without_a_crs_answers_like_the_geotiff(goteborg, footprints):
    text = RasterMosaic.open([goteborg / "CDSM_KRbig.asc"], crs="EPSG:3007")
    tiff = RasterMosaic.open([goteborg / "CDSM_KRbig.tif"])
    one, other = (m.zonal(footprints, "EPSG:3007", ["median"], inset_m=1.0) for m in (text, tiff))
    np.testing.assert_allclose(one.values, other.values, atol=1e-3)
    np.testing.assert_array_equal(one.pixels, other.pixels)
    assert text.notes == tiff.notes == ()


def test_korean_sheets_agree_where_they_overlap_and_join_without_a_seam(korea):
    mosaic, single = RasterMosaic.open(korea[::-1]), [RasterMosaic.open([path]) for path in korea]
    assert mosaic.bounds == (245800.0, 222780.0, 252800.0, 225690.0)
    rng = np.random.default_rng(7)
    x, y = rng.uniform(248_000, 250_600, 20_000), rng.uniform(222_850, 225_650, 20_000)
    joined, alone = mosaic.sample(x, y), np.array([sheet.sample(x, y) for sheet in single])
    apart = np.isfinite(alone).sum(axis=0) == 1
    assert np.isfinite(joined[np.isfinite(alone).any(axis=0)]).all()
    np.testing.assert_array_equal(joined[apart], np.nansum(alone, axis=0)[apart])
    both = np.isfinite(alone).sum(axis=0) == 2
    assert both.sum() > 500
    spread = np.nanmax(alone[:, both], axis=0) - np.nanmin(alone[:, both], axis=0)
    assert np.percentile(spread, 80) == 0.0  # the sheets repeat each other; they differ where one ends in the half cell
    assert spread.max() < 5.0
    assert (np.abs(joined[both] - np.nanmin(alone[:, both], axis=0)) <= spread + 1e-9).all()


def test_footprints_across_a_korean_seam_take_each_cell_once(korea):
    mosaic = RasterMosaic.open(korea)
    y = np.arange(223_000.0, 225_500.0, 100.0)
    shape = shapely.box(248_100.0, y, 248_200.0, y + 60.0)
    found = mosaic.zonal(shape, "EPSG:5186", ["lowest", "median"])
    assert set(found.pixels.tolist()) == {20 * 12}
    assert np.isfinite(found.values).all()
    assert not found.outside.any()


def test_the_geoid_grid_reads_as_a_raster(real_data):
    grid = RasterMosaic.open([real_data / "terrain" / "geoid_egm96" / "us_nga_egm96_15.tif"], crs="EPSG:4326")
    assert grid.sample(np.array([121.424]), np.array([31.22]))[0] == pytest.approx(10.955, abs=0.01)
