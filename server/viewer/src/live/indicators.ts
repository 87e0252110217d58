/** Indicators as the server tells them: what they are, how they stand, by area and over time. Nothing known is nothing. */

export const LIGHTS = ["ok", "warn", "alarm", "unknown"] as const;
export type Light = (typeof LIGHTS)[number];
export const DIMENSIONS = ["people", "things", "movement", "state"] as const;

export interface Standing {
  value?: number;
  light: Light;
  /** Share of what should report that does, 0 to 1. */
  coverage?: number;
  unusual: boolean;
}

export interface Indicator extends Standing {
  id: string;
  zh: string;
  en: string;
  dimension: string;
  unit: string;
  /** `lower`, `higher` or `neither`. */
  better: string;
}

export interface Ranked extends Standing {
  geid?: string;
  name: string;
}

export interface Point extends Standing {
  time: number;
}

type Json = Record<string, unknown>;
const object = (value: unknown): Json => (typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {});
const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);
const number = (value: unknown): number | undefined => (typeof value === "number" && Number.isFinite(value) ? value : undefined);
const list = (value: unknown, names: readonly string[]): Json[] => {
  const found = Array.isArray(value) ? value : names.map((name) => object(value)[name]).find(Array.isArray);
  return (found ?? []).map(object);
};

const WORDS: Readonly<Record<string, Light>> = { ok: "ok", normal: "ok", green: "ok", good: "ok", warn: "warn", warning: "warn", yellow: "warn", alarm: "alarm", red: "alarm", critical: "alarm" };

function standing(source: Json): Standing {
  const inner = { ...object(source["reading"]), ...object(source["current"]), ...source };
  const value = number(inner["value"]);
  const light = value === undefined ? "unknown" : (WORDS[String(inner["state"] ?? inner["light"] ?? "ok")] ?? "unknown");
  const coverage = number(inner["coverage"]) ?? number(object(inner["coverage"])["share"]);
  const flag = inner["unusual"] ?? inner["anomaly"];
  const unusual = flag === true || object(flag)["flag"] === true || object(flag)["unusual"] === true;
  return { ...(value !== undefined && { value }), light, unusual, ...(coverage !== undefined && { coverage }) };
}

export function parseIndicators(value: unknown): Indicator[] {
  return list(value, ["indicators", "items"]).flatMap((source) => {
    const id = text(source["id"]);
    if (id === undefined) return [];
    const names = object(source["name"] ?? source["title"]);
    const zh = text(source["zh"]) ?? text(names["zh"]) ?? text(source["name"]) ?? id;
    const en = text(source["en"]) ?? text(names["en"]) ?? text(source["name"]) ?? id;
    return [{ id, zh, en, dimension: text(source["dimension"]) ?? "state", unit: text(source["unit"]) ?? "", better: text(source["better"]) ?? text(source["direction"]) ?? "lower", ...standing(source) }];
  });
}

export function parseRanking(value: unknown): Ranked[] {
  return list(value, ["ranking", "areas", "items"]).map((source) => {
    const area = object(source["area"]);
    const geid = text(source["geid"]) ?? text(area["geid"]) ?? text(source["area"]);
    return { name: text(source["area_name"]) ?? text(source["name"]) ?? text(area["name"]) ?? geid ?? "—", ...(geid !== undefined && { geid }), ...standing(source) };
  });
}

export function parseSeries(value: unknown): Point[] {
  return list(value, ["series", "points", "items", "values"]).flatMap((source) => {
    const time = Date.parse(String(source["datetime"] ?? source["time"]));
    return Number.isNaN(time) ? [] : [{ time, ...standing(source) }];
  });
}

/** Whatever the unit, no more digits than one reads across a room. */
export function figure(value: number | undefined, unit: string): { number: string; unit: string } {
  if (value === undefined) return { number: "—", unit: "" };
  if (unit === "1") return { number: (100 * value).toFixed(Math.abs(value) < 0.1 ? 1 : 0), unit: "%" };
  const digits = Math.abs(value) >= 100 || Number.isInteger(value) ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return { number: value.toFixed(digits), unit };
}
