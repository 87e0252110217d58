"""Positions of reports in whatever system a source has, brought to WGS 84 a batch at a time."""

from __future__ import annotations

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
#: Codes and names are short. A definition written in full may be the secret of a city and has no place in a report.
_LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class Given:
    """A position as a report gives it: x (longitude) east, y (latitude) north, in the system `crs`."""

    x: float
    y: float
    crs: str
    stated: bool

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
    names = ("lon", "lat") if "lon" in place or "lat" in place else ("x", "y")
    x, y = (number_of(place.get(name), f"place.{name}") for name in names)
    if x is None and y is None:
        return None
    if x is None or y is None:
        raise Refused("bad_position", f"the place has only one of `{names[0]}` and `{names[1]}`")
    stated = place.get("crs")
    if stated is not None and (not isinstance(stated, str) or len(stated) > _LONGEST_NAME):
        raise Refused("unknown_crs", "`place.crs` must be a code or a name, such as EPSG:4549 or gcj02")
    given = Given(x, y, (stated or "").strip() or default_crs, bool(stated))
    if not given.plain:
        return given
    if x == 0.0 and y == 0.0:
        return None
    check_degrees(x, y)
    return given


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
    return crs in _PLAIN or _step(crs)[0].public


def _converted(crs: str, given: Sequence[Given]) -> Sequence[tuple[float, float] | Refused]:
    try:
        step = _step(crs)[1]
    except CrsError as error:
        refusal = Refused("unknown_crs", f"{error.what}; {error.next_step}".rstrip("; "))
        return [refusal] * len(given)
    return _by_step(step, np.array([(item.x, item.y) for item in given], np.float64))


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


@lru_cache(maxsize=64)
def _step(crs: str) -> tuple[Crs, Any]:
    parsed = parse_crs(crs)
    return parsed, to_wgs84_lonlat(parsed)
