"""Coordinate reference systems of filters and features: their names as URIs, and the order in which they write axes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import shapely
from numpy.typing import NDArray

from twin.crs.reference import Crs, horizontal, parse_crs
from twin.errors import CrsError

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
CRS84H = "http://www.opengis.net/def/crs/OGC/0/CRS84h"
EPSG_URI = "http://www.opengis.net/def/crs/EPSG/0/"
#: Three-dimensional geographic systems and their horizontal part; heights are above the ellipsoid.
WITH_HEIGHT = {f"{EPSG_URI}4979": "EPSG:4326", f"{EPSG_URI}4480": "EPSG:4490"}
_DEGREE_DIGITS, METRE_DIGITS = 8, 3

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FeatureCrs:
    """A CRS in which coordinates come in or go out.

    Attributes:
        uri: Its name.
        crs: Its horizontal part; x = east or longitude inside this program.
        north_first: True where the definition writes latitude or northing first (OGC API Features Part 2 §6.2).
        height: True where a third coordinate is the height above the ellipsoid in metres.
    """

    uri: str
    crs: Crs
    north_first: bool
    height: bool = False

    @property
    def digits(self) -> int:
        """Decimals that tell a millimetre."""
        return _DEGREE_DIGITS if self.crs.is_geographic else METRE_DIGITS


@lru_cache(maxsize=64)
def feature_crs(uri: str) -> FeatureCrs:
    """The CRS of a URI this module has made."""
    if uri in (CRS84, CRS84H):
        return FeatureCrs(uri, parse_crs("EPSG:4326"), north_first=False, height=uri == CRS84H)
    code = uri.removeprefix(EPSG_URI)
    crs = parse_crs(WITH_HEIGHT.get(uri, f"EPSG:{code}"))
    return FeatureCrs(uri, crs, crs.pyproj.axis_info[0].direction == "north", uri in WITH_HEIGHT)


def uri_of(name: str) -> str | None:
    """URI of a CRS called "EPSG:4549"; None where it has no public code."""
    code = re.fullmatch(r"EPSG:(\d+)", name)
    return f"{EPSG_URI}{code[1]}" if code else None


def move(shapes: NDArray[np.object_], source: Crs, target: Crs) -> NDArray[np.object_]:
    """Geometries from one CRS to another, x = east on both sides; one that cannot be expressed there becomes None."""
    if source == target or not len(shapes):
        return shapes
    xy = _moved(shapely.get_coordinates(shapes), source, target)
    bad = np.asarray(~np.isfinite(xy).all(axis=1))
    if not bad.any():
        return np.asarray(shapely.set_coordinates(shapes.copy(), xy))
    owner = shapely.get_coordinates(shapes, return_index=True)[1]
    out = np.asarray(shapely.set_coordinates(shapes.copy(), np.where(bad[:, None], 0.0, xy)))
    out[np.unique(owner[bad])] = None
    return out


def _moved(xy: FloatArray, source: Crs, target: Crs) -> FloatArray:
    """Coordinates in another CRS; not finite where no operation reaches."""
    try:
        return np.asarray(horizontal(source, target)(xy))
    except CrsError:
        return np.full(xy.shape, np.nan)
