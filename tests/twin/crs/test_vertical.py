"""Vertical datums and undulations: nothing passes unchanged in silence."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from twin.crs.vertical import ELLIPSOID, Undulation, check_undulation, parse_vertical, to_ellipsoid
from twin.errors import CrsError


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("EPSG:5737", 5737), ("5737", 5737), ("H85", 5737), ("1985", 5737), ("Yellow Sea 1985 height", 5737),
        ("1985国家高程基准", 5737),
        ("EPSG:5736", 5736), ("H56", 5736), ("1956", 5736), ("NAP", 5709), ("EPSG:5709", 5709), ("EPSG:7415", 5709),
        ("EPSG:4490+5737", 5737),
        ("EGM96", 5773), ("egm2008", 3855), ("RH2000", 5613), ("NAVD88", 5703), ("N2000 height", 3900),
    ],
)  # fmt: skip
def test_sea_level_datums_are_known_by_code_and_by_name(text: str, code: int) -> None:
    datum = parse_vertical(text)
    assert (datum.code, datum.is_ellipsoidal) == (code, False)
    assert str(code) in str(datum)


@pytest.mark.parametrize("text", ["ellipsoid", "Ellipsoidal", "大地高", "EPSG:4979", "EPSG:4480"])
def test_ellipsoidal_heights_are_known_as_such(text: str) -> None:
    assert parse_vertical(text) == ELLIPSOID


@pytest.mark.parametrize(
    "text", ["", "FILL-ME: the datum", "sea level", "EPSG:4549", "EPSG:999999", "EPSG:5831", "4326"]
)
def test_what_is_no_height_datum_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(CrsError) as refusal:
        parse_vertical(text)
    assert refusal.value.next_step


def test_a_sea_level_datum_without_undulation_stops_with_the_key_to_write() -> None:
    with pytest.raises(CrsError, match="Yellow Sea 1985") as refusal:
        to_ellipsoid([4.0], [121.4], [31.2], "EPSG:5737")
    assert "geoid_undulation_m" in refusal.value.next_step


def test_ellipsoidal_heights_with_an_undulation_stop_because_it_would_count_twice() -> None:
    with pytest.raises(CrsError, match="twice"):
        check_undulation(ELLIPSOID, Undulation.from_constant(10.9))


def test_ellipsoidal_heights_stay_as_they_are() -> None:
    np.testing.assert_array_equal(to_ellipsoid([4.0, -1.5], [0, 0], [0, 0], "ellipsoid"), [4.0, -1.5])


@given(st.floats(-100, 100), st.lists(st.floats(-500, 9000), min_size=1, max_size=9))
def test_a_constant_undulation_is_added_to_every_height(n: float, heights: list[float]) -> None:
    h = np.array(heights)
    out = to_ellipsoid(h, np.full(len(h), 121.4), np.full(len(h), 31.2), "H85", Undulation.from_constant(n))
    np.testing.assert_array_equal(out, h + n)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_heights_and_positions_that_are_no_numbers_are_refused(bad: float) -> None:
    undulation = Undulation.from_constant(10.9)
    for args in (([bad], [121.4], [31.2]), ([1.0], [bad], [31.2]), ([1.0], [121.4], [bad])):
        with pytest.raises(CrsError, match="not finite"):
            to_ellipsoid(*args, "H85", undulation)
    with pytest.raises(CrsError):
        Undulation.from_constant(bad)


def test_an_undulation_no_geoid_has_is_refused() -> None:
    with pytest.raises(CrsError, match="does not exist on Earth"):
        Undulation.from_constant(1090.0)


def test_an_undulation_is_a_number_or_a_grid_but_not_neither() -> None:
    with pytest.raises(CrsError, match="exactly one"):
        Undulation()


# grids


def _write(path: Path, values: np.ndarray, west: float, north: float, step: float, **profile: object) -> Path:
    """A grid whose first *node* is (west, north)."""
    settings = {"driver": "GTiff", "count": 1, "crs": "EPSG:4326", "dtype": "float64", **profile}
    transform = Affine(step, 0.0, west - step / 2, 0.0, -step, north + step / 2)
    with rasterio.open(
        path, "w", height=values.shape[0], width=values.shape[1], transform=transform, **settings
    ) as raster:
        raster.write(values, 1)
    return path


def _plane(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    return 3.0 + 0.5 * lon - 0.25 * lat


@pytest.fixture
def plane(tmp_path: Path) -> Undulation:
    lon, lat = np.meshgrid(np.arange(118, 124.01, 0.5), np.arange(34, 28.99, -0.5))
    return Undulation.from_grid(_write(tmp_path / "plane.tif", _plane(lon, lat), 118.0, 34.0, 0.5))


def test_a_plane_is_reproduced_exactly_between_the_nodes(plane: Undulation) -> None:
    rng = np.random.default_rng(1)
    lon, lat = rng.uniform(118, 124, 500), rng.uniform(29, 34, 500)
    np.testing.assert_allclose(plane.at(lon, lat), _plane(lon, lat), rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        plane.at([118.0, 124.0], [29.0, 34.0]), _plane(np.array([118.0, 124.0]), np.array([29.0, 34.0]))
    )


def test_longitudes_may_be_written_either_way(plane: Undulation) -> None:
    np.testing.assert_allclose(
        plane.at([121.4 - 360, 121.4 + 360], [31.2, 31.2]), plane.at([121.4, 121.4], [31.2, 31.2]), atol=1e-11
    )


@pytest.mark.parametrize("place", [(117.0, 31.0), (125.0, 31.0), (121.0, 34.6), (121.0, 28.0), (-60.0, 31.0)])
def test_a_point_outside_the_grid_is_refused_with_the_file_and_what_it_covers(
    plane: Undulation, place: tuple[float, float]
) -> None:
    with pytest.raises(CrsError, match=r"plane\.tif.*outside the geoid grid.*118\.000 to 124\.000"):
        to_ellipsoid([1.0], [place[0]], [place[1]], "H85", plane)


@pytest.mark.parametrize("first", [-180.0, 0.0])
def test_a_global_grid_has_no_seam(tmp_path: Path, first: float) -> None:
    lon, lat = np.meshgrid(first + np.arange(0, 360, 1.0), np.arange(90, -90.01, -1.0))
    values = 20 * np.sin(np.radians(lon)) * np.cos(np.radians(lat))
    grid = Undulation.from_grid(_write(tmp_path / "globe.tif", values, first, 90.0, 1.0))
    rng = np.random.default_rng(2)
    lon, lat = (
        np.concatenate([rng.uniform(-180, 360, 2000), [-180, 180, 179.999, 359.999, 0, -0.001, 5]]),
        np.append(rng.uniform(-90, 90, 2006), 90.0),
    )
    expected = 20 * np.sin(np.radians(lon)) * np.cos(np.radians(lat))
    np.testing.assert_allclose(grid.at(lon, lat), expected, rtol=0, atol=0.01)


def test_no_data_is_nan_where_it_counts_only_and_stops_a_conversion(tmp_path: Path) -> None:
    values = np.ones((4, 4))
    values[0, 0] = -32767.0
    grid = Undulation.from_grid(_write(tmp_path / "hole.tif", values, 100.0, 40.0, 1.0, nodata=-32767.0))
    found = grid.at([100.5, 101.0, 101.5, 100.0], [39.5, 39.0, 38.5, 39.0])
    np.testing.assert_array_equal(found, [np.nan, 1.0, 1.0, 1.0])
    with pytest.raises(CrsError, match=r"hole\.tif.*no data at 1 points"):
        to_ellipsoid([0.0, 0.0], [100.5, 102.0], [39.5, 38.0], "H85", grid)


def test_a_grid_larger_than_one_block_is_read_piece_by_piece_to_the_same_values(tmp_path: Path) -> None:
    lon, lat = np.meshgrid(100 + np.arange(700) * 0.01, 40 - np.arange(600) * 0.01)
    grid = Undulation.from_grid(_write(tmp_path / "fine.tif", _plane(lon, lat), 100.0, 40.0, 0.01))
    rng = np.random.default_rng(5)
    x, y = rng.uniform(100, 106.99, 5000), rng.uniform(34.01, 40, 5000)
    np.testing.assert_allclose(grid.at(x, y), _plane(x, y), rtol=0, atol=1e-10)


def test_a_grid_survives_pickling_and_notices_a_new_file(tmp_path: Path) -> None:
    path = _write(tmp_path / "g.tif", np.full((3, 3), 1.0), 100.0, 40.0, 1.0)
    grid = pickle.loads(pickle.dumps(Undulation.from_grid(path)))
    assert grid.at(101.0, 39.0)[0] == 1.0
    path.unlink()
    _write(path, np.full((3, 3), 2.0), 100.0, 40.0, 1.0)
    assert Undulation.from_grid(path).at(101.0, 39.0)[0] == 2.0


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"crs": "EPSG:4549"}, "longitude and latitude"),
        ({"west": 5e5, "north": 3e6, "crs": None}, "degrees of latitude"),
    ],
)
def test_a_grid_that_is_not_in_degrees_is_refused(tmp_path: Path, change: dict, word: str) -> None:
    arguments = {"west": 100.0, "north": 40.0, "step": 1.0, **change}
    path = _write(tmp_path / "g.tif", np.ones((3, 3)), **arguments)
    with pytest.raises(CrsError, match=word):
        Undulation.from_grid(path)


def test_a_file_that_is_missing_or_no_raster_is_named(tmp_path: Path) -> None:
    with pytest.raises(CrsError, match=r"nowhere\.tif"):
        Undulation.from_grid(tmp_path / "nowhere.tif")
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"not a raster")
    with pytest.raises(CrsError, match=r"broken\.tif"):
        Undulation.from_grid(broken)
