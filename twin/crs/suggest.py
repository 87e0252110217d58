"""A CRS to compute in, proposed from where the data lie: projected, in metres, little distorted there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from pyproj.aoi import AreaOfInterest
from pyproj.database import query_utm_crs_info

from twin.crs.reference import Crs, horizontal, parse_crs
from twin.crs.transform import is_projected_metric

Bounds = tuple[float, float, float, float]

#: Projections whose unit is called metre but is up to several times shorter on the ground.
_STRETCHED = ("Mercator", "Pseudo", "Equidistant Cylindrical", "Plate Carr", "Equirectangular")

#: Mainland China, Taiwan and Hainan drawn with a broad pen (lon, lat): only to choose between Gauss-Kruger and UTM.
_CHINA = shapely.Polygon(
    [
        (73.5, 39.5), (78, 35), (79, 31), (86, 28), (92, 27.8), (97.5, 28), (97.7, 24), (99, 22), (102, 22.3),
        (105.5, 23), (108, 21.4), (108.4, 18.2), (110, 18), (114, 21.5), (120, 21.8), (122.3, 25), (123, 31),
        (122.5, 36.5), (124, 39.6), (128, 41.7), (131, 42.6), (131.3, 45), (134.9, 48.5), (131, 48), (126, 53.5),
        (120, 53.4), (116, 49.9), (119, 47), (112, 43.5), (105, 41.6), (97, 42.7), (91, 45.2),
        (87.3, 49.2), (82.5, 45.3), (80, 42),
    ]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A proposed working CRS.

    Attributes:
        text: What to write, or None where nothing fits.
        why: The reason in one sentence.
    """

    text: str | None
    why: str


def geographic_bounds(crs: Crs, bounds: Bounds) -> Bounds | None:
    """Bounds in longitude and latitude (degrees, WGS 84), or None where PROJ cannot say.

    Args:
        crs: CRS of the bounds.
        bounds: west, south, east, north in `crs`.
    """
    west, south, east, north = bounds
    side = np.linspace(0, 1, 9)
    x = np.concatenate([west + (east - west) * side] * 2 + [np.full(9, west), np.full(9, east)])
    y = np.concatenate([np.full(9, south), np.full(9, north)] + [south + (north - south) * side] * 2)
    lonlat = horizontal(crs, parse_crs("EPSG:4326"))(np.column_stack([x, y]))
    lonlat = lonlat[np.isfinite(lonlat).all(axis=1)]
    if len(lonlat) == 0:
        return None
    low, high = lonlat.min(axis=0), lonlat.max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def in_china(lon: float, lat: float) -> bool:
    """Whether a place is in China, roughly (within some tens of kilometres of the border)."""
    return bool(shapely.contains_xy(_CHINA, lon, lat))


def is_metric(crs: Crs) -> bool:
    """Whether one unit of the CRS is about one metre on the ground: projected, in metres, not a world map."""
    if not is_projected_metric(crs):
        return False
    method = crs.pyproj.coordinate_operation.method_name if crs.pyproj.coordinate_operation else ""
    stretched = any(word in method for word in _STRETCHED) and "Transverse" not in method and "Oblique" not in method
    return not stretched


def suggest_working_crs(crs: Crs | None, bounds: Bounds) -> Suggestion:
    """Proposes a working CRS.

    Args:
        crs: CRS of the data; None where it is unknown but the coordinates look like degrees.
        bounds: west, south, east, north in `crs` (degrees where it is None).
    """
    if crs is not None and is_metric(crs) and crs.public:
        return Suggestion(crs.name, f"the coordinates of the source are already in it, in metres ({crs.pyproj.name})")
    lonlat = geographic_bounds(crs, bounds) if crs is not None else bounds
    if lonlat is None:
        return Suggestion(None, "the coordinates cannot be placed on the Earth")
    lon, lat = (lonlat[0] + lonlat[2]) / 2, (lonlat[1] + lonlat[3]) / 2
    if in_china(lon, lat):
        meridian = int(np.clip(round(lon / 3) * 3, 75, 135))
        code = 4534 + (meridian - 75) // 3
        name = f"CGCS2000 / 3-degree Gauss-Kruger CM {meridian}E"
        return Suggestion(f"EPSG:{code}", f"{name}: the data lie at {lon:.3f}E {lat:.3f}N in China")
    return _utm(crs, lon, lat)


def _utm(crs: Crs | None, lon: float, lat: float) -> Suggestion:
    place = f"the data lie at {abs(lon):.3f}{'E' if lon >= 0 else 'W'} {abs(lat):.3f}{'N' if lat >= 0 else 'S'}"
    point = AreaOfInterest(lon, lat, lon, lat)
    base = crs.pyproj.geodetic_crs if crs is not None and crs.kind == "proj" else None
    for datum in dict.fromkeys([base.name if base is not None else "WGS 84", "WGS 84"]):
        zones = query_utm_crs_info(datum_name=datum, area_of_interest=point, contains=True)
        if zones:
            zone = min(zones, key=lambda info: (info.deprecated, len(info.name), int(info.code)))
            return Suggestion(f"{zone.auth_name}:{zone.code}", f"{zone.name}: {place}")
    return Suggestion(None, f"no UTM zone covers the place ({place})")
