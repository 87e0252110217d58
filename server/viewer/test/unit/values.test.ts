import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { meaning, VALUES } from "../../src/values";

describe("what codes mean", () => {
  it("is said in both languages, each in its own", () => {
    for (const field of Object.values(VALUES))
      for (const [code, { en, zh }] of Object.entries(field)) {
        expect([code, en !== "" && !/[\u4e00-\u9fff]/.test(en)]).toEqual([code, true]);
        expect([code, /[\u4e00-\u9fff]/.test(zh)]).toEqual([code, true]);
      }
  });

  it("is known for every reason code the build can give to an entity, and for no other", () => {
    const report = readFileSync(new URL("../../../../twin/report.py", import.meta.url), "utf8");
    const table = report.slice(report.indexOf("REASONS: Mapping"), report.indexOf("class Issue"));
    const codes = [...table.matchAll(/\(\s*"([a-z_]+)",\s*(?:Outcome\.|None)/g)].map((m) => m[1]);
    expect(codes.length).toBeGreaterThan(10);
    expect(Object.keys(VALUES["reasons"] ?? {}).sort()).toEqual([...codes].sort());
  });

  it("names the attribute a height came from", () => {
    expect(meaning("height_source", "attribute:JZGD", "zh")).toBe("属性 JZGD");
    expect(meaning("height_source", "attribute:JZGD", "en")).toBe("attribute JZGD");
  });

  it("leaves what it does not know as it is", () => {
    for (const value of ["toString", "", "年", "attribute:x"]) expect(meaning("outcome", value, "en")).toBe(value);
    expect(meaning("constructor", "name", "zh")).toBe("name");
  });
});
