import { describe, expect, it } from "vitest";
import { CATEGORICAL, classifyCategories, classifyNumbers, colourOf, MISSING, niceBreaks, OTHER, rampColours, SEQUENTIAL } from "../../src/ramp";

/** Deterministic numbers, skewed like the heights of a city. */
function heights(count: number): number[] {
  let state = 42;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return 3 + 160 * (state / 0x7fffffff) ** 5;
  });
}

describe("limits of number classes", () => {
  it.each([[heights(5000)], [Array.from({ length: 100 }, (_, i) => i)], [[-5, -4.5, 0, 0.001, 7]], [[1e-9, 2e-9, 5e-9]], [[1, 1, 1, 2]]])(
    "rise strictly, lie inside the values and are few",
    (values) => {
      const breaks = niceBreaks(values, 7);
      expect(breaks.length).toBeLessThanOrEqual(6);
      for (const [i, b] of breaks.entries()) {
        expect(b).toBeGreaterThan(i === 0 ? Math.min(...values) : (breaks[i - 1] as number));
        expect(b).toBeLessThanOrEqual(Math.max(...values));
      }
    },
  );

  it("do not depend on the order of the values", () => {
    const values = heights(999);
    expect(niceBreaks([...values].reverse(), 7)).toEqual(niceBreaks(values, 7));
  });

  it("are round: at most two significant digits over their step", () => {
    for (const b of niceBreaks(heights(5000), 7)) expect(Number(b.toPrecision(2))).toBe(b);
  });

  it("are none for nothing, for one value and for what is no number", () => {
    expect(niceBreaks([], 7)).toEqual([]);
    expect(niceBreaks([4, 4, 4], 7)).toEqual([]);
    expect(niceBreaks([NaN, Infinity, -Infinity], 7)).toEqual([]);
  });

  it("tell towers from houses where most are houses", () => {
    const values = [...Array.from({ length: 980 }, (_, i) => 6 + (i % 5)), ...Array.from({ length: 20 }, (_, i) => 60 + 5 * i)];
    const classes = classifyNumbers(values);
    expect(colourOf(classes, 150)).not.toBe(colourOf(classes, 60));
    expect(colourOf(classes, 60)).not.toBe(colourOf(classes, 10));
    expect(colourOf(classes, 10)).not.toBe(colourOf(classes, 6));
  });
});

describe("number classes", () => {
  it("cover the whole line without gap or overlap", () => {
    const made = classifyNumbers(heights(3000));
    if (made.kind !== "number") throw new Error("not numbers");
    expect(made.classes[0]?.from).toBeUndefined();
    expect(made.classes.at(-1)?.to).toBeUndefined();
    for (let i = 1; i < made.classes.length; i++) expect(made.classes[i]?.from).toBe(made.classes[i - 1]?.to);
  });

  it("take their lower limit in", () => {
    const made = classifyNumbers(heights(3000));
    if (made.kind !== "number") throw new Error("not numbers");
    const second = made.classes[1];
    expect(colourOf(made, second?.from)).toBe(second?.colour);
  });

  it("give a missing value its own colour", () => {
    const made = classifyNumbers([1, 2, 3]);
    for (const value of [undefined, null, "", NaN, "abc"]) expect(colourOf(made, value)).toBe(MISSING);
  });

  it("run from the first to the last colour of the ramp", () => {
    for (let n = 2; n <= SEQUENTIAL.length; n++) {
      const colours = rampColours(n);
      expect(new Set(colours).size).toBe(n);
      expect([colours[0], colours.at(-1)]).toEqual([SEQUENTIAL[0], SEQUENTIAL.at(-1)]);
    }
  });
});

describe("categories", () => {
  it("put the frequent first, ties in alphabetical order", () => {
    const made = classifyCategories(["b", "a", "c", "c"]);
    expect(made.kind === "category" && made.classes.map((c) => c.value)).toEqual(["c", "a", "b"]);
  });

  it("share one grey beyond the palette", () => {
    const many = Array.from({ length: 30 }, (_, i) => `value ${String(i).padStart(2, "0")}`);
    const made = classifyCategories(many);
    expect(made.kind === "category" && made.classes.length).toBe(CATEGORICAL.length);
    expect(colourOf(made, "value 29")).toBe(OTHER);
    expect(colourOf(made, "value 00")).toBe(CATEGORICAL[0]);
    expect(colourOf(made, undefined)).toBe(MISSING);
  });

  it("list what the schema knows, though no tile has shown it yet", () => {
    const made = classifyCategories(["住宅"], ["住宅", "医院"]);
    expect(made.kind === "category" && made.classes.map((c) => c.value)).toEqual(["住宅", "医院"]);
  });
});
