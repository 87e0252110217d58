import { describe, expect, it } from "vitest";
import { parseEntities, parseEntity, parseOutline, parseProperty, parseRegion, parseRelease } from "../../src/model";

const root = new URL("https://host.example/x/");

describe("a release", () => {
  const layer = { title: "Buildings", region: [121.3, 31.1, 121.5, 31.3, 3, 200], features: 5, properties: [{ id: "height_m", name: "height", type: "FLOAT32" }] };

  it("is read whether its layers are a list or a table", () => {
    const project = { name: "长宁区", admin_code: "310105" };
    const table = parseRelease({ release: "abc", project, vertical_datum: "EPSG:5737", layers: { buildings: layer } }, root);
    const list = parseRelease({ release: "abc", project, vertical_datum: "EPSG:5737", layers: [{ id: "buildings", ...layer }] }, root);
    expect(list).toEqual(table);
    expect(table.layers[0]?.region).toEqual({ west: 121.3, south: 31.1, east: 121.5, north: 31.3, low: 3, high: 200 });
    expect(table.verticalDatum).toBe("EPSG:5737");
  });

  it.each([
    [undefined, "https://host.example/x/tiles/buildings/tileset.json"],
    ["tileset.json", "https://host.example/x/tiles/buildings/tileset.json"],
    ["tiles/buildings/tileset.json", "https://host.example/x/tiles/buildings/tileset.json"],
    ["/x/tiles/buildings/tileset.json", "https://host.example/x/tiles/buildings/tileset.json"],
    ["/tiles/buildings/tileset.json", "https://host.example/x/tiles/buildings/tileset.json"],
    ["https://host.example/x/tiles/b/tileset.json", "https://host.example/x/tiles/b/tileset.json"],
    ["http://127.0.0.1:8000/tiles/buildings/tileset.json", "https://host.example/x/tiles/buildings/tileset.json"],
  ])("with the link %s leads to %s", (tileset, expected) => {
    expect(parseRelease({ layers: { buildings: { ...layer, tileset } } }, root).layers[0]?.tileset).toBe(expected);
  });

  it("without anything in it is empty and no failure", () => {
    expect(parseRelease({}, root)).toEqual({ id: "", name: "", adminCode: "", layers: [], outline: [] });
    expect(parseRelease(null, root).layers).toEqual([]);
  });
});

describe("a property", () => {
  it.each([
    [{ id: "a", type: "FLOAT32" }, "number"],
    [{ id: "a", type: "SCALAR", component_type: "INT16" }, "number"],
    [{ id: "a", type: "int64" }, "number"],
    [{ id: "a", type: "STRING" }, "category"],
    [{ id: "a", type: "BOOLEAN" }, "category"],
    [{ id: "a", type: "ENUM", enum: ["x", "y"] }, "category"],
    [{ id: "a", type: "UINT8", enum: { values: [{ name: "x", value: 0 }] } }, "category"],
  ])("%j is a %s", (source, kind) => {
    expect(parseProperty(source)?.kind).toBe(kind);
  });

  it("has quantiles where the server gives numbers", () => {
    expect(parseProperty({ id: "a", type: "SCALAR", quantiles: [1, 2, null, 4] })?.quantiles).toEqual([1, 2, 4]);
    expect(parseProperty({ id: "a", type: "STRING", quantiles: [1, 2] })?.quantiles).toBeUndefined();
  });

  it("lists the names of its enum", () => {
    expect(parseProperty({ id: "a", type: "ENUM", enum: { values: [{ name: "住宅", value: 0 }] } })?.values).toEqual(["住宅"]);
  });
});

describe("an entity", () => {
  const flat = { geid: "7k3m-z9q2-4hdx-p1w8", lon: 121.4, lat: 31.2, height: 14.9, height_m: 20, west: 1, south: 2, east: 3, north: 4, row: 0, tile: "c/r.glb" };

  it("is the same as a record and as a GeoJSON feature", () => {
    const { record: _, ...plain } = parseEntity(flat) ?? {};
    const { record: __, ...feature } = parseEntity({ type: "Feature", id: flat.geid, geometry: null, properties: flat }) ?? {};
    expect(feature).toEqual(plain);
    expect(plain).toMatchObject({ bbox: { west: 1, south: 2, east: 3, north: 4 }, row: 0, heightM: 20 });
  });

  it("is the same whether its provenance and tile are objects or columns", () => {
    const { row, tile, ...facts } = flat;
    const folded = { ...facts, tile: { layer: "buildings", key: tile, row, url: "/x" }, provenance: { source: "survey", confidence: 0.6, reasons: [] } };
    const columns = { ...flat, source: "survey", height_confidence: 0.6, reasons: [] };
    expect(parseEntity(folded)).toEqual(parseEntity(columns));
    expect(parseEntity({ ...facts, tile: null })?.tile).toBeUndefined();
  });

  it("takes the box of degrees out of a box with heights", () => {
    const { west: _w, south: _s, east: _e, north: _n, ...rest } = flat;
    expect(parseEntity({ ...rest, bbox: [1, 2, 14.9, 3, 4, 34.9] })?.bbox).toEqual({ west: 1, south: 2, east: 3, north: 4 });
  });

  it("without an identifier is none", () => {
    expect(parseEntity({ name: "x" })).toBeUndefined();
  });

  it("is found in every kind of list", () => {
    for (const key of ["items", "entities", "results", "features"]) expect(parseEntities({ [key]: [flat, {}] })).toHaveLength(1);
    expect(parseEntities([flat])).toHaveLength(1);
    expect(parseEntities({})).toEqual([]);
  });
});

describe("numbers from outside", () => {
  it("that are not finite make no region", () => {
    expect(parseRegion([1, 2, 3, 4, 5, null])).toBeUndefined();
    expect(parseRegion([1, 2, 3, 4])).toBeUndefined();
  });

  it("of an outline are found at any depth of GeoJSON", () => {
    const ring = [[0, 0], [1, 0], [1, 1], [0, 0]];
    const polygon = { type: "Polygon", coordinates: [ring] };
    const collection = { type: "FeatureCollection", features: [{ type: "Feature", geometry: { type: "MultiPolygon", coordinates: [[ring], [ring]] } }] };
    expect(parseOutline(polygon)).toEqual([ring]);
    expect(parseOutline(collection)).toEqual([ring, ring]);
    expect(parseOutline(undefined)).toEqual([]);
  });
});
