"""Turns heights above a sea-level datum into ellipsoidal heights, as a globe needs them, and guesses nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyproj
from pyproj.database import query_crs_info
from pyproj.enums import PJType
from pyproj.exceptions import CRSError

from twin.errors import CrsError

if TYPE_CHECKING:
    from twin.crs.geoid_grid import GeoidGrid

FloatArray = npt.NDArray[np.float64]

_ELLIPSOID = "ellipsoid"
_HOW_TO_WRITE = (
    "write the EPSG code of a vertical CRS as `vertical_datum` "
    '(in China "EPSG:5737", 1985 国家高程基准, also "H85"), a name such as "NAP", '
    'or "ellipsoid" for heights that are ellipsoidal already'
)
#: Spellings seen in Chinese and Dutch practice; everything else is looked up in the register.
_SPELLINGS = {
    "ellipsoid": _ELLIPSOID,
    "ellipsoidal": _ELLIPSOID,
    "大地高": _ELLIPSOID,
    "椭球高": _ELLIPSOID,
    "h85": "5737",
    "1985": "5737",
    "yellowsea1985": "5737",
    "1985国家高程基准": "5737",
    "国家高程基准1985": "5737",
    "85高程": "5737",
    "h56": "5736",
    "1956": "5736",
    "yellowsea1956": "5736",
    "1956年黄海高程系": "5736",
    "nap": "5709",
    "egm96": "5773",
    "egm2008": "3855",
    "egm84": "5798",
    "navd88": "5703",
    "evrf2007": "5621",
    "evrf2000": "5730",
    "rh2000": "5613",
    "n2000": "3900",
    "dhhn2016": "7837",
}
#: No point of the Earth's geoid is farther from the ellipsoid; a larger number is another unit or another thing.
_LARGEST_UNDULATION_M = 120.0


@dataclass(frozen=True, slots=True)
class VerticalDatum:
    """What heights are measured from.

    Attributes:
        name: What may be shown: "EPSG:5737 (Yellow Sea 1985 height)" or "ellipsoid".
        code: EPSG code of the vertical CRS; None for the ellipsoid.
    """

    name: str
    code: int | None

    @property
    def is_ellipsoidal(self) -> bool:
        """True where no undulation is needed, nor allowed."""
        return self.code is None

    def __str__(self) -> str:
        return self.name


ELLIPSOID = VerticalDatum(_ELLIPSOID, None)


def parse_vertical(text: str) -> VerticalDatum:
    """Reads a vertical datum as a user writes it: an EPSG code, "H85", "1985", "NAP", a registered name, "ellipsoid".

    Of the code of a compound CRS the vertical part counts; a three-dimensional geographic CRS (EPSG:4979, 4480) is
    the ellipsoid.

    Raises:
        CrsError: Empty, unknown, horizontal only, or a depth.
    """
    text = text.strip()
    if not text or text.upper().startswith("FILL-ME"):
        raise CrsError("no vertical datum is given", next_step=_HOW_TO_WRITE)
    plain = re.sub(r"[\s_\-:()/]", "", text.casefold())
    known = _SPELLINGS.get(plain) or _SPELLINGS.get(plain.removesuffix("height"))
    if known == _ELLIPSOID:
        return ELLIPSOID
    code = known or _code(text) or _code_of_name(text)
    if code is None:
        raise CrsError(f"no vertical datum is called {text[:80]!r}", next_step=_HOW_TO_WRITE)
    return _from_register(code, text)


def _code(text: str) -> str | None:
    match = re.fullmatch(r"(?:EPSG:)?(\d{4,6})(?:\+(\d{4,6}))?", text, re.IGNORECASE)
    return None if match is None else match[2] or match[1]


def _code_of_name(text: str) -> str | None:
    wanted = text.casefold().removesuffix(" height")
    entries = query_crs_info(auth_name="EPSG", pj_types=PJType.VERTICAL_CRS)
    return next((e.code for e in entries if e.name.casefold().removesuffix(" height") == wanted), None)


def _from_register(code: str, text: str) -> VerticalDatum:
    try:
        crs = pyproj.CRS.from_epsg(int(code))
    except CRSError as error:
        raise CrsError(f"EPSG:{code} is unknown to PROJ", next_step=_HOW_TO_WRITE) from error
    if crs.is_compound:
        crs = crs.sub_crs_list[1]
    if crs.is_geographic and len(crs.axis_info) == 3:
        return ELLIPSOID
    if not crs.is_vertical:
        raise CrsError(f"{text[:80]!r} is no vertical datum but {crs.name!r}", next_step=_HOW_TO_WRITE)
    if crs.axis_info[0].direction != "up":
        raise CrsError(
            f"{crs.name!r} counts downwards; heights are needed", next_step="convert the depths to heights first"
        )
    epsg = crs.to_epsg() or int(code)
    return VerticalDatum(f"EPSG:{epsg} ({crs.name})", epsg)


@dataclass(frozen=True, slots=True)
class Undulation:
    """Height of the datum's zero surface above the ellipsoid: ellipsoidal height = height + undulation.

    It belongs to the vertical datum it was determined for: a global model such as EGM96 differs from a national datum
    by decimetres, and nothing here corrects for that. Picklable; a grid is read where it is used, window by window.

    Attributes:
        constant_m: One number for the whole project, or None.
        grid: A raster of undulations, or None; exactly one of the two.
    """

    constant_m: float | None = None
    grid: GeoidGrid | None = None

    def __post_init__(self) -> None:
        if (self.constant_m is None) == (self.grid is None):
            raise CrsError("an undulation is a number or a grid, exactly one of the two", next_step=_UNDULATION_STEP)

    @classmethod
    def from_constant(cls, undulation_m: float) -> Undulation:
        """One undulation in metres for the whole project.

        Raises:
            CrsError: It is not finite, or larger than any undulation on Earth.
        """
        if not np.isfinite(undulation_m) or abs(undulation_m) > _LARGEST_UNDULATION_M:
            raise CrsError(
                f"a geoid undulation of {undulation_m} m does not exist on Earth (-107 m to +86 m)",
                next_step="`geoid_undulation_m` is in metres: ellipsoidal height minus height",
            )
        return cls(constant_m=float(undulation_m))

    @classmethod
    def from_grid(cls, path: Path | str) -> Undulation:
        """A raster in longitude and latitude whose values are undulations in metres (GeoTIFF, GTX, ...).

        Raises:
            CrsError: The file cannot be read or is not in longitude and latitude.
        """
        from twin.crs.geoid_grid import GeoidGrid  # brings in rasterio, which most projects do not need here

        return cls(grid=GeoidGrid.open(Path(path)))

    def at(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> FloatArray:
        """Undulation in metres, (n,), at WGS 84 longitude and latitude in degrees; NaN where the grid has no data.

        Raises:
            CrsError: A point is not finite or lies outside the grid.
        """
        lon, lat = np.broadcast_arrays(
            np.atleast_1d(np.asarray(lon, np.float64)), np.atleast_1d(np.asarray(lat, np.float64))
        )
        _refuse_non_finite("position", np.concatenate([lon.ravel(), lat.ravel()]))
        if self.grid is None:
            return np.full(lon.shape, self.constant_m, np.float64)
        return self.grid.at(lon, lat)


_UNDULATION_STEP = (
    "state `geoid_undulation_m` (a number of metres: ellipsoidal height minus height) "
    "or `geoid_grid` (a raster of them) in [project]; "
    "the survey office that runs the datum has the value"
)


def to_ellipsoid(
    h: npt.ArrayLike,
    lon: npt.ArrayLike,
    lat: npt.ArrayLike,
    datum: VerticalDatum | str,
    undulation: Undulation | None = None,
) -> FloatArray:
    """Ellipsoidal heights of heights above a datum.

    Args:
        h: Heights above the datum, metres, (n,).
        lon: WGS 84 longitudes, degrees, (n,).
        lat: WGS 84 latitudes, degrees, (n,).
        datum: What `h` counts from.
        undulation: Needed unless the datum is the ellipsoid, and refused if it is.

    Returns:
        (n,) metres above the WGS 84 ellipsoid.

    Raises:
        CrsError: A value is NaN or infinite; the undulation is missing, superfluous, or has no data at a point.
    """
    datum = parse_vertical(datum) if isinstance(datum, str) else datum
    check_undulation(datum, undulation)
    heights = np.atleast_1d(np.asarray(h, np.float64))
    _refuse_non_finite("height", heights)
    if undulation is None:
        return heights.copy()
    shift = undulation.at(lon, lat)
    if np.isnan(shift).any():
        first = int(np.argmax(np.isnan(shift)))
        where = np.broadcast_arrays(np.atleast_1d(lon), np.atleast_1d(lat))
        raise CrsError(
            f"the geoid grid has no data at {int(np.isnan(shift).sum())} points, "
            f"the first at lon {where[0][first]:.5f}, lat {where[1][first]:.5f}",
            file=None if undulation.grid is None else undulation.grid.path,
            next_step="use a grid that covers the project, or `geoid_undulation_m`",
        )
    return np.asarray(heights + shift, np.float64)


def check_undulation(datum: VerticalDatum, undulation: Undulation | None) -> None:
    """Refuses a datum without the undulation it needs, and the ellipsoid with one.

    Raises:
        CrsError: The two do not go together.
    """
    if undulation is None and not datum.is_ellipsoidal:
        raise CrsError(
            f"heights above {datum} cannot be placed on the ellipsoid without the geoid undulation there "
            "(PROJ would take them over unchanged)",
            next_step=_UNDULATION_STEP,
        )
    if undulation is not None and datum.is_ellipsoidal:
        raise CrsError(
            "the heights are ellipsoidal already, yet a geoid undulation is stated: it would be added twice",
            next_step="delete `geoid_undulation_m` and `geoid_grid`, or correct `vertical_datum`",
        )


def _refuse_non_finite(what: str, values: FloatArray) -> None:
    bad = ~np.isfinite(values)
    if bad.any():
        raise CrsError(
            f"{int(bad.sum())} of {values.size} {what} values are not finite (first: index {int(np.argmax(bad))})",
            next_step="leave features without a height out before their heights are converted",
        )
