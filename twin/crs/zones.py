"""Knows the Gauss-Kruger zone families of China, whose eastings may or may not carry the zone number in front."""

from __future__ import annotations

from dataclasses import dataclass

from twin.crs.definition import Crs, parse_crs


@dataclass(frozen=True, slots=True)
class ZoneFamily:
    """EPSG codes of one datum's Gauss-Kruger zones: each block is consecutive.

    Attributes:
        datum: Name of the datum in EPSG.
        zone3, meridian3: First code of the 3-degree zones with prefix (zone 25) and without (central meridian 75 E).
        zone6, meridian6: The same for the 6-degree zones (zone 13; central meridian 75 E).
    """

    datum: str
    zone3: int
    meridian3: int
    zone6: int
    meridian6: int

    def with_prefix(self, prefix: int) -> int | None:
        """The code whose eastings begin with the prefix, e.g. 40 → 4528."""
        if 25 <= prefix <= 45:
            return self.zone3 + prefix - 25
        return self.zone6 + prefix - 13 if 13 <= prefix <= 23 else None

    def without_prefix(self, prefix: int) -> int | None:
        """The code of the same zone whose eastings have no prefix, e.g. 40 → 4549."""
        if 25 <= prefix <= 45:
            return self.meridian3 + prefix - 25
        return self.meridian6 + prefix - 13 if 13 <= prefix <= 23 else None

    def plain_codes(self) -> list[int]:
        """Every code without prefix: 3-degree zones by meridian, then 6-degree zones."""
        return [*range(self.meridian3, self.meridian3 + 21), *range(self.meridian6, self.meridian6 + 11)]


CGCS2000 = ZoneFamily("China 2000", 4513, 4534, 4491, 4502)
FAMILIES = (
    CGCS2000,
    ZoneFamily("Xian 1980", 2349, 2370, 2327, 2338),
    ZoneFamily("Beijing 1954", 2401, 2422, 21413, 21453),
)


def family_of(crs: Crs) -> ZoneFamily | None:
    """The family whose datum a public projected CRS has, or None."""
    if not crs.public or crs.kind != "proj" or not crs.pyproj.is_projected or crs.pyproj.datum is None:
        return None
    return next((family for family in FAMILIES if family.datum == crs.pyproj.datum.name), None)


def false_easting(crs: Crs) -> float | None:
    """False easting of a transverse Mercator CRS in metres, or None for any other."""
    return _transverse_mercator(crs, "False easting")


def central_meridian(crs: Crs) -> float | None:
    """Central meridian of a transverse Mercator CRS in degrees, or None for any other."""
    return _transverse_mercator(crs, "Longitude of natural origin")


def _transverse_mercator(crs: Crs, parameter: str) -> float | None:
    whole = crs.pyproj
    projected = whole.source_crs if whole.is_bound and whole.source_crs is not None else whole
    operation = projected.coordinate_operation
    if operation is None or "Transverse Mercator" not in operation.method_name:
        return None
    return next((float(p.value) for p in operation.params if p.name == parameter), None)


def crs_of(code: int | None) -> Crs | None:
    """The CRS of an EPSG code, passing None through."""
    return None if code is None else parse_crs(str(code))
