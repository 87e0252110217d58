"""Many places asked for at once get the answers they would get one by one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.entity import geid
from twin.entity.index import EntityIndex, index_schema
from twin.entity.positions import Outlines, areas, distances
from twin.errors import MisuseError


def polygon(rng: np.random.Generator) -> list[list[list[list[float]]]]:
    """A star-shaped ring around a random place, now and then with a courtyard or a second part."""
    x, y = rng.uniform(-300, 300, 2) * (1 if rng.random() < 0.8 else 8)
    size = rng.choice([3.0, 15.0, 60.0, 400.0], p=[0.3, 0.5, 0.15, 0.05])

    def ring(radius: float, shift: float = 0.0, step: int = 1) -> list[list[float]]:
        angle = np.sort(rng.uniform(0, 2 * np.pi, 7))[::step]
        reach = rng.uniform(0.7, 1.0, 7) * radius
        points = np.column_stack([x + shift + reach * np.cos(angle), y + reach * np.sin(angle)])
        return [*points.tolist(), points[0].tolist()]

    parts = [[ring(size)]]
    if rng.random() < 0.3:
        box = [[x - 1, y - 1], [x - 1, y + 1], [x + 1, y + 1], [x + 1, y - 1], [x - 1, y - 1]]
        wide = [[x - 9, y - 9], [x + 9, y - 9], [x + 9, y + 9], [x - 9, y + 9], [x - 9, y - 9]]
        parts = [[wide, box]]
    if rng.random() < 0.2:
        parts.append([ring(size, shift=3 * size + 30)])
    return parts


def index_of(seed: int, folder: str, count: int = 40) -> EntityIndex:
    rng = np.random.default_rng(seed)
    shapes = [None if rng.random() < 0.1 else polygon(rng) for _ in range(count)]
    schema = index_schema()
    base = np.where(rng.random(count) < 0.2, np.nan, rng.uniform(0, 20, count))
    columns = {
        "geid": geid.mint("t", [f"s/{i}" for i in range(count)]),
        "layer": ["buildings"] * count,
        "geometry": pa.array(shapes, schema.field("geometry").type),
        "height": pa.array(base, from_pandas=True),
        "height_m": rng.uniform(3, 90, count),
    }
    place = f"{folder}/{seed}.arrow"
    EntityIndex.write(place, pa.table(columns))
    return EntityIndex.open(place, to_xy=lambda lon, lat: (lon * 10, lat * 10))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.5, 25.0, 100.0]), st.booleans())
def test_many_places_at_once_are_the_same_as_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, seed: int, tolerance: float, high: bool
) -> None:
    index = index_of(seed, str(tmp_path_factory.mktemp("positions")))
    rng = np.random.default_rng(seed + 1)
    xy = rng.uniform(-400, 400, (200, 2))
    xy[::5] = index_corners(index)[rng.integers(0, 1 << 30, 40) % max(len(index_corners(index)), 1)]
    xy[3] = np.nan
    h = np.where(rng.random(200) < 0.3, np.nan, rng.uniform(-5, 120, 200)) if high else None
    hits = index.at_many_xy(xy, h, tolerance)
    for place, (x, y) in enumerate(xy):
        one = index.at_xy(x, y, None if h is None or np.isnan(h[place]) else float(h[place]), tolerance)
        assert hits.of(place) == one
    assert hits.first().tolist() == [hits.of(i)[0] if hits.of(i) else -1 for i in range(200)]


def index_corners(index: EntityIndex) -> np.ndarray:
    xy = Outlines.of(index.table["geometry"]).xy
    return xy if len(xy) else np.zeros((1, 2))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_distance_and_area_are_those_of_an_independent_library(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    index = index_of(seed, str(tmp_path_factory.mktemp("positions")), 12)
    outlines = Outlines.of(index.table["geometry"])
    shapes = [
        shapely.MultiPolygon([(p[0], p[1:]) for p in shape]) if shape else None
        for shape in index.table["geometry"].to_pylist()
    ]
    there = np.array([row for row, shape in enumerate(shapes) if shape is not None and shape.is_valid], dtype=np.int64)
    xy = np.random.default_rng(seed).uniform(-400, 400, (len(there), 2))
    wanted = shapely.distance(np.array([shapes[row] for row in there], dtype=object), shapely.points(xy))
    np.testing.assert_allclose(distances(outlines, there, xy), wanted, atol=1e-9)
    np.testing.assert_allclose(areas(outlines, there), [shapes[row].area for row in there], rtol=1e-9)


def test_nothing_is_found_in_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("positions")
    EntityIndex.write(folder / "e.arrow", index_schema().empty_table())
    index = EntityIndex.open(folder / "e.arrow")
    assert index.at_many_xy(np.zeros((3, 2))).first().tolist() == [-1, -1, -1]
    assert index.at_many_xy(np.zeros((0, 2))).first().tolist() == []
    with pytest.raises(MisuseError, match="to_xy"):
        index.at_many(np.zeros(1), np.zeros(1))


def test_degrees_are_turned_with_one_call(tmp_path_factory: pytest.TempPathFactory) -> None:
    index = index_of(5, str(tmp_path_factory.mktemp("positions")))
    lon, lat = np.linspace(-40, 40, 50), np.linspace(-30, 30, 50)
    by_degrees = index.at_many(lon, lat, tolerance_m=40.0)
    by_metres = index.at_many_xy(np.column_stack([lon * 10, lat * 10]), tolerance_m=40.0)
    assert by_degrees.row.tolist() == by_metres.row.tolist() != []
