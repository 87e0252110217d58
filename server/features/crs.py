"""Which coordinate reference systems features are offered in, and the order in which each of them writes its axes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import shapely
from numpy.typing import NDArray

from server.problem import ProblemError
from twin.crs.reference import Crs, horizontal, parse_crs
from twin.errors import CrsError

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
CRS84H = "http://www.opengis.net/def/crs/OGC/0/CRS84h"
_EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
_PLAIN = ("EPSG:4326", "EPSG:4490", "EPSG:3857")
#: Three-dimensional geographic systems and their horizontal part; heights are above the ellipsoid.
_WITH_HEIGHT = {f"{_EPSG}4979": "EPSG:4326", f"{_EPSG}4480": "EPSG:4490"}
_SHORT = re.compile(r"(?:urn:ogc:def:crs:)?(?:EPSG):(?:[\d.]*:)?(\d{4,6})", re.IGNORECASE)
_LINK = re.compile(r"https?://www\.opengis\.net/def/crs/EPSG/[\d.]+/(\d{4,6})")
_CHINA = (73.0, 3.0, 136.5, 54.0)
_DEGREE_DIGITS, _METRE_DIGITS = 8, 3
_LONGEST = 200

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FeatureCrs:
    """A CRS in which coordinates come in or go out.

    Attributes:
        uri: Its name.
        crs: Its horizontal part; x = east or longitude inside this server.
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
        return _DEGREE_DIGITS if self.crs.is_geographic else _METRE_DIGITS


@lru_cache(maxsize=64)
def feature_crs(uri: str) -> FeatureCrs:
    """The CRS of a URI this module has made."""
    if uri in (CRS84, CRS84H):
        return FeatureCrs(uri, parse_crs("EPSG:4326"), north_first=False, height=uri == CRS84H)
    code = uri.removeprefix(_EPSG)
    crs = parse_crs(_WITH_HEIGHT.get(uri, f"EPSG:{code}"))
    return FeatureCrs(uri, crs, crs.pyproj.axis_info[0].direction == "north", uri in _WITH_HEIGHT)


def uri_of(name: str) -> str | None:
    """URI of a CRS called "EPSG:4549"; None where it has no public code."""
    code = re.fullmatch(r"EPSG:(\d+)", name)
    return f"{_EPSG}{code[1]}" if code else None


def offered(working: Crs | None, extent: Sequence[float] | None) -> tuple[str, ...]:
    """Every CRS a collection is offered in, the default first (Part 2 §6.2).

    Args:
        working: The working CRS; None where it is unknown here.
        extent: West, south, east, north in degrees; the CGCS2000 zones that it touches are offered.
    """
    own = None if working is None or not working.public else uri_of(working.name)
    codes = [*_PLAIN, *_cgcs2000_zones(extent)]
    found = [CRS84, CRS84H, *(f"{_EPSG}{code.removeprefix('EPSG:')}" for code in codes), *_WITH_HEIGHT]
    return tuple(dict.fromkeys([*found, *([own] if own else [])]))


def _cgcs2000_zones(extent: Sequence[float] | None) -> list[str]:
    """Codes of the 3 and 6 degree zones, with the zone in the easting and without."""
    if extent is None:
        return []
    west, south, east, north = extent
    if west < _CHINA[0] or south < _CHINA[1] or east > _CHINA[2] or north > _CHINA[3]:
        return []
    three = range(round((west - 75) / 3), round((east - 75) / 3) + 1)
    six = range(int((west - 72) // 6), int((east - 72) // 6) + 1)
    firsts = [(first, 21, zones) for first, zones in ((4513, three), (4534, three))]
    firsts += [(first, 11, zones) for first, zones in ((4491, six), (4502, six))]
    return [f"EPSG:{first + zone}" for first, count, zones in firsts for zone in zones if 0 <= zone < count]


def named(text: str, uris: Sequence[str], parameter: str) -> FeatureCrs:
    """The CRS a client names.

    Args:
        text: A URI of the list, a URN, or "EPSG:4549".
        uris: What is offered.
        parameter: Which parameter names it.

    Raises:
        ProblemError: 400 where it is not offered.
    """
    plain = text.strip().removeprefix("[").removesuffix("]")
    match = (_SHORT.fullmatch(plain) or _LINK.fullmatch(plain)) if len(plain) <= _LONGEST else None
    uri = f"{_EPSG}{match[1]}" if match else plain.replace("https://", "http://", 1)
    uri = {"OGC:CRS84": CRS84, "urn:ogc:def:crs:OGC:1.3:CRS84": CRS84, "OGC:CRS84h": CRS84H}.get(uri, uri)
    if uri not in uris:
        told = f"{parameter}={text[:80]!r} is not offered here; the collection lists the ones that are."
        raise ProblemError(400, "invalid_parameter", told)
    return feature_crs(uri)


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


def write_order(shapes: NDArray[np.object_], heights: FloatArray, target: FeatureCrs) -> NDArray[np.object_]:
    """Geometries as they are written: rounded, axes in the order of the definition, with a height where it has one.

    Args:
        shapes: In the horizontal part of `target`, x = east.
        heights: (n,) ellipsoidal height of the base, metres; NaN leaves a footprint flat.
        target: How to write.
    """
    xy, owner = shapely.get_coordinates(shapes, return_index=True)
    xy = np.round(xy[:, ::-1] if target.north_first else xy, target.digits)
    if not target.height:
        return np.asarray(shapely.set_coordinates(shapes.copy(), xy))
    known = np.asarray(np.isfinite(heights))
    out = shapes.copy()
    solid = shapely.force_3d(shapes[known])
    at = known[owner]
    z = np.round(heights[owner[at]], _METRE_DIGITS)
    out[known] = shapely.set_coordinates(solid, np.column_stack([xy[at], z]))
    out[~known] = shapely.set_coordinates(shapes[~known], xy[~at])
    return out
