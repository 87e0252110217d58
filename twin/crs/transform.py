"""Moves horizontal coordinates from one CRS to another and refuses where PROJ could only pretend to."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyproj
from pyproj import Transformer
from pyproj.exceptions import ProjError
from pyproj.transformer import TransformerGroup

from twin.caught import caught_warnings
from twin.crs import datum_cn
from twin.crs.definition import Crs
from twin.errors import CrsError

if TYPE_CHECKING:
    from pyproj._crs import CoordinateOperation

FloatArray = npt.NDArray[np.float64]
#: (west, south, east, north) in degrees.
Area = tuple[float, float, float, float]
Step = Callable[[FloatArray], FloatArray]

WGS84 = Crs("EPSG:4326", "proj", pyproj.CRS.from_epsg(4326))

#: Datums taken as one: realisations of ITRS or ETRS89. They differ by plate motion (decimetres), which nobody states
#: in a base map; PROJ itself links CGCS2000 to WGS 84 by a ballpark null operation only. See docs/crs.md.
_ONE_FRAME = re.compile(
    r"^(world geodetic system 1984|china[ _]?2000|d_china_2000|cgcs ?2000|china geodetic coordinate system 2000"
    r"|european terrestrial reference (system 1989|frame)|international terrestrial reference frame)",
    re.IGNORECASE,
)
_PIVOTS = (4326, 4258, 4490)
#: Degrees a point may lie outside the registered area of use of a datum operation.
_AREA_MARGIN_DEG = 0.25
#: Operations known to be worse than this are refused: a base map of buildings cannot be placed with them.
_WORST_ACCURACY_M = 5.0
#: Nothing is said of operations better than this, unless a grid would better them.
_GOOD_ACCURACY_M = 1.0


def horizontal(source: Crs, target: Crs) -> Step:
    """The function that moves coordinates from one CRS to another.

    Args:
        source: CRS of what goes in.
        target: CRS of what comes out.

    Returns:
        A picklable function (n, 2) float64 → (n, 2) float64; x = east or longitude, y = north or latitude on both
        sides, whatever axis order the definitions state. Rows that PROJ cannot express come back as inf or NaN. The
        function raises `CrsError` for finite points outside the area of every registered datum operation.

    Raises:
        CrsError: The two datums differ and only a ballpark link (coordinates taken over unchanged) is known.
    """
    _steps(source, target)  # raises now, not in a worker
    return _Horizontal(source, target)


def to_wgs84_lonlat(crs: Crs) -> Step:
    """The function that gives WGS 84 longitude and latitude in degrees; see `horizontal`."""
    return horizontal(crs, WGS84)


def base_geographic(crs: Crs) -> Crs:
    """The longitude/latitude CRS under a CRS; for one with its own shift (`+towgs84`) the one it shifts to."""
    if crs.kind != "proj":
        return WGS84
    base = _base(crs.pyproj)
    if crs.public:
        authority = base.to_authority(min_confidence=100)
        return Crs(":".join(authority) if authority else base.name, "proj", base)
    return WGS84 if base == WGS84.pyproj else Crs(crs.name, "proj", type(crs.pyproj)(base.to_wkt()), public=False)


def to_base(crs: Crs) -> Step:
    """The function that gives longitude and latitude on the CRS's own datum, linked to another or not."""
    step = None if crs.kind != "proj" else _exact(crs.pyproj, _base(crs.pyproj), crs)
    return _identity if step is None else step


def datum_note(crs: Crs, lonlat: FloatArray) -> str | None:
    """How the datum of a CRS is linked to WGS 84 at places (n, 2) on its own datum, in a sentence; None where it is
    one frame.

    Raises:
        CrsError: There is no link there.
    """
    base = _base(crs.pyproj)
    if crs.kind != "proj" or _one_frame(base):
        return None
    shift = _shift(base, WGS84.pyproj, crs, WGS84)
    assert isinstance(shift, _Shift)
    used = shift.used_at(lonlat)
    worst = max(operation.accuracy_m for operation in used)
    grids = _missing_grids(base, lonlat)
    if worst <= _GOOD_ACCURACY_M and not grids:
        return None
    names = ", ".join(sorted({operation.name for operation in used}))
    better = f"; a better one needs the grid {grids[0]} in PROJ's data directory" if grids else ""
    return f"{_datum_text(crs)} is linked to WGS 84 by {names}, good to {worst:g} m{better}"


def _missing_grids(base: pyproj.CRS, lonlat: FloatArray) -> list[str]:
    """Grid files, not installed, of operations made for the places."""
    groups = [_group(base, pyproj.CRS.from_epsg(code)) for code in _PIVOTS]
    lacking = [operation for group in groups if group is not None for operation in group.unavailable_operations]
    return [grid.short_name for operation in lacking if _made_for(operation, lonlat) for grid in operation.grids]


def _made_for(operation: CoordinateOperation, lonlat: FloatArray) -> bool:
    use = operation.area_of_use
    return use is not None and bool(_in_area(lonlat, (use.west, use.south, use.east, use.north), 0.0).all())


def _identity(xy: FloatArray) -> FloatArray:
    return np.array(xy, np.float64).reshape(-1, 2)


def is_projected_metric(crs: Crs) -> bool:
    """True where x runs east and y north in metres, as a working CRS must."""
    if crs.kind != "proj" or not crs.pyproj.is_projected:
        return False
    axes = crs.pyproj.axis_info
    return {axis.direction for axis in axes} == {"east", "north"} and all(
        axis.unit_conversion_factor == 1.0 for axis in axes
    )


@dataclass(frozen=True, slots=True)
class _Horizontal:
    source: Crs
    target: Crs

    def __call__(self, xy: FloatArray) -> FloatArray:
        out = np.array(xy, np.float64).reshape(-1, 2)
        for step in _steps(self.source, self.target):
            out = step(out)
        return out


@lru_cache(maxsize=256)
def _steps(source: Crs, target: Crs) -> tuple[Step, ...]:
    if source == target:
        return ()
    steps: list[Step] = []
    if source.kind != "proj":
        steps.append(datum_cn.gcj02_to_wgs84 if source.kind == "gcj02" else datum_cn.bd09_to_wgs84)
    steps += _proj_steps(source, target)
    if target.kind != "proj":
        steps.append(datum_cn.wgs84_to_gcj02 if target.kind == "gcj02" else datum_cn.wgs84_to_bd09)
    return tuple(steps)


def _proj_steps(source: Crs, target: Crs) -> list[Step]:
    """Source → its geographic base → the target's base → target; only the middle one can lose accuracy."""
    a, b = _base(source.pyproj), _base(target.pyproj)
    steps = [_exact(source.pyproj, a, source), *_datum_steps(a, b, source, target), _exact(b, target.pyproj, target)]
    return [step for step in steps if step is not None]


def _base(crs: pyproj.CRS) -> pyproj.CRS:
    if crs.is_bound and crs.target_crs is not None:
        return _base(crs.target_crs)
    base = crs if crs.is_geographic else crs.geodetic_crs
    if base is None:  # `parse_crs` lets no such CRS through
        raise CrsError("the coordinate reference system has no geographic base")
    return base.to_2d() if len(base.axis_info) > 2 else base


def _exact(source: pyproj.CRS, target: pyproj.CRS, owner: Crs) -> Step | None:
    """A map projection or the shift a definition carries itself: exact by definition."""
    if source is target or source == target:
        return None
    step: Step | None
    try:
        step = _Proj(Transformer.from_crs(source, target, always_xy=True, allow_ballpark=False))
    except ProjError:
        step = None  # raised below: PROJ's text may quote a private definition and must not be chained
    if step is None:
        raise CrsError(
            f"PROJ cannot compute with {owner}",
            next_step="check the definition; a grid it names (+nadgrids) must lie in PROJ's data directory",
        )
    return step


@dataclass(frozen=True, slots=True)
class _Proj:
    transformer: Transformer

    def __call__(self, xy: FloatArray) -> FloatArray:
        return np.column_stack(self.transformer.transform(xy[:, 0], xy[:, 1]))


def _one_frame(base: pyproj.CRS) -> bool:
    """True for longitude and latitude in degrees on one of the realisations taken as one."""
    if base.datum is None or base.ellipsoid is None or not _ONE_FRAME.match(base.datum.name):
        return False
    degrees = all(abs(axis.unit_conversion_factor - np.pi / 180) < 1e-12 for axis in base.axis_info)
    greenwich = base.prime_meridian is not None and base.prime_meridian.longitude == 0
    return degrees and greenwich and abs(base.ellipsoid.semi_major_metre - 6378137.0) < 1e-3


def _datum_steps(a: pyproj.CRS, b: pyproj.CRS, source: Crs, target: Crs) -> list[Step]:
    if a.equals(b, ignore_axis_order=True) or (_one_frame(a) and _one_frame(b)):
        return []
    if _one_frame(a) or _one_frame(b):
        return [_shift(a, b, source, target)]
    direct = _operations([(a, b)])
    if direct:
        return [_Shift(tuple(direct), _degrees(a), _missing_link(source, target))]
    hub = WGS84.pyproj
    return [_shift(a, hub, source, WGS84), _shift(hub, b, WGS84, target)]


def _shift(a: pyproj.CRS, b: pyproj.CRS, source: Crs, target: Crs) -> Step:
    pivots = [pyproj.CRS.from_epsg(code) for code in _PIVOTS]
    pairs = [(pivot, b) for pivot in pivots] if _one_frame(a) else [(a, pivot) for pivot in pivots]
    operations = _operations([(a, b), *pairs])
    if not operations:
        raise CrsError(*_missing_link(source, target)[:1], next_step=_missing_link(source, target)[1])
    return _Shift(tuple(operations), _degrees(a), _missing_link(source, target))


def _missing_link(source: Crs, target: Crs) -> tuple[str, str]:
    what = " and ".join(_datum_text(crs) for crs in (source, target))
    return (
        f"no transformation good to {_WORST_ACCURACY_M:g} m is known between {what}; "
        "taking the numbers over unchanged would shift them by up to 100 m and more",
        "give the CRS as a definition that carries its parameters (+towgs84=dx,dy,dz,rx,ry,rz,s; "
        "all zeros if the datum is WGS 84 or CGCS2000) in a `crs_file`, "
        "or convert the source beforehand",
    )


def _datum_text(crs: Crs) -> str:
    datum = _base(crs.pyproj).datum
    if not crs.public or datum is None:
        return f"the datum of the {crs.name}"
    return f"{datum.name} ({crs.name})"


@dataclass(frozen=True, slots=True)
class Operation:
    """One registered datum operation: its function, where it holds and how well, in metres."""

    transformer: Transformer
    area: Area | None
    accuracy_m: float
    name: str


def _in_area(lonlat: FloatArray, area: Area | None, margin: float) -> npt.NDArray[np.bool_]:
    """Which points (n, 2), degrees, lie in the area, widened by `margin` degrees; all of them where it is None."""
    if area is None:
        return np.ones(len(lonlat), bool)
    west, south, east, north = area
    lon, lat = lonlat[:, 0], lonlat[:, 1]
    span = (east - west) % 360 or 360.0
    inside = (lon - west + margin) % 360 <= span + 2 * margin
    return np.asarray(inside & (lat >= south - margin) & (lat <= north + margin), np.bool_)


def _operations(pairs: list[tuple[pyproj.CRS, pyproj.CRS]]) -> list[Operation]:
    """Every operation that PROJ can run now, that is no ballpark and good enough for buildings; best first."""
    found = [_operation(transformer) for a, b in pairs for transformer in _transformers(a, b)]
    good = [operation for operation in found if operation.accuracy_m <= _WORST_ACCURACY_M]
    return sorted(good, key=lambda o: (o.accuracy_m, _size(o.area), o.name))


def _transformers(a: pyproj.CRS, b: pyproj.CRS) -> list[Transformer]:
    group = _group(a, b)
    return [] if group is None else list(group.transformers)


def _group(a: pyproj.CRS, b: pyproj.CRS) -> TransformerGroup | None:
    try:
        with caught_warnings("ignore"):  # "best transformation is not available" is told by `datum_note`
            return TransformerGroup(a, b, always_xy=True, allow_ballpark=False)
    except ProjError:
        return None


def _operation(transformer: Transformer) -> Operation:
    use = transformer.area_of_use
    area = None if use is None else (use.west, use.south, use.east, use.north)
    accuracy = transformer.accuracy if transformer.accuracy is not None and transformer.accuracy >= 0 else np.inf
    name = transformer.description.replace(" + axis order change (2D)", "").replace("axis order change (2D) + ", "")
    return Operation(transformer, area, float(accuracy), name)


def _size(area: Area | None) -> float:
    return np.inf if area is None else ((area[2] - area[0]) % 360 or 360.0) * (area[3] - area[1])


def _degrees(base: pyproj.CRS) -> tuple[float, float]:
    """Factor and offset that take a geographic CRS's longitudes to degrees east of Greenwich."""
    factor = np.rad2deg(base.axis_info[0].unit_conversion_factor)
    meridian = base.prime_meridian
    offset = 0.0 if meridian is None else np.rad2deg(meridian.longitude * float(meridian.unit_conversion_factor))
    return float(factor), float(offset)


@dataclass(frozen=True, slots=True)
class _Shift:
    """Takes, point by point, the best operation whose area holds the point; so no result depends on its neighbours."""

    operations: tuple[Operation, ...]
    degrees: tuple[float, float]
    refusal: tuple[str, str]

    def __call__(self, lonlat: FloatArray) -> FloatArray:
        out = np.full(lonlat.shape, np.nan)
        for operation, rows in self._choice(lonlat):
            out[rows] = np.column_stack(operation.transformer.transform(lonlat[rows, 0], lonlat[rows, 1]))
        return out

    def used_at(self, lonlat: FloatArray) -> list[Operation]:
        """The operations that the points need."""
        return [operation for operation, _ in self._choice(lonlat)]

    def _choice(self, lonlat: FloatArray) -> list[tuple[Operation, npt.NDArray[np.bool_]]]:
        factor, offset = self.degrees
        degrees = np.column_stack([lonlat[:, 0] * factor + offset, lonlat[:, 1] * factor])
        chosen, left = [], np.isfinite(lonlat).all(axis=1)
        for margin in (0.0, _AREA_MARGIN_DEG):
            for operation in self.operations:
                rows = left & _in_area(degrees, operation.area, margin)
                if rows.any():
                    chosen.append((operation, rows))
                    left &= ~rows
        if left.any():
            what, step = self.refusal
            raise CrsError(f"{what} ({int(left.sum())} points lie outside the area of every known one)", next_step=step)
        return chosen
