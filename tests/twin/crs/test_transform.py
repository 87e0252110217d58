"""Horizontal transformations: the vectors of China, agreement with PROJ, and no ballpark in silence."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.crs.reference import base_geographic, horizontal, parse_crs, to_wgs84_lonlat
from twin.errors import CrsError

CHINA = json.loads((Path(__file__).parent / "data" / "crs_china.json").read_text("utf-8"))
LOCAL = "+proj=tmerc +lat_0=31.2 +lon_0=121.4 +x_0=500 +ellps=krass +units=m"


@pytest.mark.parametrize("vector", CHINA["vectors"], ids=lambda vector: vector["name"])
@pytest.mark.parametrize("code", ["EPSG:4549", "EPSG:4528", "EPSG:4510", "EPSG:4499", "EPSG:4550"])
@pytest.mark.parametrize("geographic", ["EPSG:4490", "EPSG:4326", "EPSG:4258"])
def test_the_zones_of_china_agree_with_the_vectors_both_ways(vector: dict, code: str, geographic: str) -> None:
    lonlat, xy = np.array([[vector["lon"], vector["lat"]]]), np.array([[vector[code]["E"], vector[code]["N"]]])
    there, back = horizontal(parse_crs(geographic), parse_crs(code)), horizontal(parse_crs(code), parse_crs(geographic))
    np.testing.assert_allclose(there(lonlat), xy, rtol=0, atol=CHINA["tolerance_m"])
    np.testing.assert_allclose(back(xy), lonlat, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("code", "lon", "lat"),
    [
        (28992, 4.37, 52.01),
        (2263, -73.94, 40.69),
        (5179, 126.99, 37.55),
        (3007, 11.97, 57.7),
        (6677, 139.7, 35.6),
        (3879, 24.9, 60.2),
    ],
)
def test_other_countries_agree_with_the_best_operation_that_proj_has_there(code: int, lon: float, lat: float) -> None:
    crs = parse_crs(str(code))
    area = pyproj.aoi.AreaOfInterest(lon - 0.01, lat - 0.01, lon + 0.01, lat + 0.01)
    reference = pyproj.Transformer.from_crs(4326, code, always_xy=True, area_of_interest=area, allow_ballpark=False)
    xy = horizontal(parse_crs("4326"), crs)(np.array([[lon, lat]]))
    np.testing.assert_allclose(xy, np.array([reference.transform(lon, lat)]), rtol=0, atol=1.0 / 0.3048)
    np.testing.assert_allclose(to_wgs84_lonlat(crs)(xy), [[lon, lat]], rtol=0, atol=1e-8)


@pytest.mark.parametrize("code", ["4610", "2385", "2364", "4214", "2437"])
@pytest.mark.parametrize("target", ["EPSG:4326", "EPSG:4490", "EPSG:4549", "gcj02"])
def test_datums_that_proj_links_by_ballpark_only_are_refused_by_name(code: str, target: str) -> None:
    source = parse_crs(code)
    place = (
        np.array([[121.4, 31.2]])
        if source.is_geographic
        else np.array([[636000.0 + 40e6 * (code == "2364"), 3456000.0]])
    )
    with pytest.raises(CrsError, match=r"Beijing 1954|Xian 1980") as refusal:
        horizontal(source, parse_crs(target))(place)
    assert "towgs84" in refusal.value.next_step


def test_a_local_grid_without_a_shift_is_refused_and_with_one_follows_it() -> None:
    with pytest.raises(CrsError, match="private CRS"):
        horizontal(parse_crs(LOCAL), parse_crs("4549"))
    for shift in ("0,0,0,0,0,0,0", "15.8,-154.4,-82.3,0.1,-0.2,0.3,1.5"):
        definition = f"{LOCAL} +towgs84={shift}"
        reference = pyproj.Transformer.from_crs(definition, 4326, always_xy=True)
        lonlat = to_wgs84_lonlat(parse_crs(definition))(np.array([[700.0, -300.0]]))
        np.testing.assert_allclose(lonlat, [reference.transform(700.0, -300.0)], rtol=0, atol=1e-12)
        moved = horizontal(parse_crs(definition), parse_crs("4549"))(np.array([[700.0, -300.0]]))
        np.testing.assert_allclose(to_wgs84_lonlat(parse_crs("4549"))(moved), lonlat, rtol=0, atol=1e-11)


def test_a_conversion_within_one_datum_needs_no_link_to_wgs84() -> None:
    there = horizontal(parse_crs("EPSG:2385"), parse_crs("EPSG:2364"))
    np.testing.assert_allclose(there(np.array([[635690.0, 3456273.0]])), [[40635690.0, 3456273.0]], rtol=0, atol=1e-6)


def test_axis_order_is_always_east_then_north() -> None:
    lonlat = to_wgs84_lonlat(parse_crs("EPSG:4326"))(np.array([[121.4, 31.2]]))
    np.testing.assert_array_equal(lonlat, [[121.4, 31.2]])
    east, north = horizontal(parse_crs("EPSG:4326"), parse_crs("EPSG:4549"))(lonlat)[0]
    assert east < 1_000_000 < north


@given(st.floats(119.0, 121.5), st.floats(25.0, 50.0))
def test_there_and_back_is_where_it_began(lon: float, lat: float) -> None:
    a, b = parse_crs("EPSG:4490"), parse_crs("EPSG:4528")
    np.testing.assert_allclose(
        horizontal(b, a)(horizontal(a, b)(np.array([[lon, lat]]))), [[lon, lat]], rtol=0, atol=1e-10
    )


def test_the_input_is_untouched_rows_do_not_mix_and_nan_stays_not_finite() -> None:
    move = pickle.loads(pickle.dumps(horizontal(parse_crs("28992"), parse_crs("4326"))))
    xy = np.array([[85000.0, 447000.0], [np.nan, 1.0], [86000.0, 446000.0]])
    before = xy.copy()
    out = move(xy)
    np.testing.assert_array_equal(xy, before)
    assert not np.isfinite(out[1]).any()
    np.testing.assert_array_equal(out[[0, 2]], move(xy[[0, 2]]))
    np.testing.assert_array_equal(out[::-1], move(xy[::-1]))
    assert move(np.empty((0, 2))).shape == (0, 2)


def test_an_identity_gives_a_copy() -> None:
    crs, xy = parse_crs("4549"), np.array([[1.0, 2.0]])
    out = horizontal(crs, crs)(xy)
    out[0, 0] = 9.0
    assert xy[0, 0] == 1.0


def test_the_geographic_base_is_the_datum_of_the_projection() -> None:
    assert base_geographic(parse_crs("4549")).name == "EPSG:4490"
    assert base_geographic(parse_crs("28992")).name == "EPSG:4289"
    assert base_geographic(parse_crs("gcj02")).name == "EPSG:4326"
    assert base_geographic(parse_crs(f"{LOCAL} +towgs84=0,0,0")).name == "EPSG:4326"
