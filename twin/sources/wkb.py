"""WKB columns to shapely arrays: plane, linear, surfaces where possible, and a reason where a record is damaged."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

Geometries = NDArray[np.object_]
Floats = NDArray[np.float64]

#: OGC 06-103r4 table 7: the base type codes GEOS cannot read.
_CURVED: Final = np.array([8, 9, 10, 11, 12, 13, 14])
_PATCHED: Final = np.array([15, 16, 17])
_EWKB_Z: Final = 0x80000000
_EWKB_M: Final = 0x40000000
_EWKB_SRID: Final = 0x20000000
_REFUSALS: Final = (NotImplementedError, shapely.GEOSException, ValueError, TypeError)
#: Polyhedral surface and TIN are laid out like a multipolygon, a triangle like a polygon.
_PATCH_CONTAINER: Final = {15: 6, 16: 6, 17: 3}


@dataclass(frozen=True, slots=True)
class Decoded:
    """One block of decoded geometry.

    Attributes:
        geometry: (n,) shapely geometries, 2D and linear; None where the source has null or cannot be decoded.
        z_min, z_max: (n,) lowest and highest Z in the units of the source, NaN where the geometry is 2D.
        reasons: Row to reason code: damaged records, rings left out, nothing left.
        curved: How many rows were linearised.
        patched: How many polyhedral surfaces, TINs and triangles were projected to their footprint.
        records: The WKB as read, where none of it needed any treatment.
    """

    geometry: Geometries
    z_min: Floats
    z_max: Floats
    reasons: dict[int, str]
    curved: int = 0
    patched: int = 0
    records: pa.Array | None = None


def decode(column: pa.Array, linearise: Callable[[NDArray[np.int64]], list[bytes | None]]) -> Decoded:
    """Decodes a binary column of WKB (ISO, EWKB or mixed).

    Args:
        column: (n,) binary array.
        linearise: Gives the linear WKB of the curved rows it is asked for (row numbers in the block).

    Returns:
        Geometries with their Z range; damaged records do not stop the others.
    """
    kinds = base_types(column)
    values = column.to_numpy(zero_copy_only=False)
    curved = np.flatnonzero(np.isin(kinds, _CURVED))
    patched = np.flatnonzero(np.isin(kinds, _PATCHED))
    if len(curved) or len(patched):
        values = values.copy()
        if len(curved):
            values[curved] = np.array([*linearise(curved), None], dtype=object)[:-1]
        for row in patched:
            values[row] = patches_to_multipolygon(values[row])
    geometry, reasons = _from_wkb(values)
    decoded = finish(geometry, reasons, curved=len(curved), patched=patched)
    untouched = not (len(curved) or len(patched) or reasons)
    return replace(decoded, records=column) if untouched else decoded


def finish(
    geometry: Geometries,
    reasons: dict[int, str] | None = None,
    curved: int = 0,
    patched: NDArray[np.int64] | None = None,
) -> Decoded:
    """Drops Z and M (keeping the range of Z), joins patches, takes surfaces out of collections."""
    z_min, z_max = z_range(geometry)
    deep = shapely.has_z(geometry) | shapely.has_m(geometry)
    if deep.any():
        geometry = np.where(deep, shapely.force_2d(geometry), geometry)
    if patched is not None and len(patched):
        joined = [shapely.union_all(shapely.get_parts(geometry[row : row + 1])) for row in patched]
        geometry[patched] = np.array([*joined, None], dtype=object)[:-1]
    collections = np.flatnonzero(shapely.get_type_id(geometry) == shapely.GeometryType.GEOMETRYCOLLECTION)
    for row in collections:
        geometry[row] = surfaces_of(geometry[row])
    return Decoded(geometry, z_min, z_max, reasons or {}, curved, 0 if patched is None else len(patched))


def base_types(column: pa.Array) -> NDArray[np.int64]:
    """Type codes of a WKB column without reading the records.

    Returns:
        (n,) code 1 to 17 without its Z and M parts; -1 for null, 0 for a record too short to have one.
    """
    width = np.int64 if pa.types.is_large_binary(column.type) else np.int32
    _, offsets_buffer, data_buffer = column.buffers()
    kinds = np.full(len(column), -1, dtype=np.int64)
    if len(column) == 0 or data_buffer is None:
        return kinds
    offsets = np.frombuffer(offsets_buffer, dtype=width)[column.offset : column.offset + len(column) + 1].astype(
        np.int64
    )
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    readable = valid & (np.diff(offsets) >= 5)
    data = np.frombuffer(data_buffer, dtype=np.uint8)
    kinds[valid] = 0
    start = offsets[:-1][readable]
    octets = data[start[:, None] + np.arange(5)]
    little = octets[:, 0] == 1
    code = np.where(little, octets[:, 1:5].copy().view("<u4")[:, 0], octets[:, 1:5].copy().view(">u4")[:, 0])
    kinds[readable] = (code & 0x0FFFFFFF) % 1000
    return kinds


def patches_to_multipolygon(record: bytes) -> bytes | None:
    """Rewrites a polyhedral surface, TIN or triangle as the multipolygon or polygon of the same layout.

    OGC 06-103r4 gives all of them rings in polygon layout, so only the type codes change.
    """
    out = bytearray(record)
    try:
        code, order = _retype(out, 0)
        if (code & 0x0FFFFFFF) % 1000 == 6:
            (count,) = struct.unpack_from(order + "I", out, 5)
            at = 9
            for _ in range(count):
                inner, inner_order = _retype(out, at)
                at = _skip_polygon(out, at, inner, inner_order)
    except (struct.error, IndexError):
        return None
    return bytes(out)


def _retype(out: bytearray, at: int) -> tuple[int, str]:
    order = "<" if out[at] == 1 else ">"
    (code,) = struct.unpack_from(order + "I", out, at + 1)
    base = (code & 0x0FFFFFFF) % 1000
    new = code - base + _PATCH_CONTAINER.get(base, base)
    struct.pack_into(order + "I", out, at + 1, new)
    return new, order


def _skip_polygon(out: bytearray, at: int, code: int, order: str) -> int:
    dimensions = _dimensions(code)
    (rings,) = struct.unpack_from(order + "I", out, at + 5)
    at += 9
    for _ in range(rings):
        (points,) = struct.unpack_from(order + "I", out, at)
        at += 4 + points * dimensions * 8
    return at


def _from_wkb(values: Geometries) -> tuple[Geometries, dict[int, str]]:
    wanted = np.not_equal(values, np.array(None, dtype=object)).astype(bool)
    try:
        geometry = shapely.from_wkb(values, on_invalid="ignore")
    except _REFUSALS:
        geometry = np.array([*map(_one_from_wkb, values), None], dtype=object)[:-1]
    reasons: dict[int, str] = {}
    for row in np.flatnonzero(wanted & shapely.is_missing(geometry)).tolist():
        geometry[row], reasons[row] = salvage(values[row])
    return geometry, reasons


def _one_from_wkb(value: bytes | None) -> Any:
    try:
        return shapely.from_wkb(value, on_invalid="ignore")
    except _REFUSALS:
        return None


def salvage(record: bytes) -> tuple[Any, str]:
    """What can be had of a polygon record that GEOS refuses: rings closed, rings of less than three points dropped.

    Returns:
        The geometry (None where the record itself is damaged) and the reason code.
    """
    try:
        polygons, _ = _surfaces_at(record, 0)
    except (struct.error, IndexError, ValueError, RecursionError):
        return None, "geometry_read_failed"
    kept = [rings for rings in polygons if rings and rings[0] is not None]
    if not kept:
        return shapely.Polygon(), "geometry_degenerate"
    shapes = [shapely.Polygon(rings[0], [ring for ring in rings[1:] if ring is not None]) for rings in kept]
    return (shapes[0] if len(shapes) == 1 else shapely.MultiPolygon(shapes)), "geometry_repaired"


def _surfaces_at(record: bytes, at: int) -> tuple[list[list[Floats | None]], int]:
    """Polygons of a polygon, multipolygon or collection record at an offset, and the offset behind it."""
    order = "<" if record[at] == 1 else ">"
    (code,) = struct.unpack_from(order + "I", record, at + 1)
    base = (code & 0x0FFFFFFF) % 1000
    at += 9 if code & _EWKB_SRID else 5
    (count,) = struct.unpack_from(order + "I", record, at)
    at += 4
    found: list[list[Floats | None]] = []
    if base == 3:
        rings: list[Floats | None] = []
        for _ in range(count):
            ring, at = _ring_at(record, at, order, _dimensions(code))
            rings.append(ring)
        return [rings], at
    if base not in (6, 7):
        raise ValueError("not a surface")
    for _ in range(count):
        inner, at = _surfaces_at(record, at)
        found += inner
    return found, at


def _ring_at(record: bytes, at: int, order: str, dimensions: int) -> tuple[Floats | None, int]:
    (points,) = struct.unpack_from(order + "I", record, at)
    at += 4
    xyz = np.frombuffer(record, dtype=order + "f8", count=points * dimensions, offset=at).reshape(points, dimensions)
    ring = xyz[:, : min(dimensions, 3)].astype(np.float64)
    return (ring if len(ring) >= 3 else None), at + points * dimensions * 8


def _dimensions(code: int) -> int:
    thousands = (code & 0x0FFFFFFF) // 1000
    return int({0: 2, 1: 3, 2: 3, 3: 4}.get(thousands, 2)) + bool(code & _EWKB_Z) + bool(code & _EWKB_M)


def z_range(geometry: Geometries) -> tuple[Floats, Floats]:
    """Lowest and highest Z of each geometry.

    Returns:
        Two (n,) arrays, NaN where a geometry is 2D, null or has no finite Z.
    """
    low = np.full(len(geometry), np.nan)
    high = np.full(len(geometry), np.nan)
    rows = np.flatnonzero(shapely.has_z(geometry))
    if len(rows) == 0:
        return low, high
    xyz, owner = shapely.get_coordinates(geometry[rows], include_z=True, return_index=True)
    z = xyz[:, 2]
    finite = np.isfinite(z)
    z, owner = z[finite], owner[finite]
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    if len(first):
        low[rows[owner[first]]] = np.minimum.reduceat(z, first)
        high[rows[owner[first]]] = np.maximum.reduceat(z, first)
    return low, high


def surfaces_of(collection: Any) -> Any:
    """The polygons of a geometry collection as one (multi)polygon; the collection itself where it has none."""
    parts = list(shapely.get_parts(collection))
    polygons = []
    while parts:
        part = parts.pop(0)
        if part.geom_type in ("GeometryCollection", "MultiPolygon"):
            parts[:0] = list(shapely.get_parts(part))
        elif part.geom_type == "Polygon" and not part.is_empty:
            polygons.append(part)
    if not polygons:
        return collection
    return polygons[0] if len(polygons) == 1 else shapely.multipolygons(polygons)
