"""The spatial operators of a filter, and the boxes of `bbox`: coarse by bounds in degrees, then exact by GEOS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import shapely
from numpy.typing import NDArray
from shapely.errors import GEOSException

from twin.entity.index_schema import GEOMETRY
from twin.errors import CrsError
from twin.query.cql import Node, refused
from twin.query.crs import FeatureCrs, feature_crs, move
from twin.query.view import Rows, View

_OPERATORS = {
    "s_intersects": shapely.intersects, "s_equals": shapely.equals, "s_disjoint": shapely.disjoint,
    "s_touches": shapely.touches, "s_within": shapely.within, "s_overlaps": shapely.overlaps,
    "s_crosses": shapely.crosses, "s_contains": shapely.contains,
}  # fmt: skip
SPATIAL = tuple(_OPERATORS)
_TURNED = {"s_within": "s_contains", "s_contains": "s_within"}
_WGS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_EDGE_PARTS = 32  # a straight edge in one CRS is a curve in another
_MOST_VERTICES = 5000
Box = tuple[float, float, float, float]


class PrivateCrsError(CrsError):
    """Geometry is asked for whose CRS must not be known here."""


@dataclass(frozen=True, slots=True)
class Place:
    """How coordinates that a client writes are meant.

    Attributes:
        crs: Their CRS, axes in the order of its definition.
    """

    crs: FeatureCrs


def footprints(view: View, rows: Rows, crs: FeatureCrs) -> NDArray[np.object_]:
    """Footprints in the horizontal part of a CRS, x = east; None where there is none.

    Raises:
        PrivateCrsError: The working CRS is private and unknown here.
    """
    if view.crs is None:
        what = "The working CRS of this release is private"
        raise PrivateCrsError(what, next_step="serve the project folder")
    return move(view.shapes(rows), view.crs, crs.crs)


def literal(node: Node, place: Place) -> shapely.Geometry:
    """A geometry of a filter, x = east.

    Raises:
        FilterError: It is none, or too large.
    """
    try:
        made = _made(node)
    except (GEOSException, ValueError, TypeError, KeyError, IndexError):
        raise refused("A geometry in the filter cannot be read.") from None
    if shapely.get_num_coordinates(made) > _MOST_VERTICES:
        raise refused(f"A geometry in the filter has at most {_MOST_VERTICES} vertices.")
    xy = shapely.get_coordinates(made)
    if not np.isfinite(xy).all():
        raise refused("A geometry in the filter has a coordinate that is no number.")
    flat: shapely.Geometry = shapely.force_2d(made)
    turned: shapely.Geometry = shapely.set_coordinates(flat, xy[:, ::-1]) if place.crs.north_first else flat
    return turned


def _made(node: Node) -> Any:
    if "bbox" in node:
        corners = [float(one) for one in node["bbox"]]
        if len(corners) == 6:
            corners = [corners[i] for i in (0, 1, 3, 4)]
        west, south, east, north = corners
        return shapely.box(west, south, east, north)
    return np.asarray(shapely.from_geojson([_geojson(node)]), dtype=object)[0]


def _geojson(node: Node) -> str:
    return orjson.dumps(node).decode()


def lonlat_bounds(shape: shapely.Geometry, crs: FeatureCrs) -> Box | None:
    """Bounds in degrees of what a geometry covers; None where nothing of it can be expressed in them."""
    west, south, east, north = shapely.bounds(shape).tolist()
    if not np.isfinite([west, south, east, north]).all():
        return None
    if crs.crs == feature_crs(_WGS84).crs:
        return west, south, east, north
    step = max(east - west, north - south) / _EDGE_PARTS or 1.0
    dense = shapely.segmentize(shapely.box(west, south, east, north), step)
    moved = move(np.array([dense], dtype=object), crs.crs, feature_crs(_WGS84).crs)[0]
    if moved is None:
        return None
    w, s, e, n = shapely.bounds(moved).tolist()
    slack = 0.01 * max(e - w, n - s) + 1e-7
    return w - slack, s - slack, e + slack, n + slack


def spatial(op: str, args: tuple[Node, Node], view: View, rows: Rows, place: Place) -> Any:
    """The truth of a spatial operator for rows; null where a feature has no geometry."""
    left, right = args
    own = {"property": GEOMETRY}
    if own not in (left, right):
        if any(isinstance(one, dict) and "property" in one for one in args):
            raise refused(f"The only geometry of a feature is called {GEOMETRY!r}.")
        return pa.scalar(bool(_call(op, literal(left, place), literal(right, place))))
    if left == own and right == own:
        shapes = footprints(view, rows, place.crs)
        return _nullable(_call(op, shapes, shapes), ~np.asarray(shapely.is_missing(shapes)))
    if right == own:
        op, right = _TURNED.get(op, op), left
    return _against(op, view, rows, literal(right, place), place)


def _call(op: str, left: Any, right: Any) -> Any:
    try:
        return _OPERATORS[op](left, right)
    except GEOSException:
        raise refused("A geometry in the filter is invalid.") from None


def _against(op: str, view: View, rows: Rows, shape: shapely.Geometry, place: Place) -> pa.Array:
    """Rows against one geometry: only those whose bounds touch it are looked at closely."""
    shapely.prepare(shape)
    bounds = lonlat_bounds(shape, place.crs)
    near = np.arange(len(rows)) if bounds is None else np.flatnonzero(np.isin(rows, view.overlapping(bounds)))
    truth = np.full(len(rows), op == "s_disjoint")
    truth[near] = _prepared(op, footprints(view, rows[near], place.crs), shape)
    return _nullable(truth, np.asarray(np.isfinite(view.bounds[rows]).all(axis=1)))


def _prepared(op: str, shapes: NDArray[np.object_], shape: shapely.Geometry) -> NDArray[np.bool_]:
    """GEOS is quicker with the prepared geometry on the left."""
    return np.asarray(_call(_TURNED.get(op, op), shape, shapes), bool)


def _nullable(truth: NDArray[np.bool_], known: NDArray[np.bool_]) -> pa.Array:
    return pa.array(truth, mask=~np.asarray(known, bool))


def inside_box(view: View, box: Box, crs: FeatureCrs) -> Rows:
    """Rows whose footprint meets a box, ascending.

    Args:
        view: The entities.
        box: Two corners in `crs`, x = east. In degrees, a west that is larger than the east spans the antimeridian.
        crs: Its CRS.
    """
    west, south, east, north = box
    if crs.crs.is_geographic and west > east:
        halves = [inside_box(view, part, crs) for part in ((west, south, 180.0, north), (-180.0, south, east, north))]
        return np.union1d(*halves)
    shape = shapely.box(west, south, east, north)
    bounds = lonlat_bounds(shape, crs)
    rows = np.arange(view.table.num_rows) if bounds is None else view.overlapping(bounds)
    sure = np.zeros(len(rows), bool)
    if bounds == box:
        w, s, e, n = view.bounds[rows].T
        sure = (w >= west) & (e <= east) & (s >= south) & (n <= north)
    doubtful = np.flatnonzero(~sure)
    shapely.prepare(shape)
    sure[doubtful] = shapely.intersects(shape, footprints(view, rows[doubtful], crs))
    return rows[sure]
