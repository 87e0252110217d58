"""The one door to horizontal coordinate reference systems: parse, transform, check."""

from __future__ import annotations

from twin.crs.definition import Crs, parse_crs
from twin.crs.plausible import check_plausible
from twin.crs.transform import WGS84, base_geographic, horizontal, is_projected_metric, to_wgs84_lonlat

__all__ = [
    "WGS84",
    "Crs",
    "base_geographic",
    "check_plausible",
    "horizontal",
    "is_projected_metric",
    "parse_crs",
    "to_wgs84_lonlat",
]
