"""Undoes (and applies) the coordinate distortion of Chinese web maps, GCJ-02 and BD-09, exactly enough for survey work.

Neither system is published; the constants are the reverse-engineered ones that every map library shares.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_A = 6378245.0
_EE = 0.00669342162296594323
_X_PI = np.pi * 3000.0 / 180.0
#: Where web maps distort (west, south, east, north, degrees). A rectangle: it holds Hong Kong, Taiwan, Korea and a
#: part of Japan too.
DISTORTED_BOX = (72.004, 0.8293, 137.8347, 55.8271)
#: Three to five rounds are the rule; on the meridian of 105 degrees, where the distortion has a cusp, it takes more.
_MOST_ROUNDS = 30
#: A hundredth of a micrometre.
_STANDSTILL_DEG = 1e-13
_BD_SHIFT = np.array([0.0065, 0.006])


def in_distorted_box(lonlat: FloatArray) -> npt.NDArray[np.bool_]:
    """Which of the (n, 2) WGS 84 points GCJ-02 distorts; the others it leaves as they are."""
    west, south, east, north = DISTORTED_BOX
    lon, lat = lonlat[:, 0], lonlat[:, 1]
    return (lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)


def wgs84_to_gcj02(lonlat: FloatArray) -> FloatArray:
    """GCJ-02 of WGS 84 points, (n, 2) degrees; points outside `DISTORTED_BOX` come back unchanged."""
    lonlat = np.asarray(lonlat, np.float64).reshape(-1, 2)
    return np.where(in_distorted_box(lonlat)[:, None], lonlat + _offset(lonlat), lonlat)


def gcj02_to_wgs84(lonlat: FloatArray) -> FloatArray:
    """WGS 84 of GCJ-02 points, (n, 2) degrees, by iteration: better than 1e-7 m (1e-6 m on the cusp at 105 E).

    A point whose undistorted place lies outside `DISTORTED_BOX` was never distorted and comes back unchanged.
    """
    lonlat = np.asarray(lonlat, np.float64).reshape(-1, 2)
    guess = _solve(lonlat, lonlat, lambda place: place + _offset(place))
    return np.where(in_distorted_box(guess)[:, None], guess, lonlat)


def gcj02_to_bd09(lonlat: FloatArray) -> FloatArray:
    """BD-09 of GCJ-02 points, (n, 2) degrees."""
    lonlat = np.asarray(lonlat, np.float64).reshape(-1, 2)
    shifted: FloatArray = _swirl(lonlat) + _BD_SHIFT
    return shifted


def bd09_to_gcj02(lonlat: FloatArray) -> FloatArray:
    """GCJ-02 of BD-09 points, (n, 2) degrees, by iteration (the usual closed form is 3 to 7 cm wrong)."""
    lonlat = np.asarray(lonlat, np.float64).reshape(-1, 2)
    return _solve(lonlat, lonlat - _BD_SHIFT, gcj02_to_bd09)


def wgs84_to_bd09(lonlat: FloatArray) -> FloatArray:
    """BD-09 of WGS 84 points, (n, 2) degrees."""
    return gcj02_to_bd09(wgs84_to_gcj02(lonlat))


def bd09_to_wgs84(lonlat: FloatArray) -> FloatArray:
    """WGS 84 of BD-09 points, (n, 2) degrees."""
    return gcj02_to_wgs84(bd09_to_gcj02(lonlat))


def _solve(target: FloatArray, guess: FloatArray, forward: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Where `forward` gives `target`, by fixed-point iteration: each point goes on until it stands still."""
    guess = np.array(guess)
    going = np.flatnonzero(np.isfinite(target).all(axis=1))
    for _ in range(_MOST_ROUNDS):
        step = target[going] - forward(guess[going])
        guess[going] += step
        going = going[np.abs(step).max(axis=1, initial=0.0) > _STANDSTILL_DEG]
    return guess


def _swirl(lonlat: FloatArray) -> FloatArray:
    x, y = lonlat[:, 0], lonlat[:, 1]
    radius = np.hypot(x, y) + 0.00002 * np.sin(y * _X_PI)
    angle = np.arctan2(y, x) + 0.000003 * np.cos(x * _X_PI)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])


def _offset(lonlat: FloatArray) -> FloatArray:
    """What GCJ-02 adds to WGS 84 longitude and latitude, degrees."""
    x, y = lonlat[:, 0] - 105.0, lonlat[:, 1] - 35.0
    east, north = _east(x, y), _north(x, y)
    lat = np.radians(lonlat[:, 1])
    w2 = 1 - _EE * np.sin(lat) ** 2
    prime_vertical = _A / np.sqrt(w2)
    meridian = prime_vertical * (1 - _EE) / w2
    return np.column_stack([np.degrees(east / (prime_vertical * np.cos(lat))), np.degrees(north / meridian)])


def _waves(t: FloatArray) -> FloatArray:
    return (20.0 * np.sin(6.0 * np.pi * t) + 20.0 * np.sin(2.0 * np.pi * t)) * 2.0 / 3.0


def _east(x: FloatArray, y: FloatArray) -> FloatArray:
    smooth = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * np.sqrt(np.abs(x))
    long_waves = (20.0 * np.sin(np.pi * x) + 40.0 * np.sin(np.pi / 3.0 * x)) * 2.0 / 3.0
    longer = (150.0 * np.sin(np.pi / 12.0 * x) + 300.0 * np.sin(np.pi / 30.0 * x)) * 2.0 / 3.0
    return smooth + _waves(x) + long_waves + longer


def _north(x: FloatArray, y: FloatArray) -> FloatArray:
    smooth = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * np.sqrt(np.abs(x))
    long_waves = (20.0 * np.sin(np.pi * y) + 40.0 * np.sin(np.pi / 3.0 * y)) * 2.0 / 3.0
    longer = (160.0 * np.sin(np.pi / 12.0 * y) + 320.0 * np.sin(np.pi / 30.0 * y)) * 2.0 / 3.0
    return smooth + _waves(x) + long_waves + longer
