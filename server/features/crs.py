"""Which coordinate reference systems features are offered in, and how each of them writes coordinates."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from server.problem import ProblemError
from twin.crs.reference import Crs
from twin.query.crs import CRS84, CRS84H, EPSG_URI, METRE_DIGITS, WITH_HEIGHT, FeatureCrs, feature_crs, uri_of

_PLAIN = ("EPSG:4326", "EPSG:4490", "EPSG:3857")
_SHORT = re.compile(r"(?:urn:ogc:def:crs:)?(?:EPSG):(?:[\d.]*:)?(\d{4,6})", re.IGNORECASE)
_LINK = re.compile(r"https?://www\.opengis\.net/def/crs/EPSG/[\d.]+/(\d{4,6})")
_CHINA = (73.0, 3.0, 136.5, 54.0)
_LONGEST = 200

FloatArray = NDArray[np.float64]


def offered(working: Crs | None, extent: Sequence[float] | None) -> tuple[str, ...]:
    """Every CRS a collection is offered in, the default first (Part 2 §6.2).

    Args:
        working: The working CRS; None where it is unknown here.
        extent: West, south, east, north in degrees; the CGCS2000 zones that it touches are offered.
    """
    own = None if working is None or not working.public else uri_of(working.name)
    codes = [*_PLAIN, *_cgcs2000_zones(extent)]
    found = [CRS84, CRS84H, *(f"{EPSG_URI}{code.removeprefix('EPSG:')}" for code in codes), *WITH_HEIGHT]
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
    uri = f"{EPSG_URI}{match[1]}" if match else plain.replace("https://", "http://", 1)
    uri = {"OGC:CRS84": CRS84, "urn:ogc:def:crs:OGC:1.3:CRS84": CRS84, "OGC:CRS84h": CRS84H}.get(uri, uri)
    if uri not in uris:
        told = f"{parameter}={text[:80]!r} is not offered here; the collection lists the ones that are."
        raise ProblemError(400, "invalid_parameter", told)
    return feature_crs(uri)


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
    z = np.round(heights[owner[at]], METRE_DIGITS)
    out[known] = shapely.set_coordinates(solid, np.column_stack([xy[at], z]))
    out[~known] = shapely.set_coordinates(shapes[~known], xy[~at])
    return out
