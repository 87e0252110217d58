"""The local frame against PROJ's geocentric conversion, and the polynomial projector against PROJ."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.crs.frame import EnuProjector, LocalFrame, ecef_to_geodetic, geodetic_to_ecef
from twin.crs.reference import parse_crs
from twin.errors import CrsError

CHINA = json.loads((Path(__file__).parent / "data" / "crs_china.json").read_text("utf-8"))
FRAME = LocalFrame(121.424, 31.2203, 15.0)
DISTRICT = (625_000.0, 3_448_000.0, 641_000.0, 3_462_000.0)
TO_ECEF = pyproj.Transformer.from_crs(4979, 4978, always_xy=True)

LON, LAT, HEIGHT = st.floats(-180, 180), st.floats(-90, 90), st.floats(-500, 9000)


@pytest.mark.parametrize("vector", CHINA["vectors"], ids=lambda vector: vector["name"])
def test_geocentric_coordinates_agree_with_the_vectors(vector: dict) -> None:
    xyz = geodetic_to_ecef(vector["lon"], vector["lat"], vector["h"])
    np.testing.assert_allclose(xyz, [vector["EPSG:4978(WGS84)"]], rtol=0, atol=1e-4)


@given(LON, LAT, HEIGHT)
def test_geocentric_coordinates_agree_with_proj_and_turn_back(lon: float, lat: float, h: float) -> None:
    xyz = geodetic_to_ecef(lon, lat, h)
    np.testing.assert_allclose(xyz, [TO_ECEF.transform(lon, lat, h)], rtol=0, atol=1e-7)
    np.testing.assert_allclose(geodetic_to_ecef(*ecef_to_geodetic(xyz)), xyz, rtol=0, atol=1e-8)
    assert abs(ecef_to_geodetic(xyz)[2][0] - h) < 1e-8


@given(LON, st.floats(-89, 89), HEIGHT)
def test_a_frame_is_a_rigid_motion_with_east_north_up_axes(lon: float, lat: float, h: float) -> None:
    frame = LocalFrame(lon, lat, h)
    matrix = np.array(frame.matrix).reshape(4, 4).T
    np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-14)
    assert np.linalg.det(matrix[:3, :3]) > 0
    np.testing.assert_allclose(matrix[:3, 3], TO_ECEF.transform(lon, lat, h), rtol=0, atol=1e-7)
    np.testing.assert_array_equal(matrix[3], [0, 0, 0, 1])
    local = frame.from_lonlat([lon, lon + 1e-4, lon, lon], [lat, lat, lat + 1e-4, lat], [h, h, h, h + 10])
    np.testing.assert_allclose(local[0], 0, atol=1e-8)
    assert local[1, 0] > 0
    assert abs(local[1, 1]) < 0.01
    assert local[2, 1] > 10
    assert abs(local[2, 0]) < 1e-6
    np.testing.assert_allclose(local[3], [0, 0, 10], atol=1e-8)


def test_the_matrix_takes_the_frame_to_geocentric_coordinates_and_back() -> None:
    local = np.random.default_rng(0).uniform(-20_000, 20_000, (100, 3))
    matrix = np.array(FRAME.matrix).reshape(4, 4).T
    ecef = FRAME.to_ecef(local)
    np.testing.assert_allclose(local @ matrix[:3, :3].T + matrix[:3, 3], ecef, rtol=0, atol=1e-8)
    np.testing.assert_allclose(FRAME.from_ecef(ecef), local, rtol=0, atol=2e-8)
    np.testing.assert_allclose(FRAME.from_lonlat(*FRAME.to_lonlat(local)), local, rtol=0, atol=2e-8)


@pytest.mark.parametrize("where", [(np.nan, 0.0, 0.0), (0.0, 91.0, 0.0), (0.0, 0.0, np.inf)])
def test_a_frame_must_stand_on_the_earth(where: tuple[float, float, float]) -> None:
    with pytest.raises(CrsError):
        LocalFrame(*where)


def _by_proj(code: str, x: np.ndarray, y: np.ndarray, h: np.ndarray, frame: LocalFrame) -> np.ndarray:
    """ENU through PROJ alone; CGCS2000 and WGS 84 are one here, their ellipsoids differ by 0.1 mm."""
    lon, lat = pyproj.Transformer.from_crs(code, 4326, always_xy=True).transform(x, y)
    ecef = np.column_stack(TO_ECEF.transform(lon, lat, h))
    return (ecef - frame.origin) @ frame.rotation


@pytest.mark.parametrize(
    ("code", "bounds", "origin"),
    [
        ("EPSG:4549", DISTRICT, (121.424, 31.2203)),
        ("EPSG:4528", (40_625_000.0, 3_448_000.0, 40_641_000.0, 3_462_000.0), (121.424, 31.2203)),
        ("EPSG:4326", (121.3, 31.1, 121.5, 31.3), (121.4, 31.2)),
        ("EPSG:32651", (200_000.0, 3_300_000.0, 500_000.0, 3_700_000.0), (121.4, 31.2)),
        ("EPSG:3857", (13_480_000.0, 3_640_000.0, 13_540_000.0, 3_680_000.0), (121.4, 31.2)),
        ("EPSG:32632", (440_000.0, 7_900_000.0, 470_000.0, 7_930_000.0), (8.0, 71.3)),
    ],
)
def test_the_polynomial_stays_within_its_tolerance_of_proj(
    code: str, bounds: tuple[float, ...], origin: tuple[float, float]
) -> None:
    rng = np.random.default_rng(7)
    n = 20_000
    frame = LocalFrame(*origin)
    projector = EnuProjector(parse_crs(code), frame, bounds)  # type: ignore[arg-type]
    x, y, h = rng.uniform(bounds[0], bounds[2], n), rng.uniform(bounds[1], bounds[3], n), rng.uniform(-500, 9000, n)
    x[:4], y[:4] = np.array(bounds)[[0, 0, 2, 2]], np.array(bounds)[[1, 3, 1, 3]]
    assert not projector.is_exact
    assert projector.surface is not None
    assert projector.surface.residual_m <= 0.00025
    deviation = np.linalg.norm(projector.project(x, y, h) - _by_proj(code, x, y, h, frame), axis=1)
    assert deviation.max() <= 0.0005


@settings(max_examples=10, deadline=None)
@given(st.floats(120.2, 121.3), st.floats(27.0, 45.0), st.floats(100, 40_000))
def test_the_tolerance_holds_wherever_the_district_lies(lon: float, lat: float, size: float) -> None:
    crs, frame = parse_crs("EPSG:4549"), LocalFrame(lon, lat)
    x, y = pyproj.Transformer.from_crs(4490, 4549, always_xy=True).transform(lon, lat)
    projector = EnuProjector(crs, frame, (x - size, y - size, x + size, y + size))
    grid = np.linspace(-size, size, 23)
    dx, dy = (axis.ravel() for axis in np.meshgrid(grid, grid))
    h = np.linspace(-100, 3000, len(dx))
    assert (
        np.abs(projector.project(x + dx, y + dy, h) - _by_proj("EPSG:4549", x + dx, y + dy, h, frame)).max() <= 0.0005
    )


def test_a_tighter_tolerance_is_met_too() -> None:
    projector = EnuProjector(parse_crs("4549"), FRAME, DISTRICT, tolerance_m=2e-8)
    x, y, h = np.array([630_123.4]), np.array([3_450_123.4]), np.array([50.0])
    assert np.abs(projector.project(x, y, h) - _by_proj("EPSG:4549", x, y, h, FRAME)).max() < 2e-8


def test_points_outside_the_bounds_and_undefined_ones_go_through_proj() -> None:
    projector = EnuProjector(parse_crs("4549"), FRAME, DISTRICT)
    x, y, h = np.array([400_000.0, 630_000.0, np.nan]), np.array([3_000_000.0, 3_450_000.0, 3_450_000.0]), np.zeros(3)
    out = projector.project(x, y, h)
    np.testing.assert_allclose(out[:2], _by_proj("EPSG:4549", x[:2], y[:2], h[:2], FRAME), rtol=0, atol=0.0005)
    assert not np.isfinite(out[2]).any()


def test_where_no_polynomial_passes_every_point_goes_through_proj() -> None:
    bounds = (-170.0, -80.0, 170.0, 80.0)
    projector = EnuProjector(parse_crs("4326"), FRAME, bounds)
    assert projector.is_exact
    x, y, h = np.array([-120.0, 121.4]), np.array([45.0, 31.2]), np.array([0.0, 5.0])
    np.testing.assert_allclose(projector.project(x, y, h), FRAME.from_lonlat(x, y, h), rtol=0, atol=1e-8)


def test_any_cut_into_blocks_and_any_copy_gives_the_same_bytes() -> None:
    rng = np.random.default_rng(3)
    x, y, h = rng.uniform(625_000, 641_000, 3001), rng.uniform(3_448_000, 3_462_000, 3001), rng.uniform(-10, 300, 3001)
    projector = EnuProjector(parse_crs("4549"), FRAME, DISTRICT)
    whole = projector.project(x, y, h)
    other = pickle.loads(pickle.dumps(projector))
    pieces = np.vstack([other.project(x[i : i + 77], y[i : i + 77], h[i : i + 77]) for i in range(0, 3001, 77)])
    assert whole.tobytes() == pieces.tobytes()
    order = rng.permutation(3001)
    assert projector.project(x[order], y[order], h[order]).tobytes() == whole[order].tobytes()


def test_heights_move_points_along_the_ellipsoid_normal() -> None:
    projector = EnuProjector(parse_crs("4549"), FRAME, DISTRICT)
    low, high = (projector.project(638_000.0, 3_461_000.0, h) for h in (0.0, 1000.0))
    assert np.linalg.norm(high - low) == pytest.approx(1000.0, abs=1e-4)


def test_longitude_and_latitude_turn_back_into_coordinates() -> None:
    projector = EnuProjector(parse_crs("4549"), FRAME, DISTRICT)
    vector = CHINA["vectors"][0]
    x, y = projector.from_lonlat(vector["lon"], vector["lat"])
    assert (x[0], y[0]) == (
        pytest.approx(vector["EPSG:4549"]["E"], abs=1e-3),
        pytest.approx(vector["EPSG:4549"]["N"], abs=1e-3),
    )
    lon, lat = projector.lonlat(x, y)
    np.testing.assert_allclose([lon[0], lat[0]], [vector["lon"], vector["lat"]], rtol=0, atol=1e-10)


@pytest.mark.parametrize("bounds", [(0.0, 0.0, np.nan, 1.0), (1.0, 0.0, 0.0, 1.0), (np.inf, 0.0, np.inf, 1.0)])
def test_bounds_that_are_none_are_refused(bounds: tuple[float, float, float, float]) -> None:
    with pytest.raises(CrsError, match="bounds"):
        EnuProjector(parse_crs("4549"), FRAME, bounds)


def test_a_single_point_is_a_fine_extent() -> None:
    projector = EnuProjector(parse_crs("4549"), FRAME, (630_000.0, 3_450_000.0, 630_000.0, 3_450_000.0))
    args = np.array([630_000.0]), np.array([3_450_000.0]), np.array([4.0])
    np.testing.assert_allclose(projector.project(*args), _by_proj("EPSG:4549", *args, FRAME), rtol=0, atol=0.0005)


def test_web_map_systems_and_unlinked_datums_have_no_projector() -> None:
    with pytest.raises(CrsError, match="GCJ-02"):
        EnuProjector(parse_crs("gcj02"), FRAME, (121.0, 31.0, 121.5, 31.5))
    with pytest.raises(CrsError, match="Xian 1980"):
        EnuProjector(parse_crs("2385"), FRAME, DISTRICT)
