import { Cesium3DTileStyle, Color } from "@cesium/engine";
import { describe, expect, it } from "vitest";
import { classifyCategories, classifyNumbers, colourOf } from "../../src/ramp";
import { conditions } from "../../src/style";

/** Cesium's own evaluator on a feature with one property. */
function evaluate(rules: [string, string][], id: string, value: unknown): string {
  const style = new Cesium3DTileStyle({ color: { conditions: rules } });
  const feature = { getPropertyInherited: (name: string) => (name === id ? value : undefined) };
  const colour = (style.color as unknown as { evaluateColor(f: unknown, c: Color): Color }).evaluateColor(feature, new Color());
  return colour.toCssHexString();
}

describe("the style CesiumJS evaluates", () => {
  const numbers = classifyNumbers([3, 6, 9, 12, 20, 35, 60, 100]);
  it.each([3, 5.99, 6, 10, 20, 99.5, 1e6, -3, 0, 12n, undefined, null])("gives %s the colour the legend gives it", (value) => {
    expect(evaluate(conditions("height_m", numbers), "height_m", value)).toBe(colourOf(numbers, value));
  });

  it("holds for a property with one value only", () => {
    const single = classifyNumbers([7, 7]);
    expect(evaluate(conditions("storeys", single), "storeys", 7)).toBe(colourOf(single, 7));
    expect(evaluate(conditions("storeys", single), "storeys", undefined)).toBe(single.missing);
  });

  const awkward = ["住宅", "it's", 'say "so"', "back\\slash", "both ' and \"", "${name}", "a&&b", "true", ""];
  const categories = classifyCategories(awkward);
  it.each([...awkward, "never seen", undefined, null])("gives category %j the colour the legend gives it", (value) => {
    expect(evaluate(conditions("use", categories), "use", value)).toBe(colourOf(categories, value));
  });

  it("compares booleans as words", () => {
    const flags = classifyCategories(["true", "false"]);
    expect(evaluate(conditions("listed", flags), "listed", true)).toBe(colourOf(flags, true));
  });
});
