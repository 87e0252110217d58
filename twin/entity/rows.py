"""Rows of the entity index in the forms people ask for: polygons, GeoJSON, JSON values."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

Rings = list[list[list[float]]]

_DEGREE_DIGITS = 9  # a tenth of a millimetre


def exterior_bounds(geometry: pa.ChunkedArray) -> NDArray[np.float64]:
    """(n, 4) west, south, east, north of each row; NaN where there is no geometry."""
    found = [_bounds(chunk) for chunk in geometry.chunks]
    return np.concatenate(found) if found else np.empty((0, 4))


def _bounds(chunk: pa.ListArray) -> NDArray[np.float64]:
    """Bounds of one chunk, from its coordinates where they lie."""
    ends, level = np.asarray(chunk.offsets), chunk.values
    for _ in range(2):
        ends = np.asarray(level.offsets)[ends]
        level = level.values
    xy = np.asarray(level.values).reshape(-1, 2)
    bounds = np.full((len(chunk), 4), np.nan)
    filled = np.flatnonzero(ends[1:] > ends[:-1])
    if len(filled):
        xy, starts = xy[: ends[-1]], ends[:-1][filled]
        bounds[filled, :2] = np.minimum.reduceat(xy, starts, axis=0)
        bounds[filled, 2:] = np.maximum.reduceat(xy, starts, axis=0)
    return bounds


def polygons(geometry: pa.ChunkedArray, rows: NDArray[np.int64]) -> NDArray[np.object_]:
    """Shapely multipolygons of a few rows."""
    shapes = [_shape(geometry[int(row)].as_py() or []) for row in rows]
    return np.array(shapes, dtype=object)


def _shape(rings: list[Rings]) -> shapely.MultiPolygon:
    return shapely.MultiPolygon([(polygon[0], polygon[1:]) for polygon in rings if polygon])


def multipolygons(geometry: pa.ChunkedArray) -> NDArray[np.object_]:
    """(n,) shapely multipolygons of many rows, made from the ragged arrays at once; null counts as empty."""
    made = shapely.from_ragged_array(shapely.GeometryType.MULTIPOLYGON, *ragged(geometry))
    return np.asarray(made, dtype=object)


def ragged(geometry: pa.ChunkedArray) -> tuple[NDArray[np.float64], tuple[NDArray[np.int64], ...]]:
    """(v, 2) coordinates, and offsets of rings, polygons and rows, each into the one before; null counts as empty."""
    whole = pa.concat_arrays(geometry.chunks or [pa.nulls(0, geometry.type)])
    shells = whole.flatten()
    rings = shells.flatten()
    xy = np.asarray(rings.flatten().flatten()).reshape(-1, 2)
    return xy, tuple(_offsets(level) for level in (rings, shells, whole))


def _offsets(lists: pa.ListArray) -> NDArray[np.int64]:
    """Offsets from 0, whatever the list was cut from."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def plain(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    """(n,) the polygon where there is one, the multipolygon where there are several, None where there is none."""
    single = shapely.get_num_geometries(shapes) == 1
    shapes[single] = shapely.get_geometry(shapes[single], 0)
    shapes[shapely.is_empty(shapes)] = None
    return shapes


def geojson_geometry(rings: list[Rings] | None, to_lonlat: Callable[..., Any]) -> dict[str, Any] | None:
    """GeoJSON geometry in degrees; one polygon is a `Polygon`, several are a `MultiPolygon`."""
    if not rings:
        return None
    degrees = [[_ring(ring, to_lonlat) for ring in polygon] for polygon in rings]
    if len(degrees) == 1:
        return {"type": "Polygon", "coordinates": degrees[0]}
    return {"type": "MultiPolygon", "coordinates": degrees}


def _ring(ring: list[list[float]], to_lonlat: Callable[..., Any]) -> list[list[float]]:
    xy = np.asarray(ring, dtype=np.float64)
    lon, lat = to_lonlat(xy[:, 0], xy[:, 1])
    written: list[list[float]] = np.round(np.column_stack([lon, lat]), _DEGREE_DIGITS).tolist()
    return written


def json_value(value: Any) -> Any:
    """A value as JSON knows it: no NaN, times in ISO 8601, bytes in hexadecimal."""
    if value is None or isinstance(value, str | int):
        return value  # nearly all of them
    match value:
        case dict():
            return {str(key): json_value(item) for key, item in value.items()}
        case list() | tuple():
            return [json_value(item) for item in value]
        case float() if not math.isfinite(value):
            return None
    write = next((write for kinds, write in _WRITTEN if isinstance(value, kinds)), None)
    return value if write is None else write(value)


_WRITTEN: tuple[tuple[tuple[type, ...], Callable[[Any], Any]], ...] = (
    ((datetime.date, datetime.time), lambda value: value.isoformat()),  # a datetime is a date
    ((datetime.timedelta,), lambda value: value.total_seconds()),
    ((Decimal,), float),
    ((bytes,), bytes.hex),
)
