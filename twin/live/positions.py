"""Positions of reports in whatever system a source has, brought to WGS 84 a batch at a time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from twin.crs.reference import Crs, parse_crs, to_wgs84_lonlat
from twin.errors import CrsError
from twin.live.refusals import Refused
from twin.live.values import number_of

#: Written by sources that mean WGS 84 longitude and latitude; nothing has to be converted.
_PLAIN = frozenset({"EPSG:4326", "epsg:4326", "WGS84", "wgs84", "OGC:CRS84", "CRS84"})
#: What a report may state: codes, and the names that stand in no register. A definition in full may be the secret of a
#: city and has no place in a report; looking through the register for a name costs 0.3 s a time.
_STATED = re.compile(
    r"(?:[A-Za-z]{2,8}:[A-Za-z0-9]{1,12}|urn:ogc:def:crs:[A-Za-z]{2,8}:[\d.]{0,8}:[A-Za-z0-9]{1,12}"
    r"|gcj-?02|bd-?09(?:ll)?|wgs-?84|crs84|cgcs-?2000)\Z",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Given:
    """A position as a report gives it: x (longitude) east, y (latitude) north, in the system `crs`."""

    x: float
    y: float
    crs: str

    @property
    def plain(self) -> bool:
        """True where it is WGS 84 already."""
        return self.crs in _PLAIN


def read_position(place: Mapping[str, Any], default_crs: str) -> Given | None:
    """The position that a `place` gives as `lon`, `lat` or `x`, `y`; None where it gives none.

    Exactly (0, 0) in degrees is what broken devices send; it counts as no position.

    Raises:
        Refused: `bad_position`, `bad_number`, `wrong_type`, `unknown_crs`.
    """
    stated = place.get("crs")
    if stated and not (isinstance(stated, str) and _STATED.match(stated.strip())):
        raise Refused("unknown_crs", "`place.crs` must be a code such as EPSG:4549, or gcj02, bd09, wgs84, cgcs2000")
    degrees = _pair(place, "lon", "lat")
    plane = _pair(place, "x", "y") if "x" in place or "y" in place else None
    if degrees and plane:
        raise Refused("bad_position", "the place has both `lon`, `lat` and `x`, `y`: send the one that was measured")
    pair = degrees or plane
    if pair is None:
        return None
    x, y = pair
    given = Given(x, y, stated.strip() if stated else default_crs)
    if not given.plain:
        return given
    if x == 0.0 and y == 0.0:
        return None
    check_degrees(x, y)
    return given


def _pair(place: Mapping[str, Any], first: str, second: str) -> tuple[float, float] | None:
    x, y = number_of(place.get(first), f"place.{first}"), number_of(place.get(second), f"place.{second}")
    if x is None and y is None:
        return None
    if x is None or y is None:
        raise Refused("bad_position", f"the place has only one of `{first}` and `{second}`")
    return x, y


def check_degrees(lon: float, lat: float) -> None:
    """Raises `Refused` (`bad_position`) for degrees that are not on the Earth."""
    if -180.0 <= lon <= 180.0 and -90.0 <= lat <= 90.0:
        return
    swapped = -90.0 <= lon <= 90.0 and -180.0 <= lat <= 180.0
    hint = "they seem to be swapped" if swapped else "state `crs` where they are no degrees"
    raise Refused("bad_position", f"longitude {lon:g}, latitude {lat:g} is not on the Earth: {hint}")


def to_degrees(given: Sequence[Given]) -> list[tuple[float, float] | Refused]:
    """Longitude and latitude (WGS 84, degrees) of each position, or why there are none; row for row."""
    found: list[tuple[float, float] | Refused] = [(item.x, item.y) for item in given]
    rows: dict[str, list[int]] = {}
    for row, item in enumerate(given):
        if not item.plain:
            rows.setdefault(item.crs, []).append(row)
    for crs, members in rows.items():
        for row, place in zip(members, _converted(crs, [given[row] for row in members]), strict=True):
            found[row] = place
    return found


def is_public(crs: str) -> bool:
    """True where coordinates in the system may be shown beside those in WGS 84: together they tell its definition."""
    found = _step(crs)
    return not isinstance(found, Refused) and found[0].public


def _converted(crs: str, given: Sequence[Given]) -> Sequence[tuple[float, float] | Refused]:
    found = _step(crs)
    if isinstance(found, Refused):
        return [found] * len(given)
    return _by_step(found[1], np.array([(item.x, item.y) for item in given], np.float64))


def _by_step(step: Any, xy: npt.NDArray[np.float64]) -> list[tuple[float, float] | Refused]:
    try:
        lonlat = step(xy)
    except CrsError as error:
        if len(xy) == 1:
            return [Refused("position_outside", error.what)]
        return [place for row in range(len(xy)) for place in _by_step(step, xy[row : row + 1])]
    fits = np.isfinite(lonlat).all(axis=1) & (np.abs(lonlat) <= (180.0, 90.0)).all(axis=1)
    outside = Refused("position_outside", "the position lies outside the area of its coordinate reference system")
    return [(lon, lat) if fit else outside for (lon, lat), fit in zip(lonlat.tolist(), fits.tolist(), strict=True)]


@lru_cache(maxsize=256)
def _step(crs: str) -> tuple[Crs, Any] | Refused:
    """A system and the way from it to WGS 84; failures are kept too, for finding nothing takes as long."""
    try:
        parsed = parse_crs(crs)
        return parsed, to_wgs84_lonlat(parsed)
    except CrsError as error:
        return Refused("unknown_crs", f"{error.what}; {error.next_step}".rstrip("; "))
