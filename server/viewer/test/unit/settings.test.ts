import { describe, expect, it } from "vitest";
import { boxRing } from "../../src/scene/outline";
import { readSettings } from "../../src/settings";

describe("the settings in the address", () => {
  it("take a sensible error and nothing else", () => {
    expect(readSettings("?sse=3").screenSpaceError).toBe(3);
    for (const bad of ["", "?sse=", "?sse=0", "?sse=-1", "?sse=x", "?sse=1e9", "?sse=NaN"])
      expect(readSettings(bad).screenSpaceError).toBe(readSettings("").screenSpaceError);
  });

  it("fetch less where quality is low", () => {
    expect(readSettings("?quality=low").low).toBe(true);
    expect(readSettings("?quality=low").screenSpaceError).toBeGreaterThan(readSettings("").screenSpaceError);
  });
});

it("the box outline goes round the region, outside of it, without a repeated point", () => {
  const region = { west: 121.3, south: 31.1, east: 121.5, north: 31.3, low: 0, high: 9 };
  const ring = boxRing(region);
  expect(new Set(ring.map(String)).size).toBe(ring.length);
  for (const [lon, lat] of ring)
    expect(lon <= region.west || lon >= region.east || lat <= region.south || lat >= region.north).toBe(true);
});
