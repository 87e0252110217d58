"""The quick way from WKB to footprints gives what the slow way gives, or says that it cannot."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.twin.geometry.shapes import any_footprint
from twin.geometry.clean import CleanOptions, clean, clean_rings
from twin.geometry.wkb_rings import read_rings

BAD = [
    None,
    shapely.Polygon(),
    shapely.MultiPolygon(),
    shapely.from_wkt("POLYGON((0 0, 10 10, 10 0, 0 10, 0 0))"),
    shapely.from_wkt("POLYGON((0 0, 20 0, 20 10, 9 10, 11 12, 11 10, 0 10, 0 0))"),
    shapely.from_wkt("POLYGON((0 0, 10 0, 10 5, 30 5, 10 5, 10 10, 0 10, 0 0))"),
    shapely.from_wkt("POLYGON((0 0, 0 10, 10 10, 10 0, 0 0))"),
    shapely.box(0, 0, 0.2, 0.2),
    shapely.from_wkt("POLYGON((0 0, 10 0, 10 10, 0 10, 0 0), (0 0, 5 1, 1 5, 0 0))"),
    shapely.from_wkt("POLYGON((0 0, 10 0, 5 5, 10 10, 0 10, 5 5, 0 0))"),
]


def column(shapes: list[object]) -> pa.Array:
    return pa.array(shapely.to_wkb(np.array(shapes, dtype=object)), pa.binary())


@settings(deadline=None, max_examples=150)
@given(st.lists(st.one_of(any_footprint, st.sampled_from(BAD)), min_size=1, max_size=6))
def test_both_ways_agree_on_every_feature(shapes: list[object]) -> None:
    array = np.array([*shapes, None], dtype=object)[:-1]
    rings = read_rings(column(shapes))
    assert rings is not None
    quick = clean_rings(rings, shapely.is_missing(array), CleanOptions())
    slow = clean(array, CleanOptions())
    assert list(quick.refused) == list(slow.refused)
    assert list(quick.repaired) == list(slow.repaired)
    assert quick.area_before == pytest.approx(slow.area_before, abs=1e-6)
    assert quick.area_after == pytest.approx(slow.area_after, abs=1e-6)
    for name in ("xy", "ring", "polygon", "feature"):
        assert (getattr(quick.footprints, name) == getattr(slow.footprints, name)).all()


@pytest.mark.parametrize(
    "shape",
    [
        shapely.Point(1, 2),
        shapely.LineString([(0, 0), (1, 1)]),
        shapely.from_wkt("POLYGON Z((0 0 1, 1 0 1, 1 1 1, 0 0 1))"),
        shapely.GeometryCollection([shapely.box(0, 0, 1, 1)]),
    ],
)
def test_what_is_not_plain_is_left_to_others(shape: object) -> None:
    assert read_rings(column([shapely.box(0, 0, 5, 5), shape])) is None


@settings(deadline=None, max_examples=100)
@given(any_footprint, st.integers(0, 400), st.integers(0, 255))
def test_a_damaged_record_never_breaks_the_reader(shape: shapely.Geometry, at: int, byte: int) -> None:
    record = bytearray(shapely.to_wkb(shape))
    record[at % len(record)] = byte
    read_rings(pa.array([bytes(record), bytes(record[: at % len(record)])], pa.binary()))
    rings = read_rings(pa.array([bytes(record)], pa.binary()))
    assert rings is None or len(rings) == 1
