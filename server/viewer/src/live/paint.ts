/**
 * Colours the entities themselves by what happens at them: identifier → state, written into the batch features of the
 * tiles that hold them, when a tile appears and when a state changes. A style with a condition for each would be
 * evaluated for every feature of the district.
 */

import { Color, type Cesium3DTileContent, type Cesium3DTileFeature } from "@cesium/engine";
import { groupGeid } from "../format";
import type { Tiles } from "../scene/tiles";
import { rank, type LiveEvent } from "./event";
import { colourOfRank } from "./look";

/** Reading identifiers out of a tile stops after so long and goes on a moment later. */
const SLICE_MS = 4;
const PAUSE_MS = 12;
/** High and critical breathe. */
const PULSING = 3;
const COLOURS = [0, 1, 2, 3, 4].map((r) => Color.fromCssColorString(colourOfRank(r)));
const DIMMED = COLOURS.map((colour) => Color.lerp(colour, Color.fromCssColorString("#33424f"), 0.62, new Color()));

/** The most severe of what is open at an entity decides its colour. */
export function stateOf(open: readonly LiveEvent[]): number | undefined {
  return open.length === 0 ? undefined : Math.max(...open.map(rank));
}

interface Job {
  content: Cesium3DTileContent;
  at: number;
  rows: Map<string, number>;
}

type Drawn = Map<number, number>;

export class EntityPaint {
  /** Rank by identifier. */
  private readonly states = new Map<string, number>();
  private readonly rows = new Map<Cesium3DTileContent, Map<string, number>>();
  /** Feature → rank, of what has been written into a content. */
  private readonly drawn = new Map<Cesium3DTileContent, Drawn>();
  private readonly seen = new Set<Cesium3DTileContent>();
  private jobs: Job[] = [];
  private working = false;
  private readonly mixed = new Color();

  constructor(
    tiles: Tiles,
    private readonly redraw: () => void,
    private readonly styled: (feature: Cesium3DTileFeature) => Color,
    /** The selected feature keeps the colour of the selection. */
    private readonly taken: (feature: Cesium3DTileFeature) => boolean,
  ) {
    tiles.onLoad.push((content) => this.enter(content));
    tiles.onUnload.push((content) => this.leave(content));
    tiles.onVisible.push((content) => this.appear(content));
    for (const content of tiles.contents) this.enter(content);
  }

  /** How many features wear a state now, for tests. */
  get lit(): number {
    return [...this.drawn.values()].reduce((sum, drawn) => sum + drawn.size, 0);
  }

  get pulses(): boolean {
    for (const content of this.seen) for (const state of this.drawn.get(content)?.values() ?? []) if (state >= PULSING) return true;
    return false;
  }

  /** The rank an entity is drawn with where its tile is loaded, for tests. */
  litAs(geid: string): number | undefined {
    const name = groupGeid(geid);
    for (const [content, rows] of this.rows) {
      const row = rows.get(name);
      if (row !== undefined) return this.drawn.get(content)?.get(row);
    }
    return undefined;
  }

  set(geid: string, state: number | undefined): void {
    const name = groupGeid(geid);
    if (this.states.get(name) === state) return;
    if (state === undefined) this.states.delete(name);
    else this.states.set(name, state);
    for (const [content, rows] of this.rows) {
      const row = rows.get(name);
      if (row !== undefined) this.write(content, row, state);
    }
  }

  /** What a feature wears, if anything: asked by whoever restores a colour. */
  colourOf(feature: Cesium3DTileFeature): Color | undefined {
    const state = this.drawn.get(feature.content)?.get(feature.featureId);
    return state === undefined ? undefined : COLOURS[state];
  }

  /** One step of breathing; `wave` runs from 0 to 1 and back. Only what is in view is touched. */
  pulse(wave: number): boolean {
    let any = false;
    for (const content of this.seen)
      for (const [row, state] of this.drawn.get(content) ?? []) {
        if (state < PULSING) continue;
        any = true;
        const feature = content.getFeature(row);
        if (!this.taken(feature)) feature.color = Color.lerp(DIMMED[state] as Color, COLOURS[state] as Color, wave, this.mixed);
      }
    this.seen.clear();
    if (any) this.redraw();
    return any;
  }

  private write(content: Cesium3DTileContent, row: number, state: number | undefined): void {
    const feature = content.getFeature(row);
    const drawn = this.drawn.get(content) ?? new Map<number, number>();
    if (state === undefined) drawn.delete(row);
    else drawn.set(row, state);
    if (drawn.size > 0) this.drawn.set(content, drawn);
    else this.drawn.delete(content);
    if (!this.taken(feature)) feature.color = state === undefined ? this.styled(feature) : (COLOURS[state] as Color);
    this.redraw();
  }

  private enter(content: Cesium3DTileContent): void {
    this.jobs.push({ content, at: 0, rows: new Map() });
    if (this.working) return;
    this.working = true;
    setTimeout(() => this.work(), PAUSE_MS);
  }

  private leave(content: Cesium3DTileContent): void {
    this.jobs = this.jobs.filter((job) => job.content !== content);
    this.rows.delete(content);
    this.drawn.delete(content);
    this.seen.delete(content);
  }

  /** A new style resets the colours of a tile when it is next drawn, without a word: one look tells. */
  private appear(content: Cesium3DTileContent): void {
    const drawn = this.drawn.get(content);
    if (!drawn) return;
    this.seen.add(content);
    for (const [row, state] of drawn) {
      if (state >= PULSING) continue;
      const feature = content.getFeature(row);
      if (this.taken(feature)) continue;
      if (feature.color.equalsEpsilon(COLOURS[state] as Color, 0.01)) return;
      break;
    }
    for (const [row, state] of drawn) {
      const feature = content.getFeature(row);
      if (!this.taken(feature) && state < PULSING) feature.color = COLOURS[state] as Color;
      else if (!this.taken(feature) && feature.color.equalsEpsilon(this.styled(feature), 0.01)) feature.color = COLOURS[state] as Color;
    }
  }

  private work(): void {
    const end = performance.now() + SLICE_MS;
    for (let job = this.jobs[0]; job; job = this.jobs[0]) {
      if (!this.read(job, end)) break;
      this.jobs.shift();
      this.rows.set(job.content, job.rows);
      for (const [geid, row] of job.rows) {
        const state = this.states.get(geid);
        if (state !== undefined) this.write(job.content, row, state);
      }
    }
    this.working = this.jobs.length > 0;
    if (this.working) setTimeout(() => this.work(), PAUSE_MS);
  }

  /** True when the content has been read through. */
  private read(job: Job, end: number): boolean {
    const { content, rows } = job;
    const count = content.featuresLength;
    while (job.at < count) {
      const geid = content.getFeature(job.at).getProperty("geid") as unknown;
      if (typeof geid === "string") rows.set(groupGeid(geid), job.at);
      job.at += 1;
      if (job.at % 64 === 0 && performance.now() > end) return false;
    }
    return true;
  }
}
