/** Turns the values of a property into few classes with colours: what the legend shows and the style draws. */

export interface NumberClass {
  /** Lower limit, included; the first class has none. */
  from?: number;
  /** Upper limit, left out; the last class has none. */
  to?: number;
  colour: string;
}

export type Classes =
  | { kind: "number"; classes: NumberClass[]; missing: string }
  | { kind: "category"; classes: { value: string; colour: string }[]; other?: string; missing: string };

/** Slate to ice: dark low, light high, so that height reads as light does. Amber is kept for the selection. */
export const SEQUENTIAL = ["#2f475c", "#33617e", "#3a7d9b", "#5299b0", "#7db6c2", "#aed2d6", "#e6f2ef"] as const;

/** Ten hues of like weight on a dark ground, told apart by lightness as well as by hue. */
export const CATEGORICAL = [
  "#6aaed0",
  "#d9a35f",
  "#7fbf9b",
  "#c98bb0",
  "#d7cf86",
  "#8f93d1",
  "#d67f70",
  "#5fb3ab",
  "#b9c3cc",
  "#a0855b",
] as const;

export const MISSING = "#4a4f57";
export const OTHER = "#6b737d";

/** Limits at quantiles, moved to round numbers, each class with something in it. Sorted, without doubles. */
export function niceBreaks(values: readonly number[], count: number): number[] {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  const low = sorted[0];
  const high = sorted[sorted.length - 1];
  if (low === undefined || high === undefined || low === high) return [];
  const breaks = new Set<number>();
  for (let i = 1; i < count; i++) {
    const at = (i / count) * (sorted.length - 1);
    const quantile = sorted[Math.round(at)] as number;
    breaks.add(roundNicely(quantile, high - low));
  }
  return [...breaks].filter((b) => b > low && b <= high).sort((a, b) => a - b);
}

/** Rounds to 1, 2 or 5 × 10ⁿ steps of about a fortieth of the spread, finer near zero. */
function roundNicely(value: number, spread: number): number {
  const size = Math.min(Math.max(Math.abs(value) / 8, spread / 400), spread / 10);
  const magnitude = 10 ** Math.floor(Math.log10(size));
  const step = ([1, 2, 5, 10].find((s) => s * magnitude >= size) ?? 10) * magnitude;
  return Number((Math.round(value / step) * step).toPrecision(12));
}

/** `count` colours of the ramp, evenly taken, first and last included. */
export function rampColours(count: number, ramp: readonly string[] = SEQUENTIAL): string[] {
  if (count <= 1) return [ramp[Math.floor(ramp.length / 2)] as string];
  return Array.from({ length: count }, (_, i) => ramp[Math.round((i * (ramp.length - 1)) / (count - 1))] as string);
}

export function classifyNumbers(values: readonly number[], count: number = SEQUENTIAL.length): Classes {
  const breaks = niceBreaks(values, count);
  const colours = rampColours(breaks.length + 1);
  const classes = colours.map((colour, i): NumberClass => {
    const from = breaks[i - 1];
    const to = breaks[i];
    return { colour, ...(from !== undefined && { from }), ...(to !== undefined && { to }) };
  });
  return { kind: "number", classes, missing: MISSING };
}

/** The most frequent values get a hue each; the rest share one grey. Ties fall alphabetically, so views agree. */
export function classifyCategories(values: readonly string[], known: readonly string[] = []): Classes {
  const counts = new Map<string, number>(known.map((value) => [value, 0]));
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  const ranked = [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1)).map(([value]) => value);
  const shown = ranked.filter(expressible).slice(0, CATEGORICAL.length);
  const classes = shown.map((value, i) => ({ value, colour: CATEGORICAL[i] as string }));
  return { kind: "category", classes, missing: MISSING, ...(ranked.length > shown.length && { other: OTHER }) };
}

/** A styling expression cannot hold a string with both kinds of quotes or with `${`. */
const expressible = (value: string): boolean => !(value.includes("'") && value.includes('"')) && !value.includes("${");

/** The colour of one value under `classes`; the same rule the style expression states. */
export function colourOf(classes: Classes, value: unknown): string {
  if (value === undefined || value === null || value === "") return classes.missing;
  if (classes.kind === "category")
    return classes.classes.find((c) => c.value === String(value))?.colour ?? classes.other ?? classes.missing;
  const number = Number(value);
  if (Number.isNaN(number)) return classes.missing;
  return classes.classes.find((c) => c.to === undefined || number < c.to)?.colour ?? classes.missing;
}
