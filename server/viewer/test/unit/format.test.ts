import { describe, expect, it } from "vitest";
import { attributeText, degrees, groupGeid, metres, plainNumber, sameGeid, scaleBar } from "../../src/format";

describe("an identifier", () => {
  it.each(["7k3mz9q24hdxp1w8", "7K3M-Z9Q2-4HDX-P1W8", "7k3m z9q2 4hdx p1w8", "7k3m-z9q2-4hdx-p1w8"])("written %s is shown in groups of four", (text) => {
    expect(groupGeid(text)).toBe("7k3m-z9q2-4hdx-p1w8");
    expect(sameGeid(text, "7k3m-z9q2-4hdx-p1w8")).toBe(true);
  });

  it("that is none is left alone", () => {
    for (const text of ["", "310105001", "way/123-456", "名称"]) expect(groupGeid(text)).toBe(text);
  });
});

describe("numbers", () => {
  it("of a place carry their hemisphere, never a sign", () => {
    expect(degrees(121.4, "lon")).toBe("121.400000° E");
    expect(degrees(-31.25, "lat")).toBe("31.250000° S");
    expect(degrees(-0.5, "lon")).toBe("0.500000° W");
  });

  it("lose the noise of 32-bit floats", () => {
    expect(plainNumber(Math.fround(18.3))).toBe("18.3");
    expect(plainNumber(Math.fround(0.6))).toBe("0.6");
    expect(metres(Math.fround(18.3), 2)).toBe("18.30 m");
    expect(metres(-0.001)).toBe("0.0 m");
  });

  it("that are missing show as a dash", () => {
    for (const value of [undefined, null, "", NaN, []]) expect(attributeText(value)).toBe("—");
    expect(attributeText(0)).toBe("0");
    expect(attributeText(false)).toBe("false");
    expect(attributeText(["a", 1])).toBe("a, 1");
    expect(attributeText(9007199254740993n)).toBe("9007199254740993");
  });
});

describe("the scale bar", () => {
  it("fits its room, fills more than two fifths of it and has a round length, over eight powers of ten", () => {
    for (let exponent = -3; exponent <= 5; exponent += 0.013) {
      const bar = scaleBar(10 ** exponent, 130);
      expect(bar.pixels).toBeLessThanOrEqual(130.001);
      expect(bar.pixels).toBeGreaterThan(130 * 0.39);
      expect([1, 2, 5]).toContain(Math.round(bar.metres / 10 ** Math.floor(Math.log10(bar.metres) + 1e-9)));
    }
  });

  it("changes to kilometres at a thousand metres", () => {
    expect(scaleBar(10, 130).label).toBe("1 km");
    expect(scaleBar(5, 130).label).toBe("500 m");
  });
});
