"""Subtrees: the vectors of a file 3d-tiles-validator accepts, and exact availability bits."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from twin.errors import MisuseError, StoreError
from twin.tiles.subtree import Subtree, decode, encode, level_offset, morton, tile_bit

# The first example of a test may pay for a compilation, and the machine may be busy.
settings.register_profile("calm", deadline=None)
settings.load_profile("calm")

#: (x, y, level, Morton code, bit in the subtree).
MORTON = [
    (0, 0, 0, 0, 0), (0, 0, 1, 0, 1), (1, 0, 1, 1, 2), (0, 1, 1, 2, 3), (1, 1, 1, 3, 4), (3, 0, 2, 5, 10),
    (2, 3, 2, 14, 19), (5, 3, 3, 27, 48), (10, 3, 4, 78, 163), (6, 5, 4, 54, 139),
]  # fmt: skip

#: Tiles 0/0/0, 1/0/0, 1/1/1; content on the last two; two levels. Accepted by 3d-tiles-validator 0.6.1.
SAMPLE = bytes.fromhex(
    "7375627401000000200100000000000010000000000000007b2262756666657273223a5b7b22627974654c656e677468223a31367d5d2c22"
    "6275666665725669657773223a5b7b22627566666572223a302c22627974654f6666736574223a302c22627974654c656e677468223a317d"
    "2c7b22627566666572223a302c22627974654f6666736574223a382c22627974654c656e677468223a317d5d2c2274696c65417661696c61"
    "62696c697479223a7b2262697473747265616d223a302c22617661696c61626c65436f756e74223a337d2c22636f6e74656e74417661696c"
    "6162696c697479223a5b7b2262697473747265616d223a312c22617661696c61626c65436f756e74223a327d5d2c226368696c6453756274"
    "726565417661696c6162696c697479223a7b22636f6e7374616e74223a307d7d13000000000000001200000000000000"
)


def bits(size: int, *on: int) -> np.ndarray:
    found = np.zeros(size, bool)
    found[list(on)] = True
    return found


SAMPLE_TREE = Subtree(bits(5, 0, 1, 4), bits(5, 1, 4), bits(16))


@pytest.mark.parametrize(("x", "y", "level", "code", "bit"), MORTON)
def test_morton_codes_and_bits_are_those_of_the_standard(x, y, level, code, bit):
    assert morton(x, y) == code
    assert tile_bit(level, x, y) == bit


def test_the_sample_is_written_byte_for_byte_and_read_back():
    assert encode(SAMPLE_TREE) == SAMPLE
    read = decode(SAMPLE, 2)
    assert read.tiles.tolist() == SAMPLE_TREE.tiles.tolist()
    assert read.contents.tolist() == SAMPLE_TREE.contents.tolist()
    assert read.children.tolist() == SAMPLE_TREE.children.tolist()


@given(st.integers(1, 5).flatmap(lambda n: st.tuples(
    hnp.arrays(bool, level_offset(n)), hnp.arrays(bool, level_offset(n)), hnp.arrays(bool, 4**n)
)))  # fmt: skip
def test_availability_comes_back_and_bits_past_the_end_are_zero(arrays):
    subtree = Subtree(*arrays)
    written = encode(subtree)
    read = decode(written, subtree.levels)
    for name in ("tiles", "contents", "children"):
        assert np.array_equal(getattr(read, name), getattr(subtree, name))
    document = read.document
    named = [document["tileAvailability"], document["contentAvailability"][0], document["childSubtreeAvailability"]]
    for availability, values in zip(named, arrays, strict=True):
        if values.all() or not values.any():
            assert availability == {"constant": int(values.all())}
            continue
        stream = np.unpackbits(np.frombuffer(read.view(availability["bitstream"]), np.uint8), bitorder="little")
        assert len(stream) == (len(values) + 7) // 8 * 8
        assert not stream[len(values) :].any()
    assert all(view["byteOffset"] % 8 == 0 for view in document.get("bufferViews", []))
    assert len(written) % 8 == 0


def changed(old: bytes, new: bytes) -> bytes:
    assert SAMPLE.count(old) == 1
    return SAMPLE.replace(old, new)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "short"),
        (b"tbus" + SAMPLE[4:], "header"),
        (SAMPLE[:4] + b"\2" + SAMPLE[5:], "header"),
        (SAMPLE[:-8], "header"),
        (SAMPLE[:-16] + b"\x33" + SAMPLE[-15:], "past the end"),
        (SAMPLE[:-16] + b"\x17" + SAMPLE[-15:], "availableCount"),
        (SAMPLE.replace(b'"byteLength":1}]', b'"byteLength":9}]'), "beyond"),
    ],
)
def test_a_damaged_subtree_is_refused(content, words):
    with pytest.raises(StoreError, match=words):
        decode(content, 2)


def test_arrays_that_do_not_fit_a_subtree_are_refused():
    with pytest.raises(MisuseError):
        encode(Subtree(bits(5), bits(5), bits(4)))


def test_the_json_says_nothing_of_buffers_where_there_are_none():
    written = encode(Subtree(np.ones(1, bool), np.ones(1, bool), bits(4)))
    size = int.from_bytes(written[8:16], "little")
    assert json.loads(written[24 : 24 + size]) == {
        "tileAvailability": {"constant": 1},
        "contentAvailability": [{"constant": 1}],
        "childSubtreeAvailability": {"constant": 0},
    }
