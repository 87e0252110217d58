"""The drawing and the text of an update's plan say what they are made of, however fast they are written."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import shapely
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipelines.update_drawing import extent, paths
from pipelines.update_plan import json_text
from twin.geometry.footprints import Footprints, empty, from_shapely

_SHAPES = st.lists(
    st.one_of(
        st.none(),
        st.builds(
            lambda x, y, size: shapely.box(x, y, x + size, y + size).difference(shapely.box(x, y, x + 0.3, y + 0.3)),
            *(st.floats(-500, 500), st.floats(-500, 500), st.floats(1, 80)),
        ),
        st.builds(
            lambda x, gap: shapely.union(shapely.box(x, 0, x + 5, 5), shapely.box(x + 5 + gap, 1, x + 9 + gap, 4)),
            *(st.floats(-500, 500), st.floats(1, 30)),
        ),
        st.builds(lambda x: shapely.Point(x, 3).buffer(9).difference(shapely.Point(x, 3).buffer(4)), st.floats(0, 9)),
    ),
    max_size=6,
)


def corners(path: str) -> list[NDArray[np.int64]]:
    """Corners of every ring of a path, as a browser would walk along it."""
    rings = [re.findall(r"-?\d+ -?\d+", ring) for ring in path.split("z")[:-1]]
    return [np.cumsum([[int(number) for number in step.split()] for step in ring], axis=0) for ring in rings]


@given(_SHAPES)
def test_a_path_walks_round_every_ring_of_its_feature_in_decimetres(shapes: list[shapely.Geometry | None]) -> None:
    footprints = from_shapely(np.array([*shapes, None], dtype=object)[:-1])
    origin = np.array([-600.0, 700.0])
    found = paths(footprints, origin)
    assert len(found) == len(shapes)
    for row, path in enumerate(found):
        rings = corners(path)
        first, last = footprints.polygon[footprints.feature[row : row + 2]].tolist()
        assert path.count("M") == path.count("l") == path.count("z") == len(rings) == last - first
        for ring, at in zip(rings, range(first, last), strict=True):
            xy = footprints.xy[footprints.ring[at] : footprints.ring[at + 1]]
            assert np.array_equal(ring, np.rint((xy - origin) * [10, -10]))


@given(_SHAPES, _SHAPES)
def test_the_drawing_reaches_round_everything_and_no_further(one: list[Any], other: list[Any]) -> None:
    sides = [from_shapely(np.array([*shapes, None], dtype=object)[:-1]) for shapes in (one, other)]
    found = extent(*sides)
    there = [shape for shape in (*one, *other) if shape is not None]
    assert (found is None) == (not there)
    if found is not None:
        assert found.tolist() == shapely.total_bounds(there).tolist()


def test_nothing_has_no_extent_and_no_path() -> None:
    nothing: Footprints = empty(2)
    assert extent(nothing, empty()) is None
    assert paths(nothing, np.zeros(2)) == ["", ""]


_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(0, 1).map(lambda one: round(one, 3)) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(_TEXT, _VALUES, max_size=4))
def test_a_plan_is_written_as_the_standard_library_writes_it(document: dict[str, Any]) -> None:
    assert json_text(document) == json.dumps(document, ensure_ascii=False, indent=1)


def test_a_path_that_is_no_text_does_not_stop_a_plan_from_being_printed() -> None:
    assert json.loads(json_text({"folder": "caf\udce9", "counts": {"new": 1}})) == {
        "folder": "caf\udce9",
        "counts": {"new": 1},
    }
