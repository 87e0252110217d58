"""What becomes of bad polygons: repaired with a record, or refused with a reason."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings

from tests.twin.geometry.shapes import any_footprint
from twin.geometry.clean import CleanOptions, clean
from twin.geometry.footprints import concat, from_shapely


def one(geometry: object, **options: float) -> tuple[str, bool, float]:
    cleaned = clean(np.array([geometry], dtype=object), CleanOptions(**options))
    return cleaned.refused[0], bool(cleaned.repaired[0]), float(cleaned.area_after[0])


@pytest.mark.parametrize(
    ("geometry", "code"),
    [
        (None, "geometry_missing"),
        (shapely.Polygon(), "geometry_empty"),
        (shapely.MultiPolygon(), "geometry_empty"),
        (shapely.Point(1, 2), "geometry_type"),
        (shapely.LineString([(0, 0), (5, 5)]), "geometry_type"),
        (shapely.Polygon([(0, 0), (10, 0), (20, 0)]), "geometry_degenerate"),
        (shapely.Polygon([(0, 0), (100, 0), (100, 0.0001), (0, 0.0001)]), "geometry_degenerate"),
        (shapely.box(0, 0, 0.5, 0.5), "geometry_degenerate"),
        (shapely.from_wkt("POLYGON((0 0, 10 10, 10 0, 0 10, 0 0))"), "geometry_unrepairable"),
    ],
)
def test_what_cannot_be_built_on_has_a_reason(geometry: object, code: str) -> None:
    assert one(geometry) == (code, False, 0.0)


def test_a_coordinate_that_is_no_number_is_refused() -> None:
    with np.errstate(invalid="ignore"):
        for bad in (np.nan, np.inf):
            ring = shapely.Polygon(np.array([[0, 0], [10, 0], [10, bad], [0, 10], [0, 0]]))
            assert one(ring)[0] == "geometry_not_finite"


def test_a_small_loop_is_repaired_and_the_change_recorded() -> None:
    looped = shapely.Polygon([(0, 0), (20, 0), (20, 10), (9, 10), (11, 12), (11, 10), (0, 10)])
    assert not looped.is_valid
    code, repaired, area = one(looped)
    assert (code, repaired) == ("", True)
    assert 200 <= area <= 204


def test_a_spike_and_repeated_points_go_without_a_repair() -> None:
    spiked = shapely.Polygon([(0, 0), (10, 0), (10, 5), (30, 5), (10, 5), (10, 10), (0, 10), (0, 10), (0, 5), (0, 0)])
    cleaned = clean(np.array([spiked], dtype=object))
    assert not cleaned.repaired[0]
    assert sorted(map(tuple, cleaned.footprints.xy)) == [(0, 0), (0, 10), (10, 0), (10, 10)]


def test_wrong_winding_is_turned() -> None:
    clockwise = shapely.Polygon([(0, 0), (0, 10), (10, 10), (10, 0)], [[(2, 2), (4, 2), (4, 4), (2, 4)]])
    footprints = clean(np.array([clockwise], dtype=object)).footprints
    assert (np.sign(footprints.ring_area()) == [1, -1]).all()


def test_a_refused_feature_leaves_its_row() -> None:
    shapes = np.array([shapely.box(0, 0, 9, 9), None, shapely.Point(0, 0), shapely.box(5, 5, 9, 9)], dtype=object)
    cleaned = clean(shapes)
    assert list(cleaned.footprints.area()) == [81, 0, 0, 16]
    assert np.isnan(cleaned.footprints.bounds()[1]).all()


@settings(deadline=None, max_examples=100)
@given(any_footprint)
def test_a_good_footprint_keeps_its_area_and_stays_valid(shape: shapely.Geometry) -> None:
    cleaned = clean(np.array([shape], dtype=object))
    assert cleaned.refused[0] == "" and not cleaned.repaired[0]
    again = cleaned.footprints.to_shapely()[0]
    assert again.is_valid
    assert again.area == pytest.approx(shape.area, abs=0.001 * shape.length)
    assert again.hausdorff_distance(shape) < 0.001


@settings(deadline=None, max_examples=50)
@given(any_footprint, any_footprint)
def test_taking_and_joining_undo_each_other(one_shape: shapely.Geometry, other: shapely.Geometry) -> None:
    both = from_shapely(np.array([one_shape, other], dtype=object))
    again = concat([both.take(np.array([1])), both.take(np.array([0]))]).take(np.array([1, 0]))
    for name in ("xy", "ring", "polygon", "feature"):
        assert (getattr(again, name) == getattr(both, name)).all()
    assert both.centroid()[0] == pytest.approx(np.array(one_shape.centroid.coords[0]), abs=1e-6)
    assert tuple(both.bounds()[1]) == other.bounds
