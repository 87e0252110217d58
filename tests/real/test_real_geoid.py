"""The EGM96 grid as published, against undulations computed by an independent program."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from twin.crs.vertical import Undulation, to_ellipsoid

pytestmark = pytest.mark.real

#: lon, lat, undulation in metres computed by another implementation of EGM96.
PLACES = {
    "Changning": (121.4240, 31.2203, 10.955),
    "Hongqiao": (121.3348, 31.1954, 10.630),
}


@pytest.fixture(scope="module")
def egm96(real_data: Path) -> Undulation:
    return Undulation.from_grid(real_data / "terrain" / "geoid_egm96" / "us_nga_egm96_15.tif")


@pytest.mark.parametrize("place", PLACES)
def test_shanghai_undulations_agree_with_another_implementation(egm96: Undulation, place: str) -> None:
    lon, lat, expected = PLACES[place]
    assert egm96.at(lon, lat)[0] == pytest.approx(expected, abs=0.005)


def test_the_grid_has_its_published_extremes_and_no_seam(egm96: Undulation) -> None:
    lon, lat = (axis.ravel() for axis in np.meshgrid(np.arange(-180, 360, 1.0), np.arange(-90, 90.01, 1.0)))
    found = egm96.at(lon, lat)
    assert -107.5 < found.min() < -105
    assert 84 < found.max() < 86.5
    np.testing.assert_allclose(
        egm96.at(np.full(9, 180.0), np.arange(-40, 50, 10)),
        egm96.at(np.full(9, -180.0), np.arange(-40, 50, 10)),
        atol=0,
    )
    across = egm96.at(np.linspace(179.5, 180.5, 101), np.full(101, 10.0))
    assert np.abs(np.diff(across)).max() < 0.02
    assert np.ptp(egm96.at(np.arange(0.0, 360, 15), np.full(24, 90.0))) < 1e-6


def test_a_street_in_changning_comes_eleven_metres_above_its_sea_level_height(egm96: Undulation) -> None:
    h = to_ellipsoid([4.0], [121.4240], [31.2203], "EPSG:5773", egm96)
    assert h[0] == pytest.approx(14.955, abs=0.01)
