"""Content: what goes in comes out, on one grid for the whole layer, byte for byte the same every time."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.twin.gltf.district import content, prisms
from twin.errors import MisuseError, StoreError
from twin.geometry.mesh import Surface
from twin.gltf import glb
from twin.gltf.content import EncodeOptions, decode, encode, read_facts
from twin.gltf.order import repeating_order

ALL = [
    EncodeOptions(quantize=quantize, compression=compression)
    for quantize, compression in itertools.product((True, False), ("meshopt", "none"))
]
GRID = 2.0**-7


def corners(mesh):
    """Corner by corner, triangle by triangle: position, normal, feature, surface; each triangle from its lowest corner.

    The order of vertices is ours to choose, that of triangles and their winding is not.
    """
    rows = np.column_stack([mesh.position, mesh.normal, mesh.feature, mesh.surface])[mesh.triangle]
    first = [min(range(3), key=lambda turn, one=one: tuple(np.rint(one[turn, :3] / GRID))) for one in rows]
    turns = (np.array(first)[:, None] + np.arange(3)) % 3
    return rows[np.arange(len(rows))[:, None], turns]


@pytest.mark.parametrize("options", ALL, ids=str)
@pytest.mark.parametrize("span", [200.0, 3000.0])
def test_everything_comes_back(options, span):
    made = content(15, span)
    read = decode(encode(made, options))
    tolerance = GRID / 2 if options.quantize else 2e-4 * span / 3000
    found, expected = corners(read.mesh), corners(made.mesh)
    assert np.abs(found[..., :3] - expected[..., :3]).max() <= tolerance * 1.0001
    assert np.abs(found[..., 3:6] - expected[..., 3:6]).max() <= (0.5 / 127 if options.quantize else 0) + 1e-7
    assert np.array_equal(found[..., 6:], expected[..., 6:])
    assert read.class_id == made.class_id
    assert read.schema.to_json() == made.schema.to_json()
    expected = made.rows.to_pydict()
    expected["listed"] = [None if v is None else ("no", "yes")[v] for v in expected["listed"]]
    expected["reasons"] = [v or [] for v in expected["reasons"]]
    found = read.rows.rename_columns(made.rows.schema.names).to_pydict()
    assert found == expected


def test_compression_changes_no_value():
    made = content(15)
    coded, plain = decode(encode(made)), decode(encode(made, EncodeOptions(compression="none")))
    assert np.array_equal(corners(coded.mesh), corners(plain.mesh))
    assert coded.rows.equals(plain.rows)


@given(st.integers(0, 1000), st.floats(50, 480), st.floats(-1e4, 1e4))
@settings(max_examples=25, deadline=None)
def test_a_place_is_the_same_place_in_every_tile(seed, span, shift):
    """Two tiles that share corners, one small and one too wide for 16 bits, agree on them exactly."""
    first = content(4, span, seed)
    moved = replace(first.mesh, position=first.mesh.position + np.array([shift, -shift, shift / 100]))
    far = prisms(1, seed=seed + 1)
    wide = replace(
        moved,
        position=np.concatenate([moved.position, far.position + 5000]),
        normal=np.concatenate([moved.normal, far.normal]),
        triangle=np.concatenate([moved.triangle, far.triangle + np.uint32(moved.vertices)]),
        feature=np.concatenate([moved.feature, far.feature]),
        surface=np.concatenate([moved.surface, far.surface]),
    )
    small_read = decode(encode(replace(first, mesh=moved))).mesh
    wide_read = decode(encode(replace(first, mesh=wide))).mesh
    assert np.array_equal(corners(small_read), corners(wide_read)[: len(small_read.triangle)])
    assert np.array_equal(small_read.position, np.rint(small_read.position / GRID) * GRID)


def test_a_narrow_tile_takes_16_bits_and_a_wide_one_does_not():
    for span, component in ((480.0, 5122), (600.0, 5126)):
        document, _ = glb.unpack(encode(content(40, span)))
        assert document["accessors"][0]["componentType"] == component


def test_min_and_max_are_those_of_the_stored_values():
    for options in ALL:
        made = content(9)
        document, _ = glb.unpack(encode(made, options))
        node, accessor = document["nodes"][0], document["accessors"][0]
        positions = decode(encode(made, options)).mesh.position
        y_up = np.stack([positions[:, 0], positions[:, 2], -positions[:, 1]], axis=1)
        scale = np.array(node.get("scale", [1, 1, 1]))
        low, high = (np.array(accessor[key]) * scale + node["translation"] for key in ("min", "max"))
        assert np.allclose(low, y_up.min(axis=0), atol=1e-9)
        assert np.allclose(high, y_up.max(axis=0), atol=1e-9)


def test_feature_ids_point_at_their_tables_and_count_what_is_there():
    document, _ = glb.unpack(encode(content(6)))
    (primitive,) = document["meshes"][0]["primitives"]
    assert primitive["extensions"]["EXT_mesh_features"]["featureIds"] == [
        {"featureCount": 6, "attribute": 0, "propertyTable": 0, "label": "entity"},
        {"featureCount": 3, "attribute": 1, "propertyTable": 1, "label": "surface"},
    ]
    tables = document["extensions"]["EXT_structural_metadata"]["propertyTables"]
    assert [(table["class"], table["count"]) for table in tables] == [("building", 6), ("surface", 3)]


def test_property_views_begin_at_multiples_of_eight_in_the_file_too():
    whole = encode(content(7))
    document, binary = glb.unpack(whole)
    start = whole.index(binary)
    assert start % 8 == 0
    assert all(view["byteOffset"] % 8 == 0 for view in document["bufferViews"] if view["buffer"] == 0)


def test_compression_needs_its_extension_and_no_compression_does_not():
    for options in ALL:
        document, _ = glb.unpack(encode(content(3), options))
        expected = ["EXT_meshopt_compression"] * (options.compression == "meshopt")
        expected += ["KHR_mesh_quantization"] * options.quantize
        assert document.get("extensionsRequired", []) == expected
        assert set(expected) <= set(document["extensionsUsed"])


def test_flat_surfaces_of_lod_0_need_nothing_special():
    made = content(5)
    roof = made.mesh.surface[made.mesh.triangle[:, 0]] == Surface.ROOF
    flat = replace(made, mesh=replace(made.mesh, triangle=made.mesh.triangle[roof]))
    read = decode(encode(flat)).mesh
    assert np.array_equal(corners(read)[..., 6:], corners(flat.mesh)[..., 6:])
    assert set(corners(read)[..., 7].ravel()) == {float(Surface.ROOF)}


def test_a_class_called_surface_does_not_collide():
    made = content(3)
    cls = replace(made.schema.classes[0], id="surface")
    named = replace(made, schema=replace(made.schema, classes=(cls,)), class_id="surface")
    read = decode(encode(named))
    assert read.class_id == "surface"
    assert read.rows["geid"].to_pylist() == made.rows["geid"].to_pylist()


def test_facts_give_the_geid_of_every_row_that_is_drawn():
    made = content(5)
    shown = made.mesh.feature[made.mesh.triangle[:, 0]] != 2
    hidden = replace(made, mesh=replace(made.mesh, triangle=made.mesh.triangle[shown]))
    positions, geids = read_facts(encode(hidden))
    expected = made.rows["geid"].to_pylist()
    expected[2] = None
    assert geids == expected
    assert len(positions) == made.mesh.vertices


def test_what_makes_no_sense_is_refused():
    made = content(3)
    no_triangles = replace(made.mesh, triangle=np.zeros((0, 3), np.uint32))
    not_finite = replace(made.mesh, position=np.where(np.arange(3) == 1, np.nan, made.mesh.position))
    for mesh, words in (
        (no_triangles, "triangle"),
        (not_finite, "finite"),
        (replace(made.mesh, triangle=made.mesh.triangle + np.uint32(made.mesh.vertices)), "vertex"),
    ):
        with pytest.raises(MisuseError, match=words):
            encode(replace(made, mesh=mesh))
    with pytest.raises(MisuseError, match="row"):
        encode(replace(made, rows=made.rows.slice(0, 2)))


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_file_is_refused_or_read_but_never_crashes(data):
    whole = bytearray(encode(content(3)))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([len(whole), len(whole), len(whole) // 2, 30, 3]))
    with contextlib.suppress(StoreError):
        decode(bytes(whole[:cut]))


def test_the_same_content_gives_the_same_bytes_in_another_process():
    script = (
        "import hashlib; from tests.twin.gltf.district import content; from twin.gltf.content import encode;"
        "print(hashlib.sha256(encode(content(20))).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_columns_the_class_does_not_know_stay_out_of_the_tile():
    made = content(3)
    extra = replace(made, rows=made.rows.append_column("secret", pa.array(["x"] * 3)))
    assert encode(extra) == encode(made)


@given(st.integers(0, 10**6), st.integers(1, 3000), st.integers(1, 400))
@settings(max_examples=40, deadline=None)
def test_the_order_of_vertices_is_a_permutation_that_depends_on_nothing_else(seed, count, places):
    rng = np.random.default_rng(seed)
    cells, feature = rng.integers(-places, places, (count, 3)), rng.integers(0, 3, count).astype(np.uint32)
    order = repeating_order(cells, feature)
    assert np.array_equal(np.sort(order), np.arange(count))
    assert np.array_equal(order, repeating_order(cells.copy(), feature.copy()))


def test_the_copies_of_a_run_of_corners_follow_each_other_in_the_same_order():
    corner = np.random.default_rng(0).permutation(600)
    cells = np.column_stack([corner, corner, corner]).repeat(3, axis=0)
    order = repeating_order(cells, np.zeros(len(cells), np.uint32))
    runs = cells[order][:, 0][: 2 * 3 * 256].reshape(2, 3, 256)
    assert (runs == runs[:, :1]).all()


def test_no_byte_of_the_file_comes_from_memory_that_was_never_written():
    made = content(200, 250.0)
    first = encode(made)
    for size in (10, 1000, 10**6):
        rubbish = np.full(size, 0xAA, np.uint8)
        del rubbish
        assert encode(made) == first
