"""Promises of the raster mosaic: exact statistics on any layout of sheets, and no answer where there is no data."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given
from hypothesis import strategies as st
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

from twin.errors import CrsError, MisuseError, SourceError
from twin.sources import raster as raster_module
from twin.sources.cells import cells_inside, cells_touched, outlines
from twin.sources.raster import RasterMosaic

CRS = "EPSG:4549"
X, Y = 635_000.0, 3_456_000.0


def write(path: Path, cells, west=X, north=Y, cell=1.0, nodata=None, crs=CRS, transform=None, driver="GTiff") -> Path:
    cells = np.asarray(cells)
    with rasterio.open(
        path, "w", driver=driver, width=cells.shape[1], height=cells.shape[0], count=1, dtype=cells.dtype, crs=crs,
        transform=transform or Affine(cell, 0, west, 0, -cell, north), nodata=nodata,
    ) as out:  # fmt: skip
        out.write(cells, 1)
    return path


def plane(shape, west=X, north=Y, cell=1.0) -> np.ndarray:
    """Elevation that is linear in x and y, so that bilinear values are exact."""
    row, column = np.mgrid[0 : shape[0], 0 : shape[1]]
    x, y = west + (column + 0.5) * cell, north - (row + 0.5) * cell
    return (0.5 * (x - X) - 0.25 * (y - Y)).astype("float64")


def boxes(*corners) -> np.ndarray:
    return np.array([shapely.box(X + a, Y - d, X + c, Y - b) for a, b, c, d in corners], dtype=object)


@pytest.fixture
def ramp(tmp_path) -> RasterMosaic:
    return RasterMosaic.open([write(tmp_path / "ramp.tif", plane((200, 300)))])


def test_known_cells_give_exact_statistics(tmp_path):
    cells = np.zeros((10, 10), "float32")
    cells[2:5, 3:7] = np.arange(12).reshape(3, 4)
    mosaic = RasterMosaic.open([write(tmp_path / "a.tif", cells)])
    found = mosaic.zonal(boxes((3, 2, 7, 5)), CRS, ["lowest", "median", 75, 100.0])
    assert found.values.tolist() == [[0.0, 5.5, 8.25, 11.0]]
    assert found.pixels.tolist() == [12]
    assert found.outside.tolist() == [False]


def test_percentiles_are_those_of_numpy(ramp):
    rng = np.random.default_rng(5)
    shape = np.array(
        [shapely.Point(X + x, Y - y).buffer(r) for x, y, r in rng.uniform((30, 30, 2), (250, 150, 25), (60, 3))]
    )
    found = ramp.zonal(shape, CRS, [10, 50, 90])
    row, column = np.mgrid[0:200, 0:300]
    point = shapely.points(X + column.ravel() + 0.5, Y - row.ravel() - 0.5)
    value = plane((200, 300)).ravel()
    for number, one in enumerate(shape):
        inside = value[shapely.contains(one, point)]
        assert found.pixels[number] == len(inside)
        np.testing.assert_allclose(found.values[number], np.percentile(inside, [10, 50, 90]), rtol=1e-12)


def test_an_inset_keeps_the_cells_at_the_walls_out(tmp_path):
    cells = np.full((20, 20), 3.0)
    cells[5:15, 5:15] = 30.0
    cells[6:14, 6:14] = 20.0
    mosaic = RasterMosaic.open([write(tmp_path / "a.tif", cells)])
    assert mosaic.zonal(boxes((5, 5, 15, 15)), CRS, [100], inset_m=1.0).values.tolist() == [[20.0]]
    assert mosaic.zonal(boxes((5, 5, 15, 15)), CRS, [100]).values.tolist() == [[30.0]]


def test_a_footprint_shrunk_to_nothing_is_used_whole(ramp):
    shape = boxes((10, 10, 12, 12))
    assert ramp.zonal(shape, CRS, ["median"], inset_m=5.0).values == ramp.zonal(shape, CRS, ["median"]).values


def test_a_footprint_that_holds_no_cell_centre_takes_the_cells_it_touches(tmp_path):
    mosaic = RasterMosaic.open([write(tmp_path / "a.tif", np.arange(100, dtype="int16").reshape(10, 10))])
    found = mosaic.zonal(boxes((3.6, 4.6, 4.4, 4.9)), CRS, ["lowest", 100])
    assert found.values.tolist() == [[43.0, 44.0]]
    assert found.pixels.tolist() == [2]


def test_the_share_of_a_footprint_that_has_data_is_told(tmp_path):
    cells = np.full((20, 20), 5.0)
    cells[10:15, 10:15] = -9999.0
    mosaic = RasterMosaic.open([write(tmp_path / "a.tif", cells, nodata=-9999.0)])
    inside, half_out, corner_out, over_the_hole, in_the_hole, far, small = (
        (0, 0, 5, 5), (-4, 2, 4, 6), (18, 18, 22, 22), (8, 8, 18, 18), (11, 11, 14, 14), (50, 50, 60, 60),
        (3.6, 4.6, 4.4, 4.9),
    )  # fmt: skip
    found = mosaic.zonal(boxes(inside, half_out, corner_out, over_the_hole, in_the_hole, far, small), CRS, ["lowest"])
    assert found.covered.tolist() == [1.0, 0.5, 0.25, 0.75, 0.0, 0.0, 1.0]
    assert np.isfinite(found.values[:, 0]).tolist() == [True, True, True, True, False, False, True]


def test_the_share_is_that_of_the_cell_centres_one_by_one(tmp_path):
    rng = np.random.default_rng(11)
    cells = np.where(rng.random((60, 90)) < 0.2, np.nan, 3.0)
    mosaic = RasterMosaic.open([write(tmp_path / "a.tif", cells, nodata=np.nan)])
    place = rng.uniform((-8, -8, 1), (98, 68, 20), (80, 3))
    shape = np.array([shapely.Point(X + x, Y - y).buffer(radius) for x, y, radius in place])
    found = mosaic.zonal(shape, CRS, ["median"])
    row, column = np.mgrid[-40:100, -40:130]
    data = np.zeros(row.shape, bool)
    data[40:100, 40:130] = np.isfinite(cells)
    point = shapely.points(X + column.ravel() + 0.5, Y - row.ravel() - 0.5)
    known = 0
    for number, one in enumerate(shape):
        inside = shapely.contains(one, point)
        if np.isfinite(found.values[number, 0]) and inside.any():
            assert found.covered[number] == pytest.approx(data.ravel()[inside].mean())
            known += 1
    assert known > 60


def test_sheets_that_meet_under_a_footprint_cover_it_together(tmp_path):
    whole = plane((40, 60))
    left = write(tmp_path / "a.tif", whole[:, :30])
    right = write(tmp_path / "b.tif", whole[:, 30:], west=X + 30)
    coarse = write(tmp_path / "c.tif", np.full((20, 20), 1.0), west=X + 60, cell=2.0)
    shape = boxes((20, 5, 40, 20), (50, 5, 70, 20), (90, 6, 110, 16), (25, 35, 35, 45))
    found = RasterMosaic.open([left, right, coarse]).zonal(shape, CRS, ["lowest"])
    assert found.covered.tolist() == [1.0, 1.0, 0.5, 0.5]
    assert RasterMosaic.open([left, coarse]).zonal(shape, CRS, ["lowest"]).covered.tolist() == pytest.approx(
        [0.5, 0.5, 0.5, 0.25], abs=0.04
    )


def test_the_share_of_a_vast_footprint_is_told_from_a_part_of_its_cells(tmp_path, monkeypatch):
    mosaic = RasterMosaic.open([write(tmp_path / "a.tif", plane((200, 300)))])
    monkeypatch.setattr(raster_module, "_CELLS_AT_ONCE", 500)
    found = mosaic.zonal(boxes((100, 0, 500, 200), (10, 10, 290, 190)), CRS, ["median"])
    assert found.covered.tolist() == [pytest.approx(0.5, abs=0.02), 1.0]


def test_a_tower_on_its_podium_takes_no_cells_from_it(ramp):
    podium, tower = boxes((10, 10, 50, 50), (20, 20, 30, 30))
    alone = [ramp.zonal(np.array([one]), CRS, ["lowest", "median"]).values[0] for one in (podium, tower)]
    together = ramp.zonal(np.array([podium, tower]), CRS, ["lowest", "median"])
    assert together.values.tolist() == np.array(alone).tolist()
    assert together.pixels.tolist() == [1600, 100]


def test_a_courtyard_is_not_part_of_its_building(tmp_path):
    cells = np.full((20, 20), 8.0)
    cells[8:12, 8:12] = -5.0
    mosaic = RasterMosaic.open([write(tmp_path / "a.tif", cells)])
    ring = shapely.difference(*boxes((4, 4, 16, 16), (8, 8, 12, 12)))
    found = mosaic.zonal(np.array([ring]), CRS, ["lowest"])
    assert (found.values[0, 0], found.pixels[0]) == (8.0, 144 - 16)


def test_outside_every_sheet_is_a_finding_and_not_a_zero(ramp):
    shape = np.array([*boxes((1000, 10, 1010, 20), (10, 10, 20, 20)), None, shapely.Polygon()], dtype=object)
    found = ramp.zonal(shape, CRS, ["median"])
    assert np.isnan(found.values[:, 0]).tolist() == [True, False, True, True]
    assert found.outside.tolist() == [True, False, True, True]
    assert found.pixels.tolist() == [0, 100, 0, 0]


def test_a_footprint_no_crs_can_express_is_outside(ramp):
    far = shapely.Polygon([(X + 10, Y - 20), (1e30, Y - 10), (X + 20, Y - 10)])
    lost = shapely.Polygon([(120.0, 31.0), (500.0, 400.0), (121.0, 30.0)])
    here = boxes((10, 10, 20, 20))[0]
    found = ramp.zonal(np.array([far, here]), CRS, ["median"])
    assert found.pixels[1] == 100
    assert ramp.zonal(np.array([lost]), "EPSG:4490", ["median"]).outside.tolist() == [True]


@pytest.mark.parametrize("nothing", [-9999.0, -32768.0, -3.4028234663852886e38, np.nan])
@pytest.mark.parametrize("tagged", [True, False])
def test_nodata_is_left_out_tagged_or_not(tmp_path, nothing, tagged):
    cells = np.full((20, 20), 5.0, "float32")
    cells[:, :10] = nothing
    path = write(tmp_path / "a.tif", cells, nodata=nothing if tagged else None)
    mosaic = RasterMosaic.open([path])
    found = mosaic.zonal(boxes((5, 5, 15, 15), (0, 0, 5, 5)), CRS, ["lowest"])
    assert found.values[0, 0] == 5.0
    assert found.pixels.tolist() == [50, 0]
    assert np.isnan(found.values[1, 0])
    assert not found.outside[1]
    silent = tagged or np.isnan(nothing)
    assert [issue.code for issue in mosaic.notes] == ([] if silent else ["raster_nodata_untagged"])


def test_scale_and_offset_of_the_file_are_applied(tmp_path):
    path = write(tmp_path / "cm.tif", np.full((5, 5), 1234, "int16"))
    with rasterio.open(path, "r+") as data:
        data.scales, data.offsets = (0.01,), (2.0,)
    mosaic = RasterMosaic.open([path])
    np.testing.assert_allclose(mosaic.zonal(boxes((0, 0, 5, 5)), CRS, ["median"]).values, 14.34)


def test_where_sheets_overlap_the_first_with_data_counts(tmp_path):
    first = np.full((10, 10), 1.0)
    first[:, 8:] = -9999
    write(tmp_path / "a.tif", first, nodata=-9999)
    write(tmp_path / "b.tif", np.full((10, 10), 2.0), west=X + 5)
    shape = boxes((0, 0, 15, 10), (5, 0, 8, 10), (8, 0, 10, 10))
    for order in (["a.tif", "b.tif"], ["b.tif", "a.tif", "b.tif"]):
        found = RasterMosaic.open([tmp_path / name for name in order]).zonal(shape, CRS, ["lowest", 100])
        assert found.values.tolist() == [[1, 2], [1, 1], [2, 2]]
        assert found.pixels.tolist() == [150, 30, 20]


def test_a_mosaic_of_pieces_answers_like_the_whole(tmp_path, ramp):
    for number, (top, left) in enumerate([(0, 0), (0, 140), (90, 0), (90, 140)]):
        piece = plane((200, 300))[top : top + 110, left : left + 160]
        write(tmp_path / f"piece{number}.tif", piece, west=X + left, north=Y - top)
    pieces = RasterMosaic.open(sorted(tmp_path.glob("piece*.tif")))
    rng = np.random.default_rng(2)
    at = rng.uniform((0, 0), (280, 180), (300, 2))
    shape = boxes(*np.column_stack([at, at + rng.uniform(1, 20, (300, 2))]))
    one, many = ramp.zonal(shape, CRS, ["lowest", "median"]), pieces.zonal(shape, CRS, ["lowest", "median"])
    np.testing.assert_array_equal(one.values, many.values)
    np.testing.assert_array_equal(one.pixels, many.pixels)
    x, y = X + at[:, 0], Y - at[:, 1]
    np.testing.assert_allclose(pieces.sample(x, y), ramp.sample(x, y), atol=1e-9)
    assert pieces.bounds == ramp.bounds == (X, Y - 200, X + 300, Y)


def test_sheets_of_different_cell_size_and_crs_join(tmp_path):
    write(tmp_path / "a.tif", np.full((100, 100), 4.0))
    write(tmp_path / "b.tif", np.full((10, 10), 4.0), west=X + 100, cell=10.0)
    # the same ground seen from the zone-numbered CRS: 40 million metres further east
    write(tmp_path / "c.tif", np.full((100, 100), 4.0), west=X + 200 + 40e6 - 0, crs="EPSG:4528")
    mosaic = RasterMosaic.open(tmp_path.glob("*.tif"))
    shape = boxes((95, 40, 125, 60), (240, 40, 250, 50))
    found = mosaic.zonal(shape, CRS, ["lowest", 100])
    assert found.values.tolist() == [[4, 4], [4, 4]]
    assert found.pixels.tolist() == [100 + 2 * 2, 100]
    assert mosaic.bounds == pytest.approx((X, Y - 100, X + 300, Y), abs=1e-3)
    assert [issue.code for issue in mosaic.notes] == ["raster_crs_differs"]


def test_a_turned_raster_is_read_where_it_lies(tmp_path):
    cos, sin = 2 * np.cos(0.5), 2 * np.sin(0.5)
    turned = Affine(cos, sin, X, sin, -cos, Y)
    cells = np.arange(400, dtype="float64").reshape(20, 20)
    mosaic = RasterMosaic.open([write(tmp_path / "a.tif", cells, transform=turned)])
    x, y = X + 7.5 * cos + 11.5 * sin, Y + 7.5 * sin - 11.5 * cos
    assert mosaic.sample(np.array([x]), np.array([y])).tolist() == pytest.approx([cells[11, 7]])
    assert mosaic.zonal(np.array([shapely.Point(x, y).buffer(0.5)]), CRS, ["median"]).values[0, 0] == cells[11, 7]


def test_bilinear_values_of_a_plane_are_exact(ramp):
    rng = np.random.default_rng(0)
    x, y = X + rng.uniform(0.5, 299.5, 500), Y - rng.uniform(0.5, 199.5, 500)
    np.testing.assert_allclose(ramp.sample(x, y), 0.5 * (x - X) - 0.25 * (y - Y), atol=1e-9)
    assert np.isnan(ramp.sample(np.array([X - 1]), np.array([Y - 1]))).all()


@given(st.permutations(range(12)))
def test_row_order_does_not_matter(tmp_path_factory, order):
    folder = tmp_path_factory.getbasetemp() / "order"
    if not folder.exists():
        folder.mkdir()
        write(folder / "a.tif", plane((60, 60)))
    mosaic = RasterMosaic.open([folder / "a.tif"])
    shape = boxes(*[(k, 2 * k, k + 9, 2 * k + 8) for k in range(12)])
    straight = mosaic.zonal(shape, CRS, ["lowest", 40], inset_m=1.0)
    mixed = mosaic.zonal(shape[list(order)], CRS, ["lowest", 40], inset_m=1.0)
    np.testing.assert_array_equal(mixed.values, straight.values[list(order)])


def test_batches_change_nothing_but_memory(ramp, monkeypatch):
    rng = np.random.default_rng(3)
    at = rng.uniform((0, 0), (270, 170), (400, 2))
    shape = boxes(*np.column_stack([at, at + rng.uniform(1, 25, (400, 2))]))
    once = ramp.zonal(shape, CRS, ["lowest", "median"])
    monkeypatch.setattr(raster_module, "_CELLS_AT_ONCE", 1000)
    often = ramp.zonal(shape, CRS, ["lowest", "median"])
    np.testing.assert_array_equal(once.values, often.values)
    np.testing.assert_array_equal(once.pixels, often.pixels)


def test_a_footprint_too_large_for_memory_is_sampled_evenly(ramp, monkeypatch):
    monkeypatch.setattr(raster_module, "_CELLS_AT_ONCE", 1000)
    small, large = boxes((10, 10, 15, 15), (0, 0, 300, 200))
    found = ramp.zonal(np.array([small, large]), CRS, ["median"])
    assert found.pixels[0] == 25
    assert 1000 < found.pixels[1] <= 4500
    assert found.values[1, 0] == pytest.approx(np.median(plane((200, 300))), abs=2.0)


def test_a_mosaic_goes_to_another_process(ramp):
    shape = boxes((10, 10, 20, 20))
    again = pickle.loads(pickle.dumps(ramp))
    assert again.zonal(shape, CRS, ["median"]).values == ramp.zonal(shape, CRS, ["median"]).values


def test_footprints_in_degrees_are_found_on_a_raster_in_metres(ramp):
    from pyproj import Transformer

    shape = boxes((10, 10, 40, 40))
    to_degrees = Transformer.from_crs(CRS, "EPSG:4490", always_xy=True)
    degrees = shapely.transform(shape, lambda p: np.column_stack(to_degrees.transform(p[:, 0], p[:, 1])))
    there, back = ramp.zonal(shape, CRS, ["median"]), ramp.zonal(degrees, "EPSG:4490", ["median"])
    assert abs(back.values[0, 0] - there.values[0, 0]) < 0.1
    with pytest.raises(CrsError, match="projected"):
        ramp.zonal(degrees, "EPSG:4490", ["median"], inset_m=1.0)


def test_a_sheet_without_a_crs_stops_with_what_to_write(tmp_path):
    path = write(tmp_path / "a.tif", np.ones((3, 3)), crs=None)
    with pytest.raises(CrsError, match="raster_crs") as caught:
        RasterMosaic.open([path])
    assert str(path) in str(caught.value)
    assert RasterMosaic.open([path], crs=CRS).crs == CRS


def test_what_is_no_raster_is_refused_by_name(tmp_path):
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"II*\0 not really")
    plain = tmp_path / "plain.png"
    with pytest.warns(NotGeoreferencedWarning):
        write(plain, np.ones((2, 2), "uint8"), crs=None, transform=Affine.identity(), driver="PNG")
    for path, words in (
        (broken, "cannot be read"),
        (plain, "not georeferenced"),
        (tmp_path / "none.tif", "cannot be read"),
    ):
        with pytest.raises(SourceError, match=words) as caught:
            RasterMosaic.open([path], crs=CRS)
        assert caught.value.file == str(path)
    with pytest.raises(SourceError, match="no raster sheet"):
        RasterMosaic.open([])


def test_an_unknown_statistic_is_refused(ramp):
    for wrong in ("mean", 101, -1):
        with pytest.raises(MisuseError, match="statistic"):
            ramp.zonal(boxes((0, 0, 5, 5)), CRS, [wrong])


def test_a_proj_data_of_another_proj_does_not_disturb(tmp_path, monkeypatch):
    monkeypatch.setenv("PROJ_DATA", str(tmp_path))
    path = write(tmp_path / "a.tif", np.full((5, 5), 7.0))
    assert RasterMosaic.open([path]).zonal(boxes((0, 0, 5, 5)), CRS, ["median"]).values == 7.0


coordinate = st.integers(-20, 140).map(lambda n: n / 10)


@given(st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=9, unique=True))
def test_the_scanline_agrees_with_geos_on_every_cell_centre(points):
    shape = shapely.make_valid(shapely.Polygon(points))
    shape = shapely.union_all([part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"])
    lines = outlines(np.array([shape], dtype=object))
    _, row, column = cells_inside(lines, 12, 10)
    found = np.zeros((10, 12), bool)
    found[row, column] = True
    rows, columns = np.mgrid[0:10, 0:12]
    centre = shapely.points(columns + 0.5, rows + 0.5)
    clear = shapely.distance(shape.boundary, centre) > 1e-9
    np.testing.assert_array_equal(found[clear], shapely.contains(shape, centre)[clear])


@given(st.lists(st.tuples(coordinate, coordinate, coordinate, coordinate), max_size=6))
def test_two_footprints_that_share_a_wall_share_no_cell(walls):
    split = np.array([[x0, y0] for x0, y0, _, _ in walls] or [[3.0, 3.0]])
    middle = np.vstack([[6.0, -2.0], split[np.argsort(split[:, 1])], [6.0, 14.0]])
    left = shapely.Polygon(np.vstack([middle, [[-5, 14], [-5, -2]]]))
    right = shapely.Polygon(np.vstack([middle, [[20, 14], [20, -2]]]))
    if not (left.is_valid and right.is_valid):
        return
    lines = outlines(np.array([left, right], dtype=object))
    feature, row, column = cells_inside(lines, 12, 10)
    assert len(np.unique(row * 12 + column)) == len(feature) == 120


def test_touched_cells_are_those_the_outline_runs_through():
    lines = outlines(np.array([shapely.box(1.6, 2.1, 4.4, 2.4)], dtype=object))
    _, row, column = cells_touched(lines, 10, 10)
    assert sorted(zip(row.tolist(), column.tolist(), strict=True)) == [(2, 1), (2, 2), (2, 3), (2, 4)]


def test_undeclared_nodata_is_noticed_in_the_corner_of_a_large_sheet(tmp_path):
    cells = np.full((1500, 1200), 5.0, "float32")
    cells[1400:, 1100:] = -9999
    mosaic = RasterMosaic.open([write(tmp_path / "large.tif", cells)])
    assert [issue.code for issue in mosaic.notes] == ["raster_nodata_untagged"]
    found = mosaic.zonal(boxes((1090, 1390, 1110, 1410), (0, 0, 1200, 1500)), CRS, ["lowest"])
    assert found.values.tolist() == [[5.0], [5.0]]
    assert found.pixels.tolist() == [400 - 100, 1200 * 1500 - 100 * 100]


def test_bands_units_and_cell_sizes_are_noted(tmp_path):
    write(tmp_path / "a.tif", np.ones((4, 4)))
    path = write(tmp_path / "b.tif", np.ones((2, 2)), west=X + 4, cell=2.0)
    with rasterio.open(path, "r+") as data:
        data.units = ("ft",)
    notes = RasterMosaic.open(tmp_path.glob("*.tif")).notes
    assert [issue.code for issue in notes] == ["raster_unit", "raster_cell_sizes"]
    assert notes[0].source == str(path)
