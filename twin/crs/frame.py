"""Places survey coordinates in a local east-north-up frame of the Earth, fast enough for every vertex of a city."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from twin.crs.definition import Crs
from twin.crs.polynomial import Surface, fit_surface
from twin.crs.transform import WGS84, horizontal
from twin.errors import CrsError

FloatArray = npt.NDArray[np.float64]

#: WGS 84 ellipsoid (EPSG:7030): semi-major axis in metres and first eccentricity squared.
_A = 6378137.0
_F = 1 / 298.257223563
_E2 = _F * (2 - _F)
#: Heights (metres, either sign) up to which the tolerance of a projector is certified.
CERTIFIED_HEIGHT_M = 10_000.0


def geodetic_to_ecef(lon: npt.ArrayLike, lat: npt.ArrayLike, h: npt.ArrayLike) -> FloatArray:
    """EPSG:4979 (degrees, ellipsoidal metres) to EPSG:4978, (n, 3) metres."""
    lam, phi, height = (
        np.radians(np.asarray(lon, np.float64)),
        np.radians(np.asarray(lat, np.float64)),
        np.asarray(h, np.float64),
    )
    sin, cos = np.sin(phi), np.cos(phi)
    radius = _A / np.sqrt(1 - _E2 * sin * sin)
    x, y = (radius + height) * cos * np.cos(lam), (radius + height) * cos * np.sin(lam)
    z = (radius * (1 - _E2) + height) * sin
    return np.stack(np.broadcast_arrays(x, y, z), axis=-1).reshape(-1, 3)


def ecef_to_geodetic(xyz: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """EPSG:4978 (n, 3) metres to longitude, latitude (degrees) and ellipsoidal height, each (n,).

    Bowring's start and three Newton-like rounds: better than 1e-9 m from 10 km below to far above the ellipsoid.
    """
    x, y, z = np.asarray(xyz, np.float64).reshape(-1, 3).T
    p = np.hypot(x, y)
    beta = np.arctan2(z, (1 - _F) * p)
    phi = beta
    for _ in range(3):
        phi = np.arctan2(z + _E2 / (1 - _F) * _A * np.sin(beta) ** 3, p - _E2 * _A * np.cos(beta) ** 3)
        beta = np.arctan2((1 - _F) * np.sin(phi), np.cos(phi))
    sin, cos = np.sin(phi), np.cos(phi)
    height = p * cos + z * sin - _A * np.sqrt(1 - _E2 * sin * sin)
    return np.degrees(np.arctan2(y, x)), np.degrees(phi), height


def ellipsoid_normal(lon: FloatArray, lat: FloatArray) -> FloatArray:
    """Outward unit normals of the ellipsoid in EPSG:4978 axes, (n, 3)."""
    lam, phi = np.radians(lon), np.radians(lat)
    return np.column_stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)])


@dataclass(frozen=True)
class LocalFrame:
    """An east-north-up frame whose origin stands on the WGS 84 ellipsoid.

    Attributes:
        lon, lat: Origin in degrees.
        h: Ellipsoidal height of the origin, metres.
    """

    lon: float
    lat: float
    h: float = 0.0

    def __post_init__(self) -> None:
        if not (np.isfinite([self.lon, self.lat, self.h]).all() and abs(self.lat) <= 90 and abs(self.lon) <= 360):
            raise CrsError(
                f"a local frame cannot stand at lon {self.lon}, lat {self.lat}, h {self.h}",
                next_step="check the CRS of the source",
            )

    @cached_property
    def rotation(self) -> FloatArray:
        """(3, 3): columns are the east, north and up axes in EPSG:4978."""
        lam, phi = np.radians(self.lon), np.radians(self.lat)
        sl, cl, sp, cp = np.sin(lam), np.cos(lam), np.sin(phi), np.cos(phi)
        return np.array([[-sl, -sp * cl, cp * cl], [cl, -sp * sl, cp * sl], [0.0, cp, sp]])

    @cached_property
    def origin(self) -> FloatArray:
        """(3,): the origin in EPSG:4978, metres."""
        return geodetic_to_ecef(self.lon, self.lat, self.h).reshape(3)

    @cached_property
    def matrix(self) -> tuple[float, ...]:
        """16 numbers, column-major, frame to EPSG:4978: what 3D Tiles calls `tile.transform`."""
        full = np.eye(4)
        full[:3, :3], full[:3, 3] = self.rotation, self.origin
        return tuple(float(value) for value in full.T.ravel())

    def to_ecef(self, xyz: FloatArray) -> FloatArray:
        """Frame to EPSG:4978, (n, 3) metres."""
        x, y, z = np.asarray(xyz, np.float64).reshape(-1, 3).T
        r, o = self.rotation, self.origin
        return np.column_stack([r[i, 0] * x + r[i, 1] * y + r[i, 2] * z + o[i] for i in range(3)])

    def from_ecef(self, xyz: FloatArray) -> FloatArray:
        """EPSG:4978 to frame, (n, 3) metres."""
        x, y, z = (np.asarray(xyz, np.float64).reshape(-1, 3) - self.origin).T
        r = self.rotation
        return np.column_stack([r[0, i] * x + r[1, i] * y + r[2, i] * z for i in range(3)])

    def from_lonlat(self, lon: npt.ArrayLike, lat: npt.ArrayLike, h: npt.ArrayLike) -> FloatArray:
        """EPSG:4979 (degrees, ellipsoidal metres) to frame, (n, 3) metres."""
        return self.from_ecef(geodetic_to_ecef(lon, lat, h))

    def to_lonlat(self, xyz: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Frame (n, 3) metres to longitude, latitude (degrees) and ellipsoidal height (metres), each (n,)."""
        return ecef_to_geodetic(self.to_ecef(xyz))


@dataclass(frozen=True, slots=True)
class EnuProjector:
    """Projects coordinates of one CRS into a local frame, to a stated tolerance against PROJ.

    PROJ is asked once, at nodes spread over the bounds; a polynomial through them then gives the point on the
    ellipsoid and the ellipsoid's normal there, and position = point + height x normal holds exactly. The polynomial
    is used only if it misses PROJ at a denser set of check points by less than half of the tolerance; points outside
    the bounds, and everything where no polynomial passes, go through PROJ itself. Within one projector the result of
    a point depends on nothing but that point, so any cut of the work into blocks gives the same bytes. Picklable.

    Args:
        crs: CRS of the coordinates; one that PROJ knows (not GCJ-02 or BD-09).
        frame: Target frame.
        bounds: (x_min, y_min, x_max, y_max) of the coordinates to come.
        tolerance_m: Largest deviation from PROJ, for heights up to `CERTIFIED_HEIGHT_M`.

    Raises:
        CrsError: The CRS is a web-map system, cannot be linked to WGS 84, or the bounds are not finite.
    """

    crs: Crs
    frame: LocalFrame
    bounds: tuple[float, float, float, float]
    tolerance_m: float = 0.0005
    surface: Surface | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.crs.kind != "proj":
            raise CrsError(
                f"{self.crs} is not a survey system", next_step="convert to the working CRS first (`horizontal`)"
            )
        low_high = tuple(float(value) for value in self.bounds)
        if (
            len(low_high) != 4
            or not np.isfinite(low_high).all()
            or low_high[0] > low_high[2]
            or low_high[1] > low_high[3]
        ):
            raise CrsError(
                "the bounds of the coordinates are empty or not finite",
                next_step="check the CRS and the geometry of the source",
            )
        object.__setattr__(self, "bounds", low_high)
        object.__setattr__(
            self, "surface", fit_surface(self._exact_surface, low_high, self.tolerance_m / 2, CERTIFIED_HEIGHT_M)
        )

    @property
    def is_exact(self) -> bool:
        """True where no polynomial met the tolerance, so that every point goes through PROJ."""
        return self.surface is None

    def project(self, x: npt.ArrayLike, y: npt.ArrayLike, h: npt.ArrayLike) -> FloatArray:
        """Coordinates and ellipsoidal heights (n,) to the frame, (n, 3) metres; NaN or inf where PROJ cannot."""
        x, y, h = (np.ascontiguousarray(a, np.float64) for a in np.broadcast_arrays(*map(np.atleast_1d, (x, y, h))))
        if self.surface is None:
            return self._exact(x, y, h)
        out, outside = self.surface.evaluate(x, y, h)
        if len(outside):
            out[outside] = self._exact(x[outside], y[outside], h[outside])
        return out

    def lonlat(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """WGS 84 longitude and latitude in degrees of coordinates (n,), by PROJ."""
        xy = np.column_stack([np.atleast_1d(np.asarray(x, np.float64)), np.atleast_1d(np.asarray(y, np.float64))])
        lonlat = horizontal(self.crs, WGS84)(xy)
        return lonlat[:, 0], lonlat[:, 1]

    def from_lonlat(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Coordinates x, y (n,) of WGS 84 longitude and latitude in degrees, by PROJ."""
        lonlat = np.column_stack(
            [np.atleast_1d(np.asarray(lon, np.float64)), np.atleast_1d(np.asarray(lat, np.float64))]
        )
        xy = horizontal(WGS84, self.crs)(lonlat)
        return xy[:, 0], xy[:, 1]

    def _exact(self, x: FloatArray, y: FloatArray, h: FloatArray) -> FloatArray:
        return self.frame.from_lonlat(*self.lonlat(x, y), h)

    def _exact_surface(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """(n, 6): the point on the ellipsoid and the unit normal there, in the frame."""
        lon, lat = self.lonlat(x, y)
        # PROJ says infinite where it cannot; the sine of that would be an alarm, of NaN it is NaN
        lon, lat = (np.where(np.isfinite(value), value, np.nan) for value in (lon, lat))
        point = self.frame.from_lonlat(lon, lat, np.zeros_like(lon))
        r = self.frame.rotation
        normal = np.einsum("ni,ij->nj", ellipsoid_normal(lon, lat), r)
        return np.hstack([point, normal])
