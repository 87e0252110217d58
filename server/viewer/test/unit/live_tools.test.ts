import { describe, expect, it } from "vitest";
import { Day, DAY_MS } from "../../src/live/day";
import type { LiveEvent } from "../../src/live/event";
import { density, shade } from "../../src/live/heat";
import { figure, parseIndicators, parseRanking, parseSeries } from "../../src/live/indicators";
import { areaOf, isInside, lengthOf } from "../../src/live/sketch";

describe("the heat map", () => {
  it("loses no event: what it spreads adds up to what there is, also at the rim", () => {
    const points = [{ u: 0.5, v: 0.5, weight: 2 }, { u: 0.001, v: 0.999, weight: 3 }, { u: 0.5, v: 0.51, weight: 1 }];
    const grid = density(points, 64, 3);
    expect(grid.reduce((a, b) => a + b, 0)).toBeCloseTo(6, 3);
    expect(grid.indexOf(Math.max(...grid)) % 64).toBeLessThan(3);
  });

  it("is nothing where nothing is, and ever more opaque", () => {
    const alphas = Array.from({ length: 101 }, (_, i) => shade(i / 100)[3]);
    expect(alphas[0]).toBe(0);
    expect([...alphas].sort((a, b) => a - b)).toEqual(alphas);
  });
});

describe("what is drawn by hand", () => {
  const square = [{ x: 0, y: 0 }, { x: 100, y: 0 }, { x: 100, y: 50 }, { x: 0, y: 50 }];
  it("is measured", () => {
    expect(lengthOf(square)).toBe(250);
    expect(areaOf(square)).toBe(5000);
    expect(areaOf([...square].reverse())).toBe(5000);
  });

  it("knows inside from outside, also of a shape that bends in", () => {
    const bent = [{ x: 0, y: 0 }, { x: 100, y: 0 }, { x: 100, y: 100 }, { x: 50, y: 20 }, { x: 0, y: 100 }];
    const at = (x: number, y: number): boolean => isInside({ x, y }, bent);
    expect([at(50, 10), at(50, 60), at(10, 50), at(95, 80), at(-1, 5)]).toEqual([true, false, true, true, false]);
  });
});

describe("a day", () => {
  const begin = Date.UTC(2026, 10, 22);
  const event = (offset: number, name: string, minute: number, status: LiveEvent["status"], change: Partial<LiveEvent> = {}): LiveEvent => ({
    key: name, source: "s", id: String(offset), case: name, kind: "work_order", status, severity: "low", title: name, occurred: begin + minute * 60_000, offset, method: "none", confidence: 0, photos: [], rest: {}, ...change,
  });
  const before = [event(1, "A", -200, "created")];
  const reports = [event(3, "B", 10, "created"), event(2, "A", 20, "accepted"), event(4, "B", 30, "closed", { severity: "high" }), event(5, "A", 30, "closed"), event(6, "C", 1439, "created", { kind: "position" })];
  const day = new Day(begin, before, reports);
  const state = (minute: number): Record<string, string> => Object.fromEntries(day.stateAt(begin + minute * 60_000).map((one) => [one.case, one.status]));

  it("begins with what was left of the days before", () => expect(state(0)).toEqual({ A: "created" }));

  it("played in whatever steps ends in the same state as jumped to", () => {
    for (const step of [1, 7, 600, 1440]) {
      const last = new Map(day.stateAt(begin).map((one) => [one.case, one.status]));
      for (let minute = 0; minute < 1440; minute += step)
        for (const one of day.between(begin + minute * 60_000, begin + Math.min(minute + step, 1440) * 60_000)) last.set(one.case, one.status);
      expect(Object.fromEntries(last)).toEqual(state(1440));
    }
    expect(state(25)).toEqual({ A: "accepted", B: "created" });
  });

  it("counts its reports by the quarter of an hour, moving things aside", () => {
    const bins = day.bins();
    expect([bins.length, bins[0]?.calm, bins[1]?.calm, bins[2]?.severe, bins.at(-1)?.calm]).toEqual([96, 1, 1, 1, 0]);
    expect(day.end - day.begin).toBe(DAY_MS);
  });
});

describe("indicators", () => {
  const answer = {
    indicators: [
      { id: "air", name: { zh: "空气", en: "Air" }, dimension: "state", unit: "µg/m³", better: "lower", reading: { value: 31.5, state: "warn", coverage: 0.75, anomaly: { flag: true, robust_z: 4 } } },
      { id: "noise", name: { zh: "噪声", en: "Noise" }, dimension: "state", unit: "dB(A)", better: "lower", reading: { value: null, state: "unknown", coverage: 0, anomaly: null } },
    ],
  };
  it("are read, and what is unknown has no number, never 0", () => {
    expect(parseIndicators(answer)).toEqual([
      { id: "air", zh: "空气", en: "Air", dimension: "state", unit: "µg/m³", better: "lower", value: 31.5, light: "warn", coverage: 0.75, unusual: true },
      { id: "noise", zh: "噪声", en: "Noise", dimension: "state", unit: "dB(A)", better: "lower", light: "unknown", coverage: 0, unusual: false },
    ]);
    expect(figure(undefined, "dB(A)")).toEqual({ number: "—", unit: "" });
  });

  it("are ranked in the server's order, and their courses have gaps where nothing is known", () => {
    const ranking = { ranking: [{ rank: 1, area: "g1", area_name: "新华路街道", value: 5, state: "alarm", coverage: 1 }, { rank: 2, area: "g2", area_name: null, value: null, state: "unknown" }] };
    expect(parseRanking(ranking)).toEqual([
      { geid: "g1", name: "新华路街道", value: 5, light: "alarm", coverage: 1, unusual: false },
      { geid: "g2", name: "g2", light: "unknown", unusual: false },
    ]);
    const points = parseSeries({ points: [{ datetime: "2026-11-22T00:00:00Z", value: 1, coverage: 1 }, { datetime: "2026-11-22T01:00:00Z", value: null, coverage: 0 }] });
    expect(points.map((point) => [point.time, point.value])).toEqual([[Date.UTC(2026, 10, 22), 1], [Date.UTC(2026, 10, 22, 1), undefined]]);
  });

  it.each([[0.142, "1", "14 %"], [0.021, "1", "2.1 %"], [187, "tickets", "187 tickets"], [31.44, "h", "31.4 h"], [1.72, "m", "1.72 m"], [1234.5, "", "1235"]])("%d (%s) is read as %s", (value, unit, text) => {
    expect(Object.values(figure(value, unit)).join(" ").trim()).toBe(text);
  });
});
