"""Both meshopt codecs lose nothing, and refuse damaged streams instead of reading past them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from twin.errors import StoreError
from twin.gltf import meshopt

# The first example of a test may pay for a compilation, and the machine may be busy.
settings.register_profile("calm", deadline=None)
settings.load_profile("calm")

vertex_arrays = st.tuples(st.integers(0, 600), st.integers(1, 64)).flatmap(
    lambda shape: hnp.arrays(np.uint8, (shape[0], shape[1] * 4), elements=st.integers(0, 255), fill=st.integers(0, 255))
)


@given(vertex_arrays)
def test_vertices_come_back(vertices):
    assert np.array_equal(meshopt.decode_vertices(meshopt.encode_vertices(vertices), *vertices.shape), vertices)


@given(st.integers(0, 2**32 - 1), st.integers(1, 2000), st.sampled_from([1, 2, 3, 4, 14, 15, 16, 17, 128, 256]))
def test_vertices_with_any_spread_of_differences_come_back(seed, count, spread):
    steps = np.random.default_rng(seed).integers(0, spread, (count, 20))
    vertices = np.cumsum(steps - spread // 2, axis=0).astype(np.uint8)
    assert np.array_equal(meshopt.decode_vertices(meshopt.encode_vertices(vertices), *vertices.shape), vertices)


@st.composite
def triangle_lists(draw):
    """Free triangles mixed with runs of strips, fans and restarts at vertex 0."""
    parts = []
    for _ in range(draw(st.integers(0, 6))):
        start, size = draw(st.integers(0, 2**20)), draw(st.integers(1, 30))
        base = start + np.arange(size)[:, None]
        strip, fan = base + np.array([0, 1, 2]), np.column_stack([np.full(size, start), base[:, 0] + 1, base[:, 0] + 2])
        free = np.array(draw(st.lists(st.tuples(*[st.integers(0, 2**32 - 1)] * 3), min_size=1, max_size=5)))
        parts.append(draw(st.sampled_from([strip, fan, free, np.array([[0, 1, 2], [2, 1, 3]])])))
    return np.concatenate(parts).astype(np.uint32) if parts else np.zeros((0, 3), np.uint32)


def turned(triangles):
    """The same triangles, turned so that the smallest rotation comes first."""
    return [min((a, b, c), (b, c, a), (c, a, b)) for a, b, c in triangles.tolist()]


@given(triangle_lists())
def test_triangles_come_back_in_order_with_their_winding(triangles):
    read = meshopt.decode_triangles(meshopt.encode_triangles(triangles), triangles.size)
    assert turned(read) == turned(triangles)


@given(vertex_arrays.filter(len), st.data())
def test_a_shortened_vertex_stream_is_refused(vertices, data):
    stream = meshopt.encode_vertices(vertices)
    cut = data.draw(st.integers(0, len(stream) - 1))
    with pytest.raises(StoreError):
        meshopt.decode_vertices(stream[:cut], *vertices.shape)


@given(st.binary(min_size=20, max_size=200), st.integers(1, 40))
def test_noise_never_breaks_the_index_decoder(noise, count):
    try:
        read = meshopt.decode_triangles(b"\xe1" + noise, 3 * count)
    except StoreError:
        return
    assert read.shape == (count, 3)


@given(st.binary(min_size=40, max_size=300), st.integers(1, 40))
def test_noise_never_breaks_the_vertex_decoder(noise, count):
    try:
        read = meshopt.decode_vertices(b"\xa0" + noise, count, 8)
    except StoreError:
        return
    assert read.shape == (count, 8)


def test_a_stride_the_format_does_not_know_is_refused():
    for stride in (0, 3, 6, 260):
        with pytest.raises(ValueError, match="stride"):
            meshopt.encode_vertices(np.zeros((4, stride), np.uint8))


def test_repetition_costs_next_to_nothing():
    assert len(meshopt.encode_vertices(np.full((25_600, 4), 7, np.uint8))) == 1 + 100 * 4 * 4 + 32
