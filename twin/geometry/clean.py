"""From whatever a survey calls a polygon to footprints that can be built on, with a reason for every change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from twin.geometry import kernels
from twin.geometry.footprints import Footprints, concat, empty, from_shapely, oriented

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]
Geometries = NDArray[np.object_]

_RING_DIRT_M2 = 0.01
_SURFACES = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)


@dataclass(frozen=True, slots=True)
class CleanOptions:
    """What counts as a footprint.

    Attributes:
        min_area_m2: Smaller surfaces are slivers, not buildings.
        repair_max_area_change: Largest share of area a repair may add or take away, 0 to 1.
        tolerance_m: Points that make no corner to this distance are left out.
    """

    min_area_m2: float = 1.0
    repair_max_area_change: float = 0.5
    tolerance_m: float = 0.0002


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Footprints row for row with the input.

    Attributes:
        footprints: n features; one that was refused has no polygon.
        refused: (n,) reason code or "" (object array of str).
        repaired: (n,) True where `make_valid` was needed.
        area_before, area_after: (n,) square metres, of the surface as it came and as it is.
    """

    footprints: Footprints
    refused: NDArray[np.object_]
    repaired: Bool
    area_before: F64
    area_after: F64


def clean(geometry: Geometries, options: CleanOptions | None = None) -> Cleaned:
    """Cleans surfaces in a projected CRS.

    Args:
        geometry: (n,) shapely geometries or None, metres.
        options: Limits.

    Returns:
        Footprints with rings open, turned the right way, without repeated points, spikes, or points on straight lines.
    """
    options = options or CleanOptions()
    refused = _refusals(geometry)
    usable = refused == ""
    surfaces = np.full(len(geometry), None, dtype=object)
    surfaces[usable] = geometry[usable]
    if shapely.has_z(surfaces).any():
        surfaces = shapely.force_2d(surfaces)
    footprints = _corners(from_shapely(surfaces), options.tolerance_m)
    area_before = np.abs(np.where(usable, shapely.area(surfaces), 0.0))
    invalid = np.flatnonzero(usable & ~shapely.is_valid(surfaces))
    repaired = np.zeros(len(geometry), dtype=bool)
    if len(invalid):
        still = ~shapely.is_valid(footprints.take(invalid).to_shapely())
        repaired[invalid[still]] = True
        mended = _corners(from_shapely(_repair(surfaces[invalid[still]], options)), options.tolerance_m)
        footprints = _replace(footprints, invalid[still], mended)
    footprints = _drop_slivers(footprints)
    area_after = footprints.area()
    refused[usable & ~(area_after >= options.min_area_m2)] = "geometry_degenerate"
    change = np.abs(area_after - area_before) > options.repair_max_area_change * np.maximum(area_after, area_before)
    refused[repaired & change] = "geometry_unrepairable"
    gone = refused != ""
    if (gone & (np.diff(footprints.feature) > 0)).any():
        footprints = _replace(footprints, np.flatnonzero(gone), empty(int(gone.sum())))
    return Cleaned(footprints, refused, repaired & ~gone, area_before, np.where(gone, 0.0, area_after))


#: Rings up to this many corners are tested edge against edge; longer ones go to GEOS, which sorts them.
_SIMPLE_CORNERS = 64


def clean_rings(raw: Footprints, missing: Bool, options: CleanOptions | None = None) -> Cleaned:
    """As `clean`, for rings that are arrays already; only what is not plainly simple becomes a shapely geometry.

    Args:
        raw: n features in a projected CRS, metres, rings opened but otherwise as they came.
        missing: (n,) True where the source has no geometry at all (null), as against an empty one.
        options: Limits.
    """
    options = options or CleanOptions()
    turned = oriented(raw)
    count = len(raw)
    if not np.isfinite(raw.xy).all():
        return clean(_shapes(raw, missing, np.arange(count)), options)
    cleaned = _drop_slivers(_corners(turned, options.tolerance_m))
    area = cleaned.area()
    plain = kernels.simple_shells(cleaned.xy, cleaned.ring, cleaned.polygon, cleaned.feature, _SIMPLE_CORNERS)
    plain &= (np.diff(raw.feature) == 1) & (area >= options.min_area_m2)
    none, nothing = np.full(count, "", dtype=object), np.zeros(count, dtype=bool)
    result = Cleaned(cleaned, none, nothing, turned.area(), area)
    others = np.flatnonzero(~plain)
    return _with_others(result, _shapes(raw, missing, others), others, options) if len(others) else result


def _shapes(raw: Footprints, missing: Bool, rows: I64) -> Geometries:
    shapes = raw.take(rows).to_shapely()
    shapes[missing[rows]] = None
    return shapes


def _with_others(result: Cleaned, shapes: Geometries, others: I64, options: CleanOptions) -> Cleaned:
    """Sends some rows through GEOS and puts what comes back in their places."""
    slow = clean(shapes, options)
    for name in ("refused", "repaired", "area_before", "area_after"):
        getattr(result, name)[others] = getattr(slow, name)
    footprints = _replace(result.footprints, others, slow.footprints)
    return Cleaned(footprints, result.refused, result.repaired, result.area_before, result.area_after)


def _refusals(geometry: Geometries) -> NDArray[np.object_]:
    refused = np.full(len(geometry), "", dtype=object)
    missing = shapely.is_missing(geometry)
    refused[missing] = "geometry_missing"
    refused[~missing & ~np.isin(shapely.get_type_id(geometry), _SURFACES)] = "geometry_type"
    refused[~missing & shapely.is_empty(geometry)] = "geometry_empty"
    open_rows = np.flatnonzero(refused == "")
    if len(open_rows):
        refused[open_rows[~np.isfinite(shapely.bounds(geometry[open_rows])).all(axis=1)]] = "geometry_not_finite"
        xy, owner = shapely.get_coordinates(geometry[open_rows], return_index=True)
        refused[open_rows[np.unique(owner[~np.isfinite(xy).all(axis=1)])]] = "geometry_not_finite"
    return refused


def _repair(surfaces: Geometries, options: CleanOptions) -> Geometries:
    """Valid surfaces; the structure method keeps what overlapping rings cover, where even-odd would punch holes.

    Whether a format calls one polygon a polygon or a multipolygon, and where its ring begins, makes no difference.
    """
    single = shapely.get_num_geometries(surfaces) == 1
    surfaces = shapely.normalize(np.where(single, shapely.get_geometry(surfaces, 0), surfaces))
    valid = shapely.normalize(shapely.make_valid(surfaces, method="structure", keep_collapsed=False))
    polygons = _polygons_only(valid)
    polygons[shapely.area(polygons) < options.min_area_m2] = None
    return polygons


def _polygons_only(geometry: Geometries) -> Geometries:
    parts, owner = shapely.get_parts(geometry, return_index=True)
    while np.isin(
        shapely.get_type_id(parts), (shapely.GeometryType.GEOMETRYCOLLECTION, shapely.GeometryType.MULTIPOLYGON)
    ).any():
        parts, inner = shapely.get_parts(parts, return_index=True)
        owner = owner[inner]
    surface = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    out = np.full(len(geometry), None, dtype=object)
    grouped = (
        shapely.multipolygons(parts[surface], indices=owner[surface]) if surface.any() else np.empty(0, dtype=object)
    )
    out[: len(grouped)] = grouped
    return out


def _corners(footprints: Footprints, tolerance: float) -> Footprints:
    """Leaves out points that make no corner, then rings and polygons that are nothing without them."""
    keep = kernels.keep_corners(footprints.xy, footprints.ring, tolerance)
    if keep.all():
        return footprints
    kept = np.concatenate([[0], np.cumsum(keep)])
    slim = Footprints(footprints.xy[keep], kept[footprints.ring], footprints.polygon, footprints.feature)
    return _without_rings(slim, np.diff(slim.ring) < 3)


def _drop_slivers(footprints: Footprints) -> Footprints:
    """Leaves out rings whose area is nothing: they are digitising dirt, not courts."""
    tiny = np.abs(footprints.ring_area()) < _RING_DIRT_M2
    return _without_rings(footprints, tiny) if tiny.any() else footprints


def _without_rings(footprints: Footprints, gone: Bool) -> Footprints:
    """Leaves out the marked rings; a polygon whose shell goes, goes with its holes."""
    if not gone.any():
        return footprints
    counts = np.diff(footprints.polygon)
    polygon_of_ring = np.repeat(np.arange(len(counts)), counts)
    shell_gone = np.zeros(len(counts), dtype=bool)
    filled = counts > 0
    shell_gone[filled] = gone[footprints.polygon[:-1][filled]]
    ring_gone = gone | shell_gone[polygon_of_ring]
    polygon_gone = shell_gone | ~filled
    vertex_gone = np.repeat(ring_gone, np.diff(footprints.ring))
    ring = _kept_offsets(np.diff(footprints.ring)[~ring_gone])
    rings_left = np.bincount(polygon_of_ring[~ring_gone], minlength=len(counts))
    polygon = _kept_offsets(rings_left[~polygon_gone])
    polygons_left = np.concatenate([[0], np.cumsum(~polygon_gone)])[footprints.feature]
    return Footprints(footprints.xy[~vertex_gone], ring, polygon, polygons_left)


def _kept_offsets(counts: I64) -> I64:
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def _replace(footprints: Footprints, rows: I64, others: Footprints) -> Footprints:
    """Puts other footprints in some rows."""
    order = np.arange(len(footprints))
    order[rows] = len(footprints) + np.arange(len(rows))
    return concat([footprints, others]).take(order)
