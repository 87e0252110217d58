"""glTF-Validator and the decoder of meshoptimizer judge what we write."""

from __future__ import annotations

import itertools
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.twin.gltf.district import content, prisms
from twin.gltf import glb, meshopt
from twin.gltf.content import EncodeOptions, encode
from twin.tiles.external import validate_gltf

OPTIONS = {
    f"{'grid' if quantize else 'float'}-{compression}": EncodeOptions(quantize=quantize, compression=compression)
    for quantize, compression in itertools.product((True, False), ("meshopt", "none"))
}


def many_features():
    """More features than 16 bits number, more vertices than 16 bits index."""
    one = prisms(1, corners=3)
    count = 70_000
    size = len(one.position)
    shift = np.arange(count)
    mesh = replace(
        one,
        position=np.tile(one.position, (count, 1)) + np.repeat(np.c_[shift % 300, shift // 300, shift % 7], size, 0),
        normal=np.tile(one.normal, (count, 1)),
        triangle=(one.triangle[None] + (shift * size)[:, None, None]).reshape(-1, 3).astype(np.uint32),
        feature=np.repeat(shift, size).astype(np.uint32),
        surface=np.tile(one.surface, count),
    )
    base = content(1)
    cls = replace(base.schema.classes[0], properties=base.schema.classes[0].properties[:1])
    table = pa.table({"geid": [str(i) for i in range(count)]})
    return replace(base, mesh=mesh, rows=table, schema=replace(base.schema, classes=(cls,), enums=()))


CONTENTS = {
    "small": lambda: content(12),
    "one feature": lambda: content(1),
    "wider than 16 bits of grid": lambda: content(20, span=4000.0),
    "exactly the widest grid": lambda: content(20, span=490.0),
    "many features": many_features,
}


@pytest.mark.parametrize("made", CONTENTS.values(), ids=CONTENTS.keys())
def test_the_validator_finds_no_error_and_no_warning(made, tmp_path: Path, node: str, judges: Path):
    made = made()
    files = []
    for name, options in OPTIONS.items():
        files.append(tmp_path / f"{name}.glb")
        files[-1].write_bytes(encode(made, options))
    judged = validate_gltf(files, judges / "gltf-validator", node)
    assert [(Path(one.file).name, one.errors, one.warnings, one.messages) for one in judged] == [
        (f"{name}.glb", 0, 0, ()) for name in OPTIONS
    ]


def test_the_validator_tells_of_a_broken_file(tmp_path: Path, node: str, judges: Path):
    document, binary = glb.unpack(encode(content(3), OPTIONS["grid-none"]))
    document["accessors"][0]["max"][0] -= 1
    file = tmp_path / "broken.glb"
    file.write_bytes(glb.pack(document, binary))
    (judged,) = validate_gltf([file], judges / "gltf-validator", node)
    assert judged.errors > 0
    assert any("ACCESSOR_M" in text for text in judged.messages)


DECODE = """
const { MeshoptDecoder } = require(process.argv[1]);
const fs = require("fs");
MeshoptDecoder.ready.then(() => {
  for (const job of JSON.parse(fs.readFileSync(0, "utf8"))) {
    const out = new Uint8Array(job.count * job.stride);
    MeshoptDecoder.decodeGltfBuffer(out, job.count, job.stride, new Uint8Array(fs.readFileSync(job.file)), job.mode);
    fs.writeFileSync(job.file + ".out", out);
  }
});
"""


def decode_elsewhere(node: str, judges: Path, tmp_path: Path, jobs: list[tuple[bytes, int, int, str]]) -> list[bytes]:
    """Decodes streams with the npm package `meshoptimizer`."""
    described = []
    for number, (stream, count, stride, mode) in enumerate(jobs):
        file = tmp_path / f"{number}.bin"
        file.write_bytes(stream)
        described.append({"file": str(file), "count": count, "stride": stride, "mode": mode})
    command = [node, "-e", DECODE, str(judges / "meshoptimizer")]
    subprocess.run(command, input=json.dumps(described), text=True, check=True, capture_output=True)
    return [Path(one["file"] + ".out").read_bytes() for one in described]


def test_the_reference_decoder_reads_our_vertices(node: str, judges: Path, tmp_path: Path):
    rng = np.random.default_rng(1)
    made = []
    for count, stride in itertools.product((1, 2, 15, 16, 17, 255, 256, 257, 5000), (4, 8, 20, 24, 64, 256)):
        spread = rng.choice([1, 3, 7, 40, 256], stride)
        made.append(np.cumsum(rng.integers(0, spread, (count, stride)), axis=0).astype(np.uint8))
    jobs = [(meshopt.encode_vertices(one), *one.shape, "ATTRIBUTES") for one in made]
    for one, read in zip(made, decode_elsewhere(node, judges, tmp_path, jobs), strict=True):
        assert read == one.tobytes()


def test_the_reference_decoder_reads_our_triangles(node: str, judges: Path, tmp_path: Path):
    rng = np.random.default_rng(2)
    strip = np.arange(3000)[:, None] + [0, 1, 2]
    made = [
        rng.integers(0, 10, (2000, 3)),
        rng.integers(0, 2**31, (500, 3)),
        strip,
        strip[::-1],
        np.concatenate([strip, [[0, 1, 2], [1, 2, 3]], strip + 7, [[0, 1, 2]]]),
        prisms(200).triangle,
    ]
    jobs = [(meshopt.encode_triangles(one.astype(np.uint32)), one.size, 4, "TRIANGLES") for one in made]
    for one, read in zip(made, decode_elsewhere(node, judges, tmp_path, jobs), strict=True):
        triangles = np.frombuffer(read, np.uint32).reshape(-1, 3)
        assert np.array_equal(turned(triangles), turned(one.astype(np.uint32)))


def turned(triangles: np.ndarray) -> np.ndarray:
    """Each triangle turned so that its lowest corner, and then its lower second one, comes first."""
    turns = np.stack([np.roll(triangles, -turn, axis=1) for turn in range(3)], axis=1)
    keys = turns.astype(object)
    order = [min(range(3), key=lambda turn, row=row: tuple(keys[row, turn])) for row in range(len(triangles))]
    return turns[np.arange(len(triangles)), order]


def test_the_reference_decoder_reads_the_streams_of_a_tile(node: str, judges: Path, tmp_path: Path):
    made = content(40)
    document, binary = glb.unpack(encode(made))
    plain, plain_binary = glb.unpack(encode(made, EncodeOptions(compression="none")))
    coded = [view for view in document["bufferViews"] if "extensions" in view]
    assert [view["extensions"]["EXT_meshopt_compression"]["mode"] for view in coded] == ["ATTRIBUTES", "TRIANGLES"]
    jobs = []
    for view in coded:
        how = view["extensions"]["EXT_meshopt_compression"]
        stream = binary[how["byteOffset"] : how["byteOffset"] + how["byteLength"]]
        jobs.append((stream, how["count"], how["byteStride"], how["mode"]))
    vertices, indices = decode_elsewhere(node, judges, tmp_path, jobs)
    views = plain["bufferViews"]
    raw = [plain_binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]] for view in views[:2]]
    assert vertices == raw[0]
    ours, theirs = (np.frombuffer(one, np.uint16).reshape(-1, 3) for one in (raw[1], indices))
    assert np.array_equal(turned(theirs), turned(ours))
