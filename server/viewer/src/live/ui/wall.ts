/** The district's vital signs beside the map: a light, a number and a course each; one of them ranked by subdistrict. */

import { messageOf } from "../../api";
import { h, icon, ICONS } from "../../dom";
import type { Words } from "../../i18n";
import type { LiveApi } from "../api";
import { DIMENSIONS, figure, parseIndicators, parseRanking, parseSeries, type Indicator, type Point } from "../indicators";
import type { Chart } from "./charts";

const EVERY_MS = 30_000;
const SERIES_EVERY = 4;
/** The course beside a number: a day, in steps of half an hour. */
const STEP_S = 1800;
const POINTS = 49;

export interface WallOptions {
  words: Words;
  api: LiveApi;
  /** The moment shown, where it is not now. */
  asOf: () => number | undefined;
  area: (geid: string) => void;
  close: () => void;
}

interface Tile {
  element: HTMLButtonElement;
  name: HTMLElement;
  number: HTMLElement;
  unit: HTMLElement;
  cover: HTMLElement;
  spark: HTMLElement;
  chart?: Chart;
}

export class Wall {
  readonly element: HTMLElement;
  private readonly tiles = new Map<string, Tile>();
  private readonly grid = h("div", { class: "signs" });
  private readonly note = h("p", { class: "quiet" });
  private readonly rankTitle = h("h3");
  private readonly rankBox = h("div", { class: "ranking" });
  private readonly courseTitle = h("h3");
  private readonly courseBox = h("div", { class: "course" });
  private rankChart?: Chart;
  private courseChart?: Chart;
  private indicators: Indicator[] = [];
  private readonly series = new Map<string, Point[]>();
  private chosen?: string;
  private timer = 0;
  private round = 0;
  private request?: AbortController;

  constructor(private readonly options: WallOptions) {
    const { words, close } = options;
    const title = h("h2");
    const shut = h("button", { class: "icon", type: "button", click: close }, icon(ICONS.close));
    this.element = h(
      "aside",
      { class: "live-wall", hidden: true },
      h("header", {}, title, shut),
      this.note,
      this.grid,
      h("section", { class: "detail" }, this.rankTitle, this.rankBox, this.courseTitle, this.courseBox),
    );
    words.bind(() => {
      title.textContent = words.say("liveWall");
      this.element.setAttribute("aria-label", words.say("liveWall"));
      shut.setAttribute("aria-label", words.say("close"));
      this.paint();
      if (!this.element.hidden) void this.detail();
    });
  }

  show(on: boolean): void {
    this.element.hidden = !on;
    document.body.classList.toggle("with-wall", on);
    clearInterval(this.timer);
    this.request?.abort();
    if (!on) return;
    this.round = 0;
    void this.read();
    this.timer = window.setInterval(() => document.hidden || void this.read(), EVERY_MS);
  }

  /** Another moment is shown. */
  refresh(): void {
    if (this.element.hidden) return;
    this.round = 0;
    void this.read();
  }

  private when(): Record<string, string> {
    const time = this.options.asOf();
    return time === undefined ? {} : { datetime: new Date(time).toISOString() };
  }

  private async read(): Promise<void> {
    this.request?.abort();
    const request = new AbortController();
    this.request = request;
    const { api, words } = this.options;
    try {
      this.indicators = parseIndicators(await api.json("indicators", this.when(), request.signal));
      this.note.textContent = this.indicators.length === 0 ? words.say("liveNoIndicators") : "";
      this.chosen ??= (this.indicators.find((one) => one.light === "alarm") ?? this.indicators.find((one) => one.light === "warn") ?? this.indicators.find((one) => one.value !== undefined) ?? this.indicators[0])?.id;
      this.paint();
      await this.detail();
      if (this.round++ % SERIES_EVERY === 0) await this.courses(request.signal);
    } catch (error) {
      if (request.signal.aborted) return;
      this.note.textContent = words.say("liveIndicatorFailed", { message: messageOf(error) });
    }
  }

  /** One after the other: twenty questions at once would keep the server from its events. */
  private async courses(signal: AbortSignal): Promise<void> {
    const { Chart } = await import("./charts");
    for (const one of this.indicators) {
      const points = await this.course(one.id, signal);
      const tile = this.tiles.get(one.id);
      if (signal.aborted || !tile) return;
      tile.chart ??= new Chart(tile.spark);
      tile.chart.spark(points, one.light);
    }
  }

  private async course(id: string, signal: AbortSignal): Promise<Point[]> {
    const query = { step: String(STEP_S), points: String(POINTS), ...this.when() };
    const points = parseSeries(await this.options.api.json(`indicators/${encodeURIComponent(id)}/series`, query, signal));
    this.series.set(id, points);
    return points;
  }

  private paint(): void {
    const { words } = this.options;
    const order = (one: Indicator): number => DIMENSIONS.indexOf(one.dimension as (typeof DIMENSIONS)[number]);
    const sorted = [...this.indicators].sort((a, b) => order(a) - order(b));
    for (const one of sorted) this.fill(one, words.language === "zh" ? one.zh : one.en);
    const elements = sorted.map((one) => this.tiles.get(one.id)?.element).filter((element) => element !== undefined);
    if (elements.some((element, i) => this.grid.children[i] !== element)) this.grid.replaceChildren(...elements);
  }

  private fill(one: Indicator, name: string): void {
    const tile = this.tiles.get(one.id) ?? this.make(one.id);
    const { number, unit } = figure(one.value, one.unit);
    tile.element.dataset["light"] = one.light;
    tile.element.setAttribute("aria-pressed", String(one.id === this.chosen));
    tile.element.classList.toggle("unusual", one.unusual);
    tile.element.title = name;
    tile.name.textContent = name;
    tile.number.textContent = one.value === undefined ? this.options.words.say("liveUnknown") : number;
    tile.unit.textContent = unit;
    const partly = one.coverage !== undefined && one.coverage < 0.995 && one.value !== undefined;
    tile.cover.textContent = partly ? this.options.words.say("liveCoverage", { percent: `${Math.round(100 * (one.coverage ?? 0))} %` }) : "";
  }

  private make(id: string): Tile {
    const [name, number, unit, cover, spark] = [h("span", { class: "name" }), h("b"), h("small"), h("em"), h("div", { class: "spark" })];
    const element = h("button", { type: "button", "data-sign": id, click: () => this.choose(id) }, h("i", { class: "light" }), name, h("span", { class: "figure" }, number, unit), spark, cover);
    const tile: Tile = { element, name, number, unit, cover, spark };
    this.tiles.set(id, tile);
    return tile;
  }

  private choose(id: string): void {
    this.chosen = id;
    this.paint();
    void this.detail();
  }

  private async detail(): Promise<void> {
    const one = this.indicators.find((indicator) => indicator.id === this.chosen);
    if (!one) return;
    const { words, api } = this.options;
    const name = words.language === "zh" ? one.zh : one.en;
    const write = (value: number): string => Object.values(figure(value, one.unit === "1" ? "1" : "")).join(" ").trim();
    try {
      const { Chart } = await import("./charts");
      const answer = await api.json(`indicators/${encodeURIComponent(one.id)}/ranking`, { level: "subdistrict", ...this.when() });
      if (this.chosen !== one.id) return;
      const areas = parseRanking(answer);
      this.rankTitle.textContent = `${words.say("liveRanked")} · ${name}`;
      this.rankBox.style.height = `${Math.max(areas.length, 1) * 27 + 8}px`;
      this.rankChart ??= new Chart(this.rankBox);
      this.rankChart.ranking(areas, write, (i) => {
        const geid = areas[i]?.geid;
        if (geid !== undefined) this.options.area(geid);
      });
      const points = this.series.get(one.id) ?? (await this.course(one.id, new AbortController().signal));
      this.courseTitle.textContent = words.say("liveTrend");
      this.courseChart ??= new Chart(this.courseBox);
      this.courseChart.course(points, write);
    } catch (error) {
      this.note.textContent = words.say("liveIndicatorFailed", { message: messageOf(error) });
    }
  }
}
