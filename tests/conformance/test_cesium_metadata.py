"""CesiumJS' own reader of EXT_structural_metadata reads the properties we wrote, and undefined where there was null."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pyarrow as pa

from tests.twin.gltf.district import content
from twin.gltf.content import encode

READ = """
const [glb, engine] = process.argv.slice(1);
const fs = require("fs");
(async () => {
  const load = async (name) => (await import(`${engine}/Source/Scene/${name}.js`)).default;
  const [parse, MetadataSchema] = await Promise.all([load("parseStructuralMetadata"), load("MetadataSchema")]);
  const file = fs.readFileSync(glb);
  const length = file.readUInt32LE(12);
  const document = JSON.parse(file.subarray(20, 20 + length));
  const binary = file.subarray(28 + length);
  const extension = document.extensions.EXT_structural_metadata;
  const bufferViews = {};
  document.bufferViews.forEach((view, index) => {
    if (view.buffer === 0) {
      bufferViews[index] = new Uint8Array(binary.subarray(view.byteOffset, view.byteOffset + view.byteLength));
    }
  });
  const schema = MetadataSchema.fromJson(extension.schema);
  const { propertyTables } = parse({ extension, schema, bufferViews });
  const rows = propertyTables.map((table) =>
    Array.from({ length: table.count }, (_, row) =>
      Object.fromEntries(table.getPropertyIds().map((id) => [id, table.getProperty(row, id) ?? null]))
    )
  );
  process.stdout.write("\\n" + JSON.stringify(rows));
})().catch((error) => { console.error(error); process.exit(1); });
"""


def test_cesium_reads_every_value_and_undefined_for_null(node: str, judges: Path, tmp_path: Path):
    made = content(30)
    file = tmp_path / "tile.glb"
    file.write_bytes(encode(made))
    command = [node, "-e", READ, str(file), str(judges / "@cesium" / "engine")]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True)
    entities, surfaces = json.loads(done.stdout.splitlines()[-1])
    assert surfaces == [{"kind": "ground"}, {"kind": "roof"}, {"kind": "wall"}]
    ids = [one.id for one in made.schema.classes[0].properties]
    assert entities == [dict(zip(ids, row.values(), strict=True)) for row in as_read(made.rows).to_pylist()]


def as_read(rows: pa.Table) -> pa.Table:
    """What a client should see: a yes or no as text, a list that is null as an empty one."""
    listed = [None if value is None else ("no", "yes")[value] for value in rows["listed"].to_pylist()]
    reasons = [value or [] for value in rows["reasons"].to_pylist()]
    at = rows.schema.names.index
    rows = rows.set_column(at("listed"), "listed", pa.array(listed))
    return rows.set_column(at("reasons"), "reasons", pa.array(reasons, pa.list_(pa.string())))
