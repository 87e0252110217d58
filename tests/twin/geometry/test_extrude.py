"""The promises of a solid: closed, turned outwards, as large as area times height."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import shapely
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.twin.geometry.shapes import any_footprint
from twin.geometry.clean import clean
from twin.geometry.extrude import extrude
from twin.geometry.footprints import Footprints
from twin.geometry.mesh import MeshBatch, Surface
from twin.geometry.triangulate import triangulate

SOLID_HEIGHT = st.floats(2.0, 300.0)


def solids(shapes: list[shapely.Geometry], heights: list[float], flat: int = 0) -> tuple[Footprints, MeshBatch]:
    """Footprints cleaned and extruded from 0 to their height; the last `flat` of them as surfaces."""
    cleaned = clean(np.array(shapes, dtype=object))
    assert not any(cleaned.refused)
    footprints = cleaned.footprints
    triangles = triangulate(footprints)
    assert not len(triangles.failed)
    low = np.column_stack([footprints.xy, np.zeros(len(footprints.xy))])
    high = low + np.array([0.0, 0.0, 1.0]) * np.repeat(heights, footprints.vertex_counts())[:, None]
    solid = np.arange(len(shapes)) < len(shapes) - flat
    return footprints, extrude(footprints, triangles, low, high, solid)


def volume(mesh: MeshBatch, feature: int) -> float:
    """Signed volume of one feature's triangles, by the divergence theorem about its first corner."""
    own = mesh.triangle[mesh.feature[mesh.triangle[:, 0]] == feature]
    a, b, c = (mesh.position[own[:, k]] - mesh.position[own[0, 0]] for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def edge_uses(mesh: MeshBatch, feature: int) -> Counter[tuple[bytes, bytes]]:
    """How often each directed edge, named by the bits of its ends, is used."""
    own = mesh.triangle[mesh.feature[mesh.triangle[:, 0]] == feature]
    names = [row.tobytes() for row in mesh.position + 0.0]
    return Counter((names[t[k]], names[t[(k + 1) % 3]]) for t in own for k in range(3))


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(any_footprint, SOLID_HEIGHT), min_size=1, max_size=5))
def test_volume_is_area_times_height(buildings: list[tuple[shapely.Geometry, float]]) -> None:
    shapes, heights = [b[0] for b in buildings], [b[1] for b in buildings]
    footprints, mesh = solids(shapes, heights)
    for row, (shape, height) in enumerate(buildings):
        assert volume(mesh, row) == pytest.approx(footprints.area()[row] * height, rel=1e-6)
        assert footprints.area()[row] == pytest.approx(shape.area, rel=1e-3)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(any_footprint, SOLID_HEIGHT), min_size=1, max_size=3))
def test_every_edge_is_used_once_in_each_direction(buildings: list[tuple[shapely.Geometry, float]]) -> None:
    _, mesh = solids([b[0] for b in buildings], [b[1] for b in buildings])
    for row in range(len(buildings)):
        uses = edge_uses(mesh, row)
        assert set(uses.values()) == {1}
        assert all((end, start) in uses for start, end in uses)


@settings(deadline=None, max_examples=100)
@given(any_footprint, SOLID_HEIGHT)
def test_roof_and_ground_cover_the_footprint(shape: shapely.Geometry, height: float) -> None:
    footprints, mesh = solids([shape], [height])
    for surface, up in ((Surface.ROOF, 1.0), (Surface.GROUND, -1.0)):
        own = mesh.triangle[mesh.surface[mesh.triangle[:, 0]] == surface]
        a, b, c = (mesh.position[own[:, k]] for k in range(3))
        assert np.cross(b - a, c - a)[:, 2].sum() / 2 == pytest.approx(up * footprints.area()[0], rel=1e-9)
        assert (np.sign(mesh.normal[own.ravel(), 2]) == up).all()


@settings(deadline=None, max_examples=100)
@given(any_footprint, SOLID_HEIGHT)
def test_normals_agree_with_the_winding(shape: shapely.Geometry, height: float) -> None:
    _, mesh = solids([shape], [height])
    a, b, c = (mesh.position[mesh.triangle[:, k]] for k in range(3))
    face = np.cross(b - a, c - a)
    for k in range(3):
        assert (np.einsum("ij,ij->i", face, mesh.normal[mesh.triangle[:, k]]) >= 0).all()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(any_footprint, SOLID_HEIGHT), min_size=2, max_size=5), st.randoms())
def test_a_building_is_the_same_whatever_stands_before_it(
    buildings: list[tuple[shapely.Geometry, float]], random: object
) -> None:
    order = list(range(len(buildings)))
    random.shuffle(order)  # type: ignore[attr-defined]
    _, mesh = solids([b[0] for b in buildings], [b[1] for b in buildings])
    _, shuffled = solids([buildings[k][0] for k in order], [buildings[k][1] for k in order])
    for new, old in enumerate(order):
        assert edge_uses(shuffled, new) == edge_uses(mesh, old)


def test_an_outside_judge_calls_a_courtyard_block_a_volume() -> None:
    shape = shapely.box(0, 0, 50, 40).difference(shapely.box(10, 10, 20, 20)).difference(shapely.box(30, 10, 40, 20))
    _, mesh = solids([shape], [12.0])
    judged = trimesh.Trimesh(mesh.position, mesh.triangle, process=True)
    assert judged.is_watertight and judged.is_winding_consistent
    assert judged.volume == pytest.approx(shape.area * 12.0)


def test_a_feature_without_height_is_one_surface_that_looks_up() -> None:
    _, mesh = solids([shapely.box(0, 0, 10, 10), shapely.box(20, 0, 30, 10)], [5.0, 5.0], flat=1)
    flat = mesh.feature == 1
    assert flat.sum() == 4
    assert (mesh.position[flat, 2] == 0).all()
    assert (mesh.normal[flat, 2] == 1).all()
    assert (mesh.surface[flat] == Surface.GROUND).all()
