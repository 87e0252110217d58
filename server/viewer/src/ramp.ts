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
export const SEQUENTIAL = ["#3f607b", "#3a7495", "#438dac", "#5ca7bd", "#88c0ca", "#b7d8da", "#e8f2f0"] as const;

/** Ten hues of like weight on a dark ground, told apart by lightness as well as by hue. */
export const CATEGORICAL = [
  "#5f9fc4",
  "#c89b66",
  "#7db898",
  "#b986a6",
  "#c4c091",
  "#8a8fc0",
  "#c47c6e",
  "#57a39d",
  "#b4c0ca",
  "#8f7d62",
] as const;

export const MISSING = "#4a4f57";
export const OTHER = "#6b737d";

/**
 * Limits between quantiles and equal steps, moved to round numbers. Quantiles alone put every tower of a city
 * of low houses into one class; equal steps alone put every house into one. Where the values are skewed, both are taken
 * of the logarithm. Sorted, without doubles.
 */
export function niceBreaks(values: readonly number[], count: number): number[] {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  const low = sorted[0];
  const high = sorted[sorted.length - 1];
  if (low === undefined || high === undefined || low === high) return [];
  const median = sorted[Math.floor(sorted.length / 2)] as number;
  const skewed = low > 0 && high > 4 * median;
  const [to, from] = skewed ? [Math.log, Math.exp] : [(v: number): number => v, (v: number): number => v];
  // One absurd value must not stretch the steps.
  const top = sorted[Math.floor((sorted.length - 1) * 0.998)] as number;
  const breaks = new Set<number>();
  for (let i = 1; i < count; i++) {
    const quantile = sorted[Math.round((i / count) * (sorted.length - 1))] as number;
    const step = to(low) + (i / count) * (to(top) - to(low));
    // Of skewed values the many low ones are told apart by rank, the few high ones by size.
    const share = skewed ? i / count : 0.5;
    breaks.add(roundNicely(from((1 - share) * to(quantile) + share * step), high - low));
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
