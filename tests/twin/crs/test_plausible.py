"""Coordinate mistakes are found, named, and answered with the right CRS where one can be computed."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.crs.reference import check_plausible, horizontal, parse_crs
from twin.crs.zones import FAMILIES, central_meridian, crs_of, false_easting
from twin.report import Severity

Bounds = tuple[float, float, float, float]
PLAIN: Bounds = (630_000.0, 3_450_000.0, 640_000.0, 3_460_000.0)
ZONE: Bounds = (40_630_000.0, 3_450_000.0, 40_640_000.0, 3_460_000.0)
DEGREES: Bounds = (121.33, 31.18, 121.44, 31.24)
LOCAL = "+proj=tmerc +lat_0=31.2354 +lon_0=121.4667 +ellps=krass +towgs84=12,-34,56"
LOCAL_GK = "+proj=tmerc +lat_0=0 +lon_0=121.4667 +x_0=500000 +ellps=krass +towgs84=12,-34,56"


def _swap(bounds: Bounds) -> Bounds:
    return (bounds[1], bounds[0], bounds[3], bounds[2])


def _codes(crs: str, bounds: Bounds) -> list[str]:
    return [issue.code for issue in check_plausible(parse_crs(crs), bounds)]


@pytest.mark.parametrize(
    ("crs", "bounds"),
    [
        ("EPSG:4549", PLAIN),
        ("EPSG:4528", ZONE),
        ("EPSG:4326", DEGREES),
        ("EPSG:4490", DEGREES),
        ("gcj02", DEGREES),
        ("bd09", DEGREES),
        ("EPSG:3857", (13_506_000.0, 3_650_000.0, 13_520_000.0, 3_660_000.0)),
        ("EPSG:32651", (340_000.0, 3_450_000.0, 350_000.0, 3_460_000.0)),
        ("EPSG:3007", (140_000.0, 6_390_000.0, 150_000.0, 6_400_000.0)),
        ("EPSG:5179", (950_000.0, 1_940_000.0, 960_000.0, 1_950_000.0)),
        ("EPSG:4326", (2.0, 48.0, 3.0, 49.0)),
        (LOCAL, (-5_000.0, -2_000.0, 1_000.0, 3_000.0)),
        (LOCAL_GK, (490_000.0, 3_450_000.0, 500_000.0, 3_460_000.0)),
        (LOCAL, (50.0, -20.0, 250.0, 60.0)),
    ],
)
def test_right_coordinates_give_no_finding(crs: str, bounds: Bounds) -> None:
    assert check_plausible(parse_crs(crs), bounds) == []


@pytest.mark.parametrize(
    ("crs", "bounds", "code", "suggestion"),
    [
        ("EPSG:4549", ZONE, "crs_zone_prefix", ["EPSG:4528"]),
        ("EPSG:4528", PLAIN, "crs_zone_prefix", ["EPSG:4549"]),
        ("EPSG:4528", (41_340_000.0, 3_450_000.0, 41_350_000.0, 3_460_000.0), "crs_zone_prefix", ["EPSG:4529"]),
        ("EPSG:4510", (21_340_000.0, 3_450_000.0, 21_350_000.0, 3_460_000.0), "crs_zone_prefix", ["EPSG:4499"]),
        ("EPSG:4499", (340_000.0, 3_450_000.0, 350_000.0, 3_460_000.0), "crs_zone_prefix", ["EPSG:4510"]),
        ("EPSG:2385", ZONE, "crs_zone_prefix", ["EPSG:2364"]),
        ("EPSG:2416", PLAIN, "crs_zone_prefix", ["EPSG:2437"]),
        (LOCAL_GK, (40_490_000.0, 3_450_000.0, 40_500_000.0, 3_460_000.0), "crs_zone_prefix", None),
        ("EPSG:4549", _swap(PLAIN), "crs_axes_swapped", None),
        ("EPSG:4528", _swap(ZONE), "crs_axes_swapped", None),
        ("EPSG:4549", _swap(ZONE), "crs_axes_swapped", None),
        ("EPSG:4326", _swap(DEGREES), "crs_axes_swapped", None),
        ("EPSG:4490", _swap(DEGREES), "crs_axes_swapped", None),
        ("gcj02", _swap(DEGREES), "crs_axes_swapped", None),
        ("EPSG:4258", (48.0, 2.0, 49.0, 3.0), "crs_axes_swapped", None),
        ("EPSG:3007", (6_390_000.0, 140_000.0, 6_400_000.0, 150_000.0), "crs_axes_swapped", None),
        (LOCAL_GK, (3_450_000.0, 490_000.0, 3_460_000.0, 500_000.0), "crs_axes_swapped", None),
        ("EPSG:4549", DEGREES, "crs_degrees_as_metres", None),
        ("EPSG:4549", _swap(DEGREES), "crs_degrees_as_metres", None),
        ("EPSG:3857", DEGREES, "crs_degrees_as_metres", None),
        ("EPSG:28992", (4.3, 52.0, 4.4, 52.1), "crs_degrees_as_metres", None),
        (LOCAL, DEGREES, "crs_degrees_as_metres", None),
        ("EPSG:4326", PLAIN, "crs_metres_as_degrees", None),
        ("EPSG:4490", ZONE, "crs_metres_as_degrees", ["EPSG:4528"]),
        ("EPSG:4490", (13_506_000.0, 3_650_000.0, 13_520_000.0, 3_660_000.0), "crs_metres_as_degrees", ["EPSG:3857"]),
        ("gcj02", PLAIN, "crs_metres_as_degrees", None),
    ],
)
def test_each_mistake_has_its_code_and_the_right_crs(
    crs: str, bounds: Bounds, code: str, suggestion: list[str] | None
) -> None:
    (issue,) = check_plausible(parse_crs(crs), bounds)
    assert (issue.code, issue.severity) == (code, Severity.ERROR)
    assert issue.next_step
    for name in suggestion or []:
        assert name in issue.next_step
        assert name in issue.detail["suggestion"]


def test_swapped_axes_and_a_missing_zone_are_told_together() -> None:
    (issue,) = check_plausible(parse_crs("EPSG:4549"), _swap(ZONE))
    assert "EPSG:4528" in issue.next_step


def test_degrees_in_the_wrong_order_are_told_together() -> None:
    (issue,) = check_plausible(parse_crs("EPSG:4549"), _swap(DEGREES))
    assert "latitude in x" in issue.text


def test_data_beyond_the_zone_get_a_warning_and_the_zones_where_the_numbers_would_fit() -> None:
    far = (800_000.0, 3_456_000.0, 800_100.0, 3_456_100.0)
    assert [issue.severity for issue in check_plausible(parse_crs("EPSG:4549"), far)] == [Severity.WARNING]
    wrong = horizontal(parse_crs("EPSG:4490"), parse_crs("EPSG:4508"))(np.array([[113.3, 23.1], [113.4, 23.2]]))
    (issue,) = check_plausible(parse_crs("EPSG:4550"), (*wrong[0], *wrong[1]))
    assert issue.code == "crs_outside_area_of_use"


def test_web_mercator_numbers_in_a_zone_are_recognised() -> None:
    (issue,) = check_plausible(parse_crs("EPSG:4549"), (13_506_000.0, 3_650_000.0, 13_520_000.0, 3_660_000.0))
    assert issue.code == "crs_outside_area_of_use"
    assert issue.detail["suggestion"] == ["EPSG:3857"]


def test_a_district_across_the_border_of_its_zone_is_only_noted() -> None:
    lonlat = np.array([[121.4, 31.1], [121.7, 31.3]])
    low, high = horizontal(parse_crs("EPSG:4490"), parse_crs("EPSG:4549"))(lonlat)
    (issue,) = check_plausible(parse_crs("EPSG:4549"), (*low, *high))
    assert (issue.code, issue.severity) == ("crs_outside_area_of_use", Severity.NOTE)


def test_a_datum_without_a_link_is_an_error_and_a_coarse_link_a_note() -> None:
    assert _codes("EPSG:2385", PLAIN) == ["crs_datum_unknown"]
    (issue,) = check_plausible(parse_crs("EPSG:28992"), (84_000.0, 446_000.0, 85_000.0, 447_000.0))
    assert (issue.code, issue.severity) == ("crs_datum_shift", Severity.NOTE)
    assert "nl_nsgi_rdtrans2018.tif" in issue.text


def test_a_definition_proj_cannot_compute_with_is_a_finding() -> None:
    unknown = pyproj.CRS.from_epsg(32651).to_wkt("WKT1_GDAL").replace("Transverse_Mercator", "Unknown_Projection")
    assert _codes(unknown, (0.0, 0.0, 1.0, 1.0)) == ["crs_unusable"]


def test_no_geometry_is_no_finding() -> None:
    assert _codes("EPSG:4549", (np.nan, np.nan, np.nan, np.nan)) == []
    assert _codes("EPSG:4549", (np.inf, np.inf, -np.inf, -np.inf)) == []


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.datum)
def test_the_zone_table_is_what_the_register_says(family) -> None:
    for prefix in [*range(13, 24), *range(25, 46)]:
        meridian = prefix * 6 - 3 if prefix < 24 else prefix * 3
        zone, plain = crs_of(family.with_prefix(prefix)), crs_of(family.without_prefix(prefix))
        assert zone is not None
        assert plain is not None
        assert {crs.pyproj.datum.name for crs in (zone, plain)} == {family.datum}
        assert (central_meridian(zone), central_meridian(plain)) == (meridian, meridian)
        assert (false_easting(zone), false_easting(plain)) == (prefix * 1e6 + 500_000, 500_000)
    assert family.with_prefix(24) is None


@settings(max_examples=25, deadline=None)
@given(st.integers(25, 45), st.floats(0.1, 0.9), st.floats(0.1, 0.9), st.booleans())
def test_a_missing_or_superfluous_prefix_is_found_in_every_zone(
    zone: int, east: float, north: float, prefixed: bool
) -> None:
    family = FAMILIES[0]
    right = crs_of(family.with_prefix(zone) if prefixed else family.without_prefix(zone))
    wrong = crs_of(family.without_prefix(zone) if prefixed else family.with_prefix(zone))
    assert right is not None
    assert wrong is not None
    use = right.pyproj.area_of_use
    lonlat = np.array([[use.west + east * (use.east - use.west), use.south + north * (use.north - use.south)]])
    x, y = horizontal(parse_crs("EPSG:4490"), right)(lonlat)[0]
    assert check_plausible(right, (x, y, x + 500, y + 500)) == []
    (issue,) = check_plausible(wrong, (x, y, x + 500, y + 500))
    assert (issue.code, issue.detail) == ("crs_zone_prefix", {"suggestion": [right.name]})


def test_the_register_places_the_zones_where_the_numbers_are_computed() -> None:
    assert pyproj.CRS.from_epsg(4528).coordinate_operation is not None
    assert pyproj.CRS.from_epsg(4549).area_of_use == pyproj.CRS.from_epsg(4528).area_of_use
