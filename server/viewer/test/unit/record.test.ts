import { describe, expect, it } from "vitest";
import { disagreements, flatten, named, sheetOf } from "../../src/record";

const tile = { geid: "g", height_m: Math.fround(18.3), storeys: 6, name: "塔", STRUCT: "砖混" };

describe("tile and registry", () => {
  it("agree within the precision of a 32-bit float", () => {
    expect(disagreements(tile, { height_m: 18.3, storeys: 6, name: "塔" })).toEqual([]);
    expect(disagreements({ source_key: "17" }, { source_key: 17 })).toEqual([]);
  });

  it("disagree by field", () => {
    expect(disagreements(tile, { height_m: 19.3, storeys: 7, name: "Tower" })).toEqual(["name", "height_m", "storeys"]);
  });

  it("do not disagree where one is silent", () => {
    expect(disagreements(tile, { height_m: null })).toEqual([]);
    expect(disagreements({}, { height_m: 3 })).toEqual([]);
  });
});

describe("the sheet of an entity", () => {
  it("shows every field once, in its group", () => {
    const record = { geid: "g", height_m: 18.3, height_source: "dsm", lon: 1, lat: 2, reasons: ["geometry_repaired"], "attr.YEAR": 1990, attributes: { 用途: "住宅" }, name: null };
    const sheet = sheetOf(tile, record);
    const ids = [sheet.measures, sheet.provenance, sheet.attributes].flat().map((f) => f.id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(sheet.measures.map((f) => f.id)).toEqual(["height_m", "storeys"]);
    expect(sheet.provenance.map((f) => f.id)).toEqual(["height_source"]);
    expect(sheet.attributes.map((f) => f.id).sort()).toEqual(["STRUCT", "YEAR", "用途"].sort());
    expect(sheet.reasons).toEqual(["geometry_repaired"]);
  });

  it("shows an attribute once although tile and registry name it differently", () => {
    const names: Record<string, string> = { p_1: "用途", height_m: "Height above ground" };
    const tile = named({ p_1: "住宅", height_m: 18 }, (id) => names[id]);
    const sheet = sheetOf(tile, { attributes: { 用途: "住宅" } });
    expect(sheet.attributes).toEqual([{ id: "用途", value: "住宅" }]);
    expect(sheet.measures).toEqual([{ id: "height_m", value: 18 }]);
  });

  it("lets the registry win, but not with a blank", () => {
    const sheet = sheetOf({ storeys: 6, height_m: 18 }, { storeys: null, height_m: 18.3 });
    expect(sheet.measures).toEqual([
      { id: "height_m", value: 18.3 },
      { id: "storeys", value: 6 },
    ]);
  });

  it("leaves a list called attributes alone", () => {
    expect(flatten({ attributes: [1] }).get("attributes")).toEqual([1]);
  });
});
