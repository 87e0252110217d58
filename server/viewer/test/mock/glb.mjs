/** A GLB of extruded boxes with EXT_mesh_features and EXT_structural_metadata, uncompressed: what the mock serves. */

const FACES = [
  // normal, four corners (x, y, z in 0/1), counter-clockwise from outside; y is up in glTF, z is south
  { n: [0, 1, 0], c: [[0, 1, 1], [1, 1, 1], [1, 1, 0], [0, 1, 0]] },
  { n: [0, 0, 1], c: [[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]] },
  { n: [1, 0, 0], c: [[1, 0, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1]] },
  { n: [0, 0, -1], c: [[1, 0, 0], [0, 0, 0], [0, 1, 0], [1, 1, 0]] },
  { n: [-1, 0, 0], c: [[0, 0, 0], [0, 0, 1], [0, 1, 1], [0, 1, 0]] },
];

const pad = (buffer, to, filler = 0) => Buffer.concat([buffer, Buffer.alloc((to - (buffer.length % to)) % to, filler)]);
const bytes = (array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength);

/** Strings as one value buffer and an offset buffer. */
function strings(values) {
  const encoded = values.map((value) => Buffer.from(value, "utf8"));
  const offsets = new Uint32Array(values.length + 1);
  encoded.forEach((value, i) => (offsets[i + 1] = offsets[i] + value.length));
  return { values: Buffer.concat(encoded), offsets: bytes(offsets) };
}

/** `buildings`: [{ x0, x1, y0, y1, base, top, …properties }] in metres east, north and up of the tile's frame. */
export function boxesToGlb(buildings, classes) {
  const count = buildings.length;
  const position = new Float32Array(count * 60);
  const normal = new Float32Array(count * 60);
  const feature = new Float32Array(count * 20);
  const index = new Uint32Array(count * 30);
  const [min, max] = [[Infinity, Infinity, Infinity], [-Infinity, -Infinity, -Infinity]];
  buildings.forEach((b, row) => {
    const low = [b.x0, b.base - 1, -b.y1];
    const high = [b.x1, b.top, -b.y0];
    FACES.forEach(({ n, c }, face) => {
      c.forEach((corner, k) => {
        const at = row * 20 + face * 4 + k;
        corner.forEach((side, axis) => {
          const value = Math.fround(side ? high[axis] : low[axis]);
          position[at * 3 + axis] = value;
          min[axis] = Math.min(min[axis], value);
          max[axis] = Math.max(max[axis], value);
          normal[at * 3 + axis] = n[axis];
        });
        feature[at] = row;
      });
      const v = row * 20 + face * 4;
      index.set([v, v + 1, v + 2, v, v + 2, v + 3], (row * 5 + face) * 6);
    });
  });
  const views = [];
  const chunks = [];
  let offset = 0;
  const view = (content, target) => {
    views.push({ buffer: 0, byteOffset: offset, byteLength: content.length, ...(target && { target }) });
    const padded = pad(content, 8);
    chunks.push(padded);
    offset += padded.length;
    return views.length - 1;
  };
  const accessors = [
    { bufferView: view(bytes(position), 34962), componentType: 5126, count: count * 20, type: "VEC3", min, max },
    { bufferView: view(bytes(normal), 34962), componentType: 5126, count: count * 20, type: "VEC3" },
    { bufferView: view(bytes(feature), 34962), componentType: 5126, count: count * 20, type: "SCALAR" },
    { bufferView: view(bytes(index), 34963), componentType: 5125, count: count * 30, type: "SCALAR" },
  ];
  const properties = {};
  const schema = {};
  for (const id of ["geid", "source_key", "name"]) {
    const packed = strings(buildings.map((b) => b[id] ?? ""));
    properties[id] = { values: view(packed.values.length ? packed.values : Buffer.alloc(1)), stringOffsets: view(packed.offsets) };
    schema[id] = { type: "STRING", ...(id === "name" && { noData: "" }) };
  }
  for (const id of ["height_m", "base_m", "roof_m", "height_confidence"]) {
    properties[id] = { values: view(bytes(Float32Array.from(buildings, (b) => b[id] ?? -9999))) };
    schema[id] = { type: "SCALAR", componentType: "FLOAT32", noData: -9999 };
  }
  properties.storeys = { values: view(bytes(Int16Array.from(buildings, (b) => b.storeys ?? -1))) };
  schema.storeys = { type: "SCALAR", componentType: "INT16", noData: -1 };
  properties.entity_class = { values: view(bytes(Uint16Array.from(buildings, (b) => classes.indexOf(b.entity_class)))) };
  schema.entity_class = { type: "ENUM", enumType: "use" };
  const json = {
    asset: { version: "2.0", generator: "district-twin mock" },
    extensionsUsed: ["EXT_mesh_features", "EXT_structural_metadata"],
    scene: 0,
    scenes: [{ nodes: [0] }],
    nodes: [{ mesh: 0 }],
    meshes: [
      {
        primitives: [
          {
            attributes: { POSITION: 0, NORMAL: 1, _FEATURE_ID_0: 2 },
            indices: 3,
            material: 0,
            extensions: {
              EXT_mesh_features: { featureIds: [{ featureCount: count, attribute: 0, label: "entity", propertyTable: 0 }] },
            },
          },
        ],
      },
    ],
    materials: [{ pbrMetallicRoughness: { metallicFactor: 0, roughnessFactor: 1 } }],
    extensions: {
      EXT_structural_metadata: {
        schema: {
          id: "mock",
          classes: { building: { properties: schema } },
          enums: { use: { values: classes.map((name, value) => ({ name, value })) } },
        },
        propertyTables: [{ class: "building", count, properties }],
      },
    },
    accessors,
    bufferViews: views,
    buffers: [{ byteLength: offset }],
  };
  const text = pad(Buffer.from(JSON.stringify(json)), 4, 0x20);
  const binary = Buffer.concat(chunks);
  const header = Buffer.alloc(12);
  header.write("glTF", 0, "latin1");
  header.writeUInt32LE(2, 4);
  header.writeUInt32LE(12 + 8 + text.length + 8 + binary.length, 8);
  const chunk = (kind, content) => {
    const head = Buffer.alloc(8);
    head.writeUInt32LE(content.length, 0);
    head.write(kind, 4, "latin1");
    return [head, content];
  };
  return Buffer.concat([header, ...chunk("JSON", text), ...chunk("BIN\0", binary)]);
}
