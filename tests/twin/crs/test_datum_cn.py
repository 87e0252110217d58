"""GCJ-02 and BD-09 against published vectors and against their own inverse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.crs import datum_cn
from twin.crs.reference import horizontal, parse_crs

VECTORS = json.loads((Path(__file__).parent / "data" / "gcj_bd.json").read_text("utf-8"))["vectors_gcoord"]
TENTH_OF_A_MICROMETRE_DEG = 1e-7 / 111_320


def _points(key: str) -> np.ndarray:
    return np.array([vector[key] for vector in VECTORS])


@pytest.mark.parametrize("key", ["gcj02", "bd09"])
def test_both_systems_agree_with_the_vectors_both_ways(key: str) -> None:
    forward = getattr(datum_cn, f"wgs84_to_{key}")
    inverse = getattr(datum_cn, f"{key}_to_wgs84")
    np.testing.assert_allclose(forward(_points("wgs84")), _points(key), rtol=0, atol=3e-14)
    np.testing.assert_allclose(inverse(_points(key)), _points("wgs84"), rtol=0, atol=TENTH_OF_A_MICROMETRE_DEG)


def test_bd09_and_gcj02_turn_into_each_other() -> None:
    np.testing.assert_allclose(datum_cn.gcj02_to_bd09(_points("gcj02")), _points("bd09"), rtol=0, atol=3e-14)
    np.testing.assert_allclose(
        datum_cn.bd09_to_gcj02(_points("bd09")), _points("gcj02"), rtol=0, atol=TENTH_OF_A_MICROMETRE_DEG
    )


CHINA_LON, CHINA_LAT = st.floats(73.0, 137.0), st.floats(2.0, 55.0)


@given(CHINA_LON, CHINA_LAT)
def test_the_inverse_undoes_the_distortion_to_a_micrometre_cusp_included(lon: float, lat: float) -> None:
    there = np.array([[lon, lat]])
    for name in ("gcj02", "bd09"):
        back = getattr(datum_cn, f"{name}_to_wgs84")(getattr(datum_cn, f"wgs84_to_{name}")(there))
        np.testing.assert_allclose(back, there, rtol=0, atol=10 * TENTH_OF_A_MICROMETRE_DEG)


def test_in_shanghai_the_inverse_is_good_to_a_tenth_of_a_micrometre() -> None:
    lon, lat = (grid.ravel() for grid in np.meshgrid(np.linspace(120.8, 122.2, 60), np.linspace(30.6, 31.9, 60)))
    there = np.column_stack([lon, lat])
    back = datum_cn.bd09_to_wgs84(datum_cn.wgs84_to_bd09(there))
    np.testing.assert_allclose(back, there, rtol=0, atol=TENTH_OF_A_MICROMETRE_DEG)


@given(st.floats(-180, 60), st.floats(-85, 85))
def test_points_far_outside_china_are_never_moved(lon: float, lat: float) -> None:
    there = np.array([[lon, lat]])
    assert (datum_cn.wgs84_to_gcj02(there) == there).all()
    assert (datum_cn.gcj02_to_wgs84(there) == there).all()


def test_points_do_not_influence_each_other_and_nan_stays_nan() -> None:
    many = np.vstack([_points("wgs84"), [[np.nan, np.nan]]])
    together = datum_cn.wgs84_to_bd09(many)
    alone = np.vstack([datum_cn.wgs84_to_bd09(row[None]) for row in many])
    np.testing.assert_array_equal(together, alone)
    assert np.isnan(together[-1]).all()


@pytest.mark.parametrize("key", ["gcj02", "bd09"])
def test_a_web_map_source_reaches_the_working_crs(key: str) -> None:
    working = parse_crs("EPSG:4549")
    rows = slice(0, 4)  # those in and near Shanghai
    expected = horizontal(parse_crs("EPSG:4326"), working)(_points("wgs84")[rows])
    np.testing.assert_allclose(horizontal(parse_crs(key), working)(_points(key)[rows]), expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(horizontal(working, parse_crs(key))(expected), _points(key)[rows], rtol=0, atol=1e-12)
