"""Turns what a user writes for a CRS into one object that never gives a private definition away."""

from __future__ import annotations

import contextlib
import difflib
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import pyproj
from pyproj.database import CRSInfo, query_crs_info
from pyproj.exceptions import CRSError, ProjError

from twin.errors import CrsError

Kind = Literal["proj", "gcj02", "bd09"]

PRIVATE_NAME = "private CRS"
_HOW_TO_WRITE = (
    'write an EPSG code such as "EPSG:4549", a name, "gcj02", "bd09", '
    "or put a WKT or PROJ definition into a file and name it as `crs_file`"
)
_WEB_MAPS: dict[str, tuple[Kind, str]] = {
    "gcj02": ("gcj02", "GCJ-02"),
    "bd09": ("bd09", "BD-09"),
    "bd09ll": ("bd09", "BD-09"),
}
#: What people write where EPSG has a longer name.
_COMMON_NAMES = {
    "wgs84": "EPSG:4326",
    "crs84": "OGC:CRS84",
    "cgcs2000": "EPSG:4490",
    "etrs89": "EPSG:4258",
    "webmercator": "EPSG:3857",
    "beijing1954": "EPSG:4214",
    "beijing54": "EPSG:4214",
    "xian1980": "EPSG:4610",
    "xian80": "EPSG:4610",
}
_CODE = re.compile(r"^(?:urn:ogc:def:crs:)?([A-Za-z]+):(?:[\d.]*:)?([A-Za-z0-9_]+)(?:\+(?:([A-Za-z]+):)?(\d+))?$")
_LINK = re.compile(r"^https?://www\.opengis\.net/def/crs/([A-Za-z]+)/[\d.]+/([A-Za-z0-9_]+)$")
_INIT = re.compile(r"^\+?init=([A-Za-z]+):(\d+)(?:\s+\+type=crs)?(?:\s+\+no_defs)?$")
#: Decimals are in no name; they may be parameters out of a definition that went wrong.
_DECIMALS = re.compile(r"\d\.\d")
_DEFINITION = re.compile(r"[\[{=]")


class _HiddenCrs(pyproj.CRS):
    """A `pyproj.CRS` whose text forms say nothing of its definition."""

    def __repr__(self) -> str:
        return f"<{PRIVATE_NAME}>"

    def __str__(self) -> str:
        return f"<{PRIVATE_NAME}>"


@dataclass(frozen=True, slots=True)
class Crs:
    """A horizontal coordinate reference system; coordinates are always x = east or longitude, y = north or latitude.

    Attributes:
        name: What may be shown: "EPSG:4549", "GCJ-02", or "private CRS".
        kind: "proj" for anything PROJ knows; "gcj02" and "bd09" for the two shifted web-map systems of China.
        pyproj: The two-dimensional CRS; for "gcj02" and "bd09" WGS 84, in which their undistorted coordinates are.
        public: False where the user supplied the definition (WKT, PROJ string, PROJJSON). It is then never shown.
    """

    name: str
    kind: Kind
    pyproj: pyproj.CRS = field(repr=False)
    public: bool = True

    def __str__(self) -> str:
        return self.name

    @property
    def is_geographic(self) -> bool:
        """True where coordinates are longitude and latitude."""
        return bool(self.pyproj.is_geographic)


def parse_crs(text: str) -> Crs:
    """Reads a CRS as a user writes it.

    Understood are codes ("EPSG:4549", "4549", "ESRI:102100", URNs), names ("CGCS2000 / 3-degree Gauss-Kruger CM
    120E"), WKT, PROJJSON, PROJ strings, "gcj02" and "bd09". Of a compound or three-dimensional CRS the horizontal
    part is kept: heights have their own datum (`twin.crs.vertical`).

    A definition given in full (WKT, PROJJSON, PROJ string) may be the secret of a city and is treated so, with one
    exception: where it is, parameter by parameter, an entry of the public register (the `.prj` file of a Shapefile
    usually is), it is that entry.

    Args:
        text: What the user wrote.

    Returns:
        The CRS.

    Raises:
        CrsError: The text is empty, unknown, or not a horizontal CRS on the Earth.
    """
    text = text.strip()
    if not text or text.upper().startswith("FILL-ME"):
        raise CrsError("no coordinate reference system is given", next_step=_HOW_TO_WRITE)
    plain = _plain(text)
    if plain in _WEB_MAPS:
        kind, name = _WEB_MAPS[plain]
        return Crs(name, kind, pyproj.CRS.from_epsg(4326))
    code = _registered_code(text) or _COMMON_NAMES.get(plain)
    if code is not None:
        return _from_code(code)
    if _DEFINITION.search(text):
        return _from_definition(text)
    return _from_name(text)


def _plain(text: str) -> str:
    return re.sub(r"[^0-9a-z]", "", text.casefold())


def _registered_code(text: str) -> str | None:
    """The "AUTHORITY:CODE" that the text names, or None."""
    if re.fullmatch(r"\d{4,6}", text):
        return f"EPSG:{text}"
    link = _LINK.match(text) or _INIT.match(text)
    if link:
        return f"{link[1].upper()}:{link[2]}"
    match = _CODE.match(text)
    return f"{match[1].upper()}:{match[2]}" if match else None


def _from_code(code: str) -> Crs:
    parsed = _proj_parse(code)
    if parsed is None:
        raise CrsError(f"{code} is not a coordinate reference system that PROJ knows", next_step=_HOW_TO_WRITE)
    flat = _horizontal_part(parsed, code)
    authority = flat.to_authority(min_confidence=100) if flat is not parsed else None
    return Crs(":".join(authority) if authority else code, "proj", flat)


def _from_name(text: str) -> Crs:
    wanted = _plain_name(text)
    matches = [info for info in _registered_names() if _plain_name(info.name) == wanted]
    if matches:
        return _from_code(f"{matches[0].auth_name}:{matches[0].code}")
    names = {info.name: f"{info.auth_name}:{info.code}" for info in _registered_names()}
    near = difflib.get_close_matches(text, names, n=3, cutoff=0.6)
    hint = "did you mean " + " or ".join(f"{names[name]} ({name})" for name in near) + "? " if near else ""
    shown = "what is written there (not shown)" if _DECIMALS.search(text) else repr(text[:80])
    raise CrsError(f"no coordinate reference system is called {shown}", next_step=hint + _HOW_TO_WRITE)


@lru_cache(maxsize=1)
def _registered_names() -> tuple[CRSInfo, ...]:
    authorities = ("EPSG", "ESRI", "OGC")
    return tuple(info for info in query_crs_info() if info.auth_name in authorities and not info.deprecated)


def _plain_name(name: str) -> str:
    return _plain(re.sub(r"gauss[- ]kr[uü]e?ger", "gk", name.casefold()))


def _from_definition(text: str) -> Crs:
    with _quiet_proj():
        parsed = _proj_parse(text, _HiddenCrs)
        if parsed is None:
            raise CrsError(
                "PROJ cannot read the definition of the CRS (WKT, PROJJSON or PROJ string; not shown)",
                next_step="check it in QGIS; a PROJ string starts with +proj=, WKT with PROJCRS[ or PROJCS[",
            )
        flat = _horizontal_part(parsed, "the given definition")
        public = _register_entry(flat)
    return public or Crs(PRIVATE_NAME, "proj", _HiddenCrs(flat.to_wkt()), public=False)


@contextlib.contextmanager
def _quiet_proj() -> Iterator[None]:
    """Keeps PROJ's own debug messages, which may quote a private definition, out of every log."""
    logger = logging.getLogger("pyproj")

    def refuse(record: logging.LogRecord) -> bool:  # noqa: ARG001 - the signature of a logging filter
        return False

    logger.addFilter(refuse)
    try:
        yield
    finally:
        logger.removeFilter(refuse)


def _proj_parse(text: str, kind: type[pyproj.CRS] = pyproj.CRS) -> pyproj.CRS | None:
    """What PROJ makes of the text; its exceptions quote the text, so they end here and leave no trace."""
    try:
        return kind(text)
    except (CRSError, ProjError):
        return None


def _horizontal_part(crs: pyproj.CRS, what: str) -> pyproj.CRS:
    """The two-dimensional CRS inside a compound or three-dimensional one.

    Raises:
        CrsError: There is none.
    """
    flat = crs
    if flat.is_compound:
        flat = flat.sub_crs_list[0]
    if flat.is_geocentric or flat.is_vertical or not (flat.is_geographic or flat.is_projected):
        sort = "geocentric" if flat.is_geocentric else "vertical" if flat.is_vertical else "not tied to the Earth"
        raise CrsError(f"{what} is {sort}; a horizontal coordinate reference system is needed", next_step=_HOW_TO_WRITE)
    return flat.to_2d() if len(flat.axis_info) > 2 else flat


def _register_entry(crs: pyproj.CRS) -> Crs | None:
    """The public register's entry that the definition equals, or None."""
    if crs.is_bound:
        return None
    authority = crs.to_authority("EPSG", min_confidence=25) or crs.to_authority(min_confidence=25)
    if authority is None:
        return None
    entry = _proj_parse(":".join(authority))
    if entry is None or _parameters(entry) != _parameters(crs):
        return None
    return Crs(":".join(authority), "proj", entry)


def _parameters(crs: pyproj.CRS) -> tuple[object, ...]:
    """Everything that decides the numbers, whatever the wording and the axis order."""
    base = crs.geodetic_crs
    if base is None or base.datum is None or base.ellipsoid is None or base.prime_meridian is None:
        return (object(),)  # equal to nothing
    operation = crs.coordinate_operation
    terms = (
        ()
        if operation is None
        else ((p.name, float(p.value) * float(p.unit_conversion_factor)) for p in operation.params)
    )
    return (
        _plain(base.datum.name).removesuffix("ensemble"),
        _rounded(base.ellipsoid.semi_major_metre),
        _rounded(base.ellipsoid.inverse_flattening),
        _rounded(base.prime_meridian.longitude * float(base.prime_meridian.unit_conversion_factor)),
        tuple(_rounded(axis.unit_conversion_factor) for axis in crs.axis_info[:2]),
        None if operation is None else operation.method_name,
        tuple(sorted((name, _rounded(value)) for name, value in terms if value)),
    )


def _rounded(value: float) -> float:
    return float(f"{value:.11g}")
