"""Finds the mistakes people make with coordinates (wrong zone, swapped axes, degrees for metres) before a build."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twin.crs.datum_cn import DISTORTED_BOX
from twin.crs.definition import Crs, parse_crs
from twin.crs.transform import datum_note, to_base
from twin.crs.zones import CGCS2000, ZoneFamily, central_meridian, crs_of, false_easting, family_of
from twin.errors import CrsError
from twin.report import Issue, Severity

Bounds = tuple[float, float, float, float]

#: Degrees that data may lie outside the area of use before it counts as a mistake: districts cross zone borders.
_MARGIN_DEG = 0.5
#: Degrees from its central meridian to which a transverse Mercator without a stated area is taken to be meant.
_TM_REACH_DEG = 6.0
#: No survey sheet is smaller than this many metres, every city is smaller than this many degrees.
_SMALLEST_EXTENT_M = 2.0
_LARGEST_EXTENT_DEG = 20.0


def check_plausible(crs: Crs, bounds: Bounds) -> list[Issue]:
    """Findings about coordinates that do not fit the CRS they are said to be in.

    Codes: `crs_axes_swapped`, `crs_degrees_as_metres`, `crs_metres_as_degrees`, `crs_zone_prefix` (errors),
    `crs_outside_area_of_use` (warning; a note up to half a degree outside), `crs_unusable` (error: PROJ cannot compute
    with the definition), `crs_datum_unknown` (error: no way from its datum to WGS 84), `crs_datum_shift` (note: how
    well its datum is linked to WGS 84 here). Where the numbers fit another CRS, `next_step` and `detail["suggestion"]`
    name it.

    Args:
        crs: The CRS that the source states or the user gave.
        bounds: (x_min, y_min, x_max, y_max) of the coordinates as they are in the file; not finite (no geometry)
        gives no finding.

    Returns:
        At most one finding about the position, and one about the datum; empty where all is well.
    """
    if not np.isfinite(bounds).all():
        return []
    try:
        to_base(crs)
    except CrsError as error:
        return [_finding("crs_unusable", error.what, error.next_step)]
    case = _Case(crs, bounds, _area(crs))
    finders = _GEOGRAPHIC if crs.is_geographic or crs.kind != "proj" else _PROJECTED
    found = next((issue for finder in finders if (issue := finder(case)) is not None), None)
    if found is not None and found.severity is Severity.ERROR:
        return [found]  # the datum is not the question yet
    notes = (found, _datum_finding(case))
    return [issue for issue in notes if issue is not None]


@dataclass(frozen=True, slots=True)
class _Case:
    crs: Crs
    bounds: Bounds
    area: Bounds | None

    @property
    def swapped(self) -> _Case:
        """The same numbers read with x and y exchanged."""
        x0, y0, x1, y1 = self.bounds
        return _Case(self.crs, (y0, x0, y1, x1), self.area)

    def read_as(self, crs: Crs) -> _Case:
        """The same numbers read in another CRS."""
        return _Case(crs, self.bounds, _area(crs))

    @property
    def extent(self) -> float:
        return max(self.bounds[2] - self.bounds[0], self.bounds[3] - self.bounds[1])

    def fits_in(self, area: Bounds | None) -> bool:
        """True where the numbers lie in the area of another CRS."""
        return _inside(self.lonlat(), area, 0.0)

    def fits(self, margin: float = _MARGIN_DEG) -> bool:
        """True where the numbers lie in the CRS's area of use (anywhere on the Earth, if it states none)."""
        return _inside(self.lonlat(), self.area, margin)

    def lonlat(self) -> npt.NDArray[np.float64]:
        """(25, 2) degrees on the CRS's own datum, of a grid over the bounds; not finite where PROJ cannot."""
        x, y = (np.linspace(low, high, 5) for low, high in zip(self.bounds[:2], self.bounds[2:], strict=True))
        return to_base(self.crs)(np.column_stack([grid.ravel() for grid in np.meshgrid(x, y)]))

    def place(self) -> str:
        """Where the centre lies, for a message; nothing for a private CRS: pairs of coordinates give it away."""
        lon, lat = self.lonlat()[12]
        if not self.crs.public:
            return "elsewhere"
        return f"at lon {lon:.3f}, lat {lat:.3f}" if np.isfinite([lon, lat]).all() else "nowhere on the Earth"


def _inside(lonlat: npt.NDArray[np.float64], area: Bounds | None, margin: float) -> bool:
    west, south, east, north = area or (-180.0, -90.0, 180.0, 90.0)
    lon, lat = lonlat[:, 0], lonlat[:, 1]
    if not np.isfinite(lonlat).all() or (np.abs(lat) > 90.0 + 1e-9).any():
        return False
    span = (east - west) % 360 or 360.0
    return bool(
        (((lon - west + margin) % 360 <= span + 2 * margin) & (lat >= south - margin) & (lat <= north + margin)).all()
    )


def _area(crs: Crs) -> Bounds | None:
    if crs.kind != "proj":
        return DISTORTED_BOX
    use = crs.pyproj.area_of_use
    if use is not None:
        return (use.west, use.south, use.east, use.north)
    meridian = central_meridian(crs)
    return None if meridian is None else (meridian - _TM_REACH_DEG, -90.0, meridian + _TM_REACH_DEG, 90.0)


# geographic


def _metres_as_degrees(case: _Case) -> Issue | None:
    if np.abs(case.bounds).max() <= 360.0:
        return None
    fitting = _fitting_projected(case)
    return _finding(
        "crs_metres_as_degrees",
        f"{case.crs} has degrees, but the coordinates {_numbers(case)} are metres of a projected system",
        f"set `crs` to the projected system of the source{_one_of(fitting)}",
        fitting,
    )


def _fitting_projected(case: _Case) -> list[Crs]:
    """Systems in which the numbers have their zone's prefix, or lie where web maps put China's cities."""
    prefix = _prefix(case.bounds)
    candidates = [crs_of(CGCS2000.with_prefix(prefix)), parse_crs("EPSG:3857")] if prefix else []
    return [
        crs
        for crs in candidates
        if crs is not None and case.read_as(crs).fits() and _inside(case.read_as(crs).lonlat(), case.area, 0)
    ]


def _geographic_swapped(case: _Case) -> Issue | None:
    too_far_north = max(abs(case.bounds[1]), abs(case.bounds[3])) > 90.0
    if case.fits() or not (case.swapped.fits() or (too_far_north and _inside(case.swapped.lonlat(), None, 0))):
        return None
    return _finding(
        "crs_axes_swapped",
        f"latitude stands in x and longitude in y: {_numbers(case)} ({case.crs})",
        "export the source again with x = longitude, y = latitude; the CRS itself seems right",
    )


# projected


def _degrees_as_metres(case: _Case) -> Issue | None:
    if case.extent > _LARGEST_EXTENT_DEG:
        return None
    readings = [reading for reading in (case.bounds, case.swapped.bounds) if _are_degrees(reading)]
    if not readings or (case.fits() and not _tiny_and_there(case, readings)):
        return None
    swap = "" if readings[0] == case.bounds else ", with latitude in x"
    if case.area is not None:
        there = [reading for reading in readings if _inside(_corners(reading), case.area, _MARGIN_DEG)]
        swap = ", with latitude in x" if there and there[0] != case.bounds else swap
    return _finding(
        "crs_degrees_as_metres",
        f"{case.crs} has metres, but the coordinates {_numbers(case)} are degrees{swap}",
        'set `crs` to the geographic system of the source: "EPSG:4490" (CGCS2000), "EPSG:4326" (WGS 84), '
        'or "gcj02" or "bd09" for web-map data' + ("; export it again with x = longitude" if swap else ""),
    )


def _are_degrees(bounds: Bounds) -> bool:
    return bounds[0] >= -180.0 and bounds[2] <= 360.0 and bounds[1] >= -90.0 and bounds[3] <= 90.0


def _tiny_and_there(case: _Case, readings: list[Bounds]) -> bool:
    """True where the numbers would be a few metres of ground but, as degrees, lie where the CRS is meant for."""
    return case.extent < _SMALLEST_EXTENT_M and any(
        _inside(_corners(reading), case.area, 0.0) for reading in readings if case.area
    )


def _corners(bounds: Bounds) -> npt.NDArray[np.float64]:
    return np.array([bounds[:2], bounds[2:]], np.float64)


def _projected_swapped(case: _Case) -> Issue | None:
    if case.fits():
        return None
    zone = None if case.swapped.fits() else _zone_prefix(case.swapped)
    if zone is None and not case.swapped.fits():
        return None
    also = "" if zone is None else f"; also, {zone.text}"
    step = "" if zone is None else f"; then {zone.next_step}"
    return _finding(
        "crs_axes_swapped",
        f"northings stand in x and eastings in y: {_numbers(case)} ({case.crs}){also}",
        f"export the source again with x = easting, y = northing{step}",
    )


def _prefix(bounds: Bounds) -> int | None:
    """The zone number in front of the eastings, 0 for none; None where they do not agree on one."""
    first, last = int(bounds[0] // 1e6), int(bounds[2] // 1e6)
    return first if first == last and first >= 0 else None


def _zone_prefix(case: _Case) -> Issue | None:
    easting, found = false_easting(case.crs), _prefix(case.bounds)
    if easting is None or found is None or case.fits() or case.read_as(parse_crs("EPSG:3857")).fits_in(case.area):
        return None
    stated = int(easting // 1e6)
    shifted = tuple(value + (stated - found) * 1e6 * (i % 2 == 0) for i, value in enumerate(case.bounds))
    if found == stated or not _in_grid(found, stated, shifted):
        return None
    right = _right_zone(family_of(case.crs), stated, found, case)
    return _finding(
        "crs_zone_prefix",
        _prefix_text(case, stated, found),
        f'set `crs = "{right.name}"` ({right.pyproj.name})'
        if right
        else "use the variant of the CRS whose false easting has the prefix of the data",
        [right] if right else [],
    )


def _in_grid(found: int, stated: int, shifted: tuple[float, ...]) -> bool:
    """True where one of the two carries a Chinese zone number and the rest of the easting lies inside a zone."""
    rest = shifted[0] - stated * 1e6, shifted[2] - stated * 1e6
    zones = {0, *range(13, 24), *range(25, 46)}
    return {found, stated} <= zones and rest[0] > 100_000 and rest[1] < 900_000


def _prefix_text(case: _Case, stated: int, found: int) -> str:
    if not case.crs.public:
        return "the eastings and the false easting of the private CRS do not carry the same zone prefix"
    has = f"begin with the zone prefix {found}" if found else "have no zone prefix"
    wants = f"prefix {stated}" if stated else "none"
    return f"the eastings {has}, but {case.crs} ({case.crs.pyproj.name}) has {wants}: {_numbers(case)}"


def _right_zone(family: ZoneFamily | None, stated: int, found: int, case: _Case) -> Crs | None:
    if family is None:
        return None
    candidate = crs_of(family.with_prefix(found) if found else family.without_prefix(stated))
    return candidate if candidate is not None and case.read_as(candidate).fits() else None


# both


def _outside_area(case: _Case) -> Issue | None:
    if case.fits(margin=0.0):
        return None
    near = case.fits()
    name = (
        ""
        if not case.crs.public or case.crs.kind != "proj" or case.crs.pyproj.area_of_use is None
        else f" ({case.crs.pyproj.area_of_use.name})"
    )
    fitting = [] if near else _fitting_neighbours(case)
    return _finding(
        "crs_outside_area_of_use",
        f"the data lie {'just ' if near else ''}outside the area that {case.crs} is meant for{name}: "
        f"the centre is {case.place()}",
        "nothing, if the project crosses the border of the zone" if near else f"check the CRS{_one_of(fitting)}",
        fitting,
        Severity.NOTE if near else Severity.WARNING,
    )


def _fitting_neighbours(case: _Case) -> list[Crs]:
    """Other zones of the family in which the same numbers would lie inside the zone, and Web Mercator."""
    family = family_of(case.crs)
    mercator = parse_crs("EPSG:3857")
    fitting = [mercator] if case.area and case.read_as(mercator).fits_in(case.area) else []
    x = case.bounds[0] - (_prefix(case.bounds) or 0) * 1e6
    meridian = central_meridian(case.crs)
    if family is None or meridian is None or not 100_000 < x < 900_000:
        return fitting
    near = (crs_of(code) for code in family.plain_codes())
    around = [crs for crs in near if crs is not None and abs((central_meridian(crs) or 0.0) - meridian) <= 6.0]
    return fitting + [crs for crs in around if crs != case.crs and case.read_as(crs).fits(0.0)]


def _datum_finding(case: _Case) -> Issue | None:
    lonlat = case.lonlat()
    if not np.isfinite(lonlat).all():
        return None
    try:
        text = datum_note(case.crs, lonlat)
    except CrsError as error:
        return _finding("crs_datum_unknown", error.what, error.next_step)
    step = "nothing, if that is enough; else give a definition with exact parameters as `crs_file`"
    return None if text is None else _finding("crs_datum_shift", text, step, severity=Severity.NOTE)


def _finding(
    code: str, text: str, next_step: str, fitting: list[Crs] | None = None, severity: Severity = Severity.ERROR
) -> Issue:
    detail = {"suggestion": [crs.name for crs in fitting]} if fitting else {}
    return Issue(code, severity, text, next_step=next_step, detail=detail)


def _numbers(case: _Case) -> str:
    x0, y0, x1, y1 = case.bounds
    return f"x {x0:.10g} to {x1:.10g}, y {y0:.10g} to {y1:.10g}"


def _one_of(fitting: list[Crs]) -> str:
    listed = " or ".join(f"{crs.name} ({crs.pyproj.name})" for crs in fitting)
    return f"; the same numbers would fit {listed}" if fitting else ""


_GEOGRAPHIC = (_metres_as_degrees, _geographic_swapped, _outside_area)
_PROJECTED = (_degrees_as_metres, _zone_prefix, _projected_swapped, _outside_area)
