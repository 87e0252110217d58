"""WKB of any dialect becomes plane, linear geometry; a damaged record stays alone with its reason."""

from __future__ import annotations

import struct

import numpy as np
import pyarrow as pa
import shapely
from hypothesis import given
from hypothesis import strategies as st

from twin.sources import wkb

SQUARE = shapely.box(0, 0, 4, 3)


def never(rows: object) -> list[bytes | None]:
    raise AssertionError("nothing is curved")


def decode(*records: bytes | None, kind: pa.DataType | None = None) -> wkb.Decoded:
    return wkb.decode(pa.array(records, kind or pa.binary()), never)


def ring(points: list[tuple[float, ...]], order: str = "<") -> bytes:
    flat = [value for point in points for value in point]
    return struct.pack(f"{order}I{len(flat)}d", len(points), *flat)


def polygon(code: int, *rings: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}BII", order == "<", code, len(rings)) + b"".join(rings)


@given(
    st.lists(st.tuples(st.integers(-1000, 1000), st.integers(1, 50), st.none() | st.floats(-50, 500)), min_size=1),
    st.sampled_from(["iso", "extended"]),
    st.sampled_from([0, 1]),
    st.sampled_from([pa.binary(), pa.large_binary()]),
)
def test_every_dialect_gives_the_plane_shape_and_its_range_of_z(
    boxes: list[tuple[int, int, float | None]], flavor: str, order: int, kind: pa.DataType
) -> None:
    flat = np.array([shapely.box(x, 0, x + size, 1) for x, size, _ in boxes])
    spatial = [shape if z is None else shapely.force_3d(shape, z) for shape, (_, _, z) in zip(flat, boxes, strict=True)]
    decoded = decode(*shapely.to_wkb(spatial, flavor=flavor, byte_order=order), None, kind=kind)
    assert shapely.equals_exact(decoded.geometry[:-1], flat, tolerance=0).all()
    assert decoded.geometry[-1] is None
    expected = np.array([np.nan if z is None else z for _, _, z in boxes])
    np.testing.assert_array_equal(decoded.z_min[:-1], expected)
    np.testing.assert_array_equal(decoded.z_max[:-1], expected)
    assert decoded.reasons == {}


@given(st.binary(max_size=40))
def test_no_bytes_whatever_stop_the_rows_beside_them(junk: bytes) -> None:
    good = shapely.to_wkb(SQUARE)
    kinds = wkb.base_types(pa.array([junk], pa.binary()))
    decoded = wkb.decode(pa.array([good, junk, good], pa.binary()), lambda rows: [None] * len(rows))
    assert decoded.geometry[0].equals(SQUARE) and decoded.geometry[2].equals(SQUARE)
    assert kinds.shape == (1,)
    assert 0 not in decoded.reasons and 2 not in decoded.reasons


def test_a_truncated_record_is_named_as_damaged() -> None:
    record = shapely.to_wkb(SQUARE)
    decoded = decode(record, record[:-9], b"\x01", record)
    assert decoded.reasons == {1: "geometry_read_failed", 2: "geometry_read_failed"}
    assert [shape is None for shape in decoded.geometry] == [False, True, True, False]


def test_rings_that_geos_refuses_are_closed_or_dropped_with_a_reason() -> None:
    outer = [(0.0, 0.0), (4.0, 0.0), (4.0, 3.0), (0.0, 3.0)]
    closed = ring([*outer, outer[0]])
    decoded = decode(
        polygon(3, ring(outer)),
        polygon(3, closed, ring([(1, 1), (2, 2)])),
        polygon(3, ring([(0, 0), (1, 1)])),
        struct.pack("<BII", 1, 6, 2) + polygon(3, closed) + polygon(3, ring([(9, 9), (8, 8)])),
    )
    assert [shape.area for shape in decoded.geometry] == [12, 12, 0, 12]
    assert decoded.reasons == {
        0: "geometry_repaired",
        1: "geometry_repaired",
        2: "geometry_degenerate",
        3: "geometry_repaired",
    }


def test_patches_in_space_become_their_footprint() -> None:
    floor = ring([(0, 0, 0), (4, 0, 0), (4, 3, 0), (0, 3, 0), (0, 0, 0)])
    wall = ring([(0, 0, 0), (4, 0, 0), (4, 0, 9), (0, 0, 9), (0, 0, 0)])
    roof = ring([(0, 0, 9), (4, 0, 9), (4, 3, 9), (0, 3, 9), (0, 0, 9)])
    surface = struct.pack("<BII", 1, 1015, 3) + polygon(1003, floor) + polygon(1003, wall) + polygon(1003, roof)
    halves = [ring([(0, 0, 1), (4, 0, 1), (4, 3, 1), (0, 0, 1)]), ring([(0, 0, 1), (4, 3, 1), (0, 3, 1), (0, 0, 1)])]
    tin = struct.pack("<BII", 1, 1016, 2) + polygon(1017, halves[0]) + polygon(1017, halves[1])
    decoded = decode(surface, tin, polygon(17, ring([(0, 0), (4, 0), (4, 3), (0, 0)])))
    assert [shape.area for shape in decoded.geometry] == [12, 12, 6]
    assert decoded.patched == 3
    assert (decoded.z_min[0], decoded.z_max[0], decoded.z_min[1]) == (0, 9, 1)


def test_only_the_surfaces_of_a_collection_are_taken() -> None:
    other = shapely.box(10, 0, 11, 1)
    mixed = shapely.GeometryCollection([shapely.Point(1, 1), SQUARE, shapely.GeometryCollection([other])])
    lines = shapely.GeometryCollection([shapely.LineString([(0, 0), (1, 1)])])
    decoded = decode(shapely.to_wkb(mixed), shapely.to_wkb(lines))
    assert decoded.geometry[0].geom_type == "MultiPolygon"
    assert decoded.geometry[0].area == 13
    assert decoded.geometry[1].equals(lines)


def test_measures_are_dropped() -> None:
    record = polygon(3003, ring([(0, 0, 5, 77), (4, 0, 6, 77), (4, 3, 7, 77), (0, 0, 5, 77)]))
    measured = polygon(2003, ring([(0, 0, 77), (4, 0, 77), (4, 3, 77), (0, 0, 77)]))
    decoded = decode(record, measured)
    assert not shapely.has_z(decoded.geometry).any() and not shapely.has_m(decoded.geometry).any()
    assert [shape.area for shape in decoded.geometry] == [6, 6]
    assert (decoded.z_min[0], decoded.z_max[0]) == (5, 7)
    assert np.isnan(decoded.z_min[1])


def test_curved_rows_are_asked_for_by_number() -> None:
    asked: list[list[int]] = []

    def linear(rows: np.ndarray) -> list[bytes | None]:
        asked.append(rows.tolist())
        return [shapely.to_wkb(SQUARE) for _ in rows]

    curve = struct.pack("<BII", 1, 10, 0)
    decoded = wkb.decode(pa.array([shapely.to_wkb(SQUARE), curve, None, curve], pa.binary()), linear)
    assert asked == [[1, 3]]
    assert decoded.curved == 2
    assert decoded.geometry[3].equals(SQUARE)


def test_slices_of_a_column_are_read_where_they_lie() -> None:
    records = shapely.to_wkb([SQUARE, shapely.Point(1, 2), SQUARE])
    part = pa.array(records, pa.binary())[1:]
    assert wkb.base_types(part).tolist() == [1, 3]
    assert wkb.decode(part, never).geometry[0].equals(shapely.Point(1, 2))
