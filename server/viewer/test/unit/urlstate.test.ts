import { describe, expect, it } from "vitest";
import { decodeView, encodeView, type ViewState } from "../../src/urlstate";

const full: ViewState = {
  camera: { lon: 121.3954321, lat: 31.2109876, height: 812.4, heading: 341.5, pitch: -36.2 },
  selected: "7k3m-z9q2-4hdx-p1w8",
  colour: "height_m",
  hidden: ["buildings", "名称,带逗号&等号="],
  language: "zh",
};

describe("a link of a view", () => {
  it("comes back as it was", () => {
    expect(decodeView(encodeView(full))).toEqual(full);
  });

  it("comes back for every subset of its parts", () => {
    const keys = Object.keys(full) as (keyof ViewState)[];
    for (let mask = 0; mask < 2 ** keys.length; mask++) {
      const part = Object.fromEntries(keys.filter((_, i) => mask & (1 << i)).map((key) => [key, full[key]])) as ViewState;
      expect(decodeView(encodeView(part))).toEqual(part);
    }
  });

  it("is stable: encoding what was decoded gives the same text", () => {
    const text = encodeView(full);
    expect(encodeView(decodeView(text))).toBe(text);
  });

  it("keeps a position to a centimetre", () => {
    const camera = { lon: 121.123456789, lat: -31.987654321, height: 1234.5678, heading: 359.96, pitch: -89.97 };
    const back = decodeView(encodeView({ camera })).camera;
    expect(Math.abs((back?.lon ?? 0) - camera.lon) * 111_320).toBeLessThan(0.01);
    expect(Math.abs((back?.lat ?? 0) - camera.lat) * 111_320).toBeLessThan(0.01);
    expect(Math.abs((back?.height ?? 0) - camera.height)).toBeLessThanOrEqual(0.05);
  });

  it("writes north as 0, never as 360", () => {
    const north = { lon: 1, lat: 2, height: 3, heading: 359.97, pitch: -30 };
    expect(encodeView({ camera: north })).toBe("#view=1,2,3,0,-30");
  });

  it.each(["", "#", "#view=1,2,3", "#view=a,b,c,d,e", "#view=999,0,1,0,0", "#view=1,2,,4,5", "#view=NaN,0,0,0,0", "#nothing", "#x=1&view"])(
    "takes nothing from %j and does not fail",
    (hash) => {
      expect(decodeView(hash).camera).toBeUndefined();
    },
  );

  it("opens also when it was cut off inside an escape", () => {
    expect(decodeView("#id=%E4%BD").selected).toBe("%E4%BD");
  });
});
