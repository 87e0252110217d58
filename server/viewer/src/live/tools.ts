/** The row of tools beside the map, and the windows they open. */

import { Cartesian3 } from "@cesium/engine";
import { h, icon, ICONS } from "../dom";
import type { Key } from "../i18n";
import { isMoving, isOpen, type LiveEvent } from "./event";
import { Heat } from "./heat";
import type { Overlay } from "./overlay";
import { isInside, Sketch } from "./sketch";
import { SketchReport } from "./ui/report";
import { Timeline } from "./ui/timeline";
import { Wall } from "./ui/wall";
import { Views } from "./views";

const HEAT_EVERY_MS = 3000;
/** From this width on the indicators stand beside the map from the start. */
const WALL_FROM_PX = 1900;

interface Tool {
  id: string;
  word: Key;
  sign: string;
  set: (on: boolean) => void;
}

export class Tools {
  readonly element = h("div", { class: "live-tools", role: "toolbar" });
  readonly windows: HTMLElement[];
  readonly timeline: Timeline;
  readonly wall: Wall;
  private readonly heat: Heat;
  private readonly sketch: Sketch;
  private readonly report: SketchReport;
  private readonly buttons = new Map<string, { button: HTMLButtonElement; set: (on: boolean) => void }>();
  private heated = 0;
  private drawing: "off" | "line" | "area" = "off";

  constructor(private readonly overlay: Overlay) {
    const { parts, api, scenery } = overlay;
    const { words } = parts;
    this.heat = new Heat(scenery);
    this.sketch = new Sketch(scenery);
    this.report = new SketchReport(words);
    const views = new Views(words, parts.flight);
    this.wall = new Wall({
      words,
      api,
      asOf: () => (this.timeline.open ? overlay.now() : undefined),
      area: (geid) => void parts.selection.open(geid),
      close: () => this.press("wall", false),
    });
    this.timeline = new Timeline({
      words,
      api,
      jump: (moment, state, speed) => overlay.replay(moment, state, speed),
      advance: (moment, events, speed) => overlay.advance(moment, events, speed),
      leave: () => {
        overlay.replay(undefined, undefined);
        if (this.timeline.open) this.press("time", false);
      },
      paused: () => this.wall.refresh(),
    });
    this.windows = [this.wall.element, this.timeline.element, views.element, this.report.element];
    this.sketch.onChange = () => this.tell();
    this.add({ id: "list", word: "liveList", sign: ICONS.list, set: (on) => document.body.classList.toggle("no-list", !on) });
    this.add({ id: "wall", word: "liveWall", sign: ICONS.chart, set: (on) => this.wall.show(on) });
    this.add({ id: "time", word: "liveTime", sign: ICONS.clock, set: (on) => this.timeline.show(on) });
    this.add({ id: "heat", word: "liveHeat", sign: ICONS.heat, set: (on) => this.warm(on) });
    this.add({ id: "area", word: "liveArea", sign: ICONS.area, set: (on) => this.draw(on ? "area" : "off") });
    this.add({ id: "measure", word: "liveMeasure", sign: ICONS.ruler, set: (on) => this.draw(on ? "line" : "off") });
    this.add({ id: "views", word: "liveBookmarks", sign: ICONS.star, set: (on) => views.show(on) });
    this.add({ id: "layers", word: "liveLayers", sign: ICONS.layers, set: (on) => document.body.classList.toggle("with-layers", on) });
    this.add({ id: "full", word: "liveFull", sign: ICONS.full, set: (on) => void fullScreen(on) });
    document.addEventListener("fullscreenchange", () => this.mark("full", document.fullscreenElement !== null));
    const narrow = window.innerWidth <= 760;
    this.mark("list", !narrow);
    document.body.classList.toggle("no-list", narrow);
    if (window.innerWidth >= WALL_FROM_PX) this.press("wall", true);
  }

  /** A click on the map while something is being drawn. */
  took(place: { lon: number; lat: number } | undefined): boolean {
    return this.sketch.take(place);
  }

  escape(): boolean {
    if (this.drawing === "off") return false;
    this.press(this.drawing === "area" ? "area" : "measure", false);
    return true;
  }

  /** The book has changed. */
  changed(): void {
    if (this.sketch.finished && this.drawing === "area") this.tell();
  }

  /** Twice a second. */
  tick(): void {
    if (!this.heat.shown || Date.now() - this.heated < HEAT_EVERY_MS) return;
    this.heated = Date.now();
    this.heat.draw(this.shown());
  }

  private shown(): LiveEvent[] {
    return [...this.overlay.book.cases.values()].filter((event) => !isMoving(event) && this.overlay.onMap.shows(event));
  }

  private warm(on: boolean): void {
    this.heated = Date.now();
    this.heat.show(on, on ? this.shown() : []);
    this.overlay.markers.show(!on);
  }

  private draw(mode: "off" | "line" | "area"): void {
    const other = mode === "area" ? "measure" : "area";
    if (mode !== "off") this.mark(other, false);
    this.drawing = mode;
    this.sketch.begin(mode);
    if (mode === "off") this.report.hide();
    else this.report.hint();
  }

  private tell(): void {
    const { corners, finished } = this.sketch;
    if (this.drawing === "line" && corners.length > 1) this.report.measured(corners);
    if (this.drawing !== "area" || !finished) return;
    const { scenery, book, parts } = this.overlay;
    const inside = [...book.cases.values()].filter((event) => {
      if (event.lon === undefined || event.lat === undefined || isMoving(event) || !isOpen(event)) return false;
      return isInside(scenery.metres(Cartesian3.fromDegrees(event.lon, event.lat, parts.site.ground)), corners);
    });
    this.report.inside(corners, inside);
  }

  private add(tool: Tool): void {
    const { words } = this.overlay.parts;
    const button = h("button", { class: "icon", type: "button", "data-tool": tool.id, "aria-pressed": "false" }, icon(tool.sign));
    button.addEventListener("click", () => this.press(tool.id, button.getAttribute("aria-pressed") !== "true"));
    words.bind(() => {
      button.title = words.say(tool.word);
      button.setAttribute("aria-label", words.say(tool.word));
    });
    this.buttons.set(tool.id, { button, set: tool.set });
    this.element.append(button);
  }

  private press(id: string, on: boolean): void {
    this.mark(id, on);
    this.buttons.get(id)?.set(on);
  }

  private mark(id: string, on: boolean): void {
    this.buttons.get(id)?.button.setAttribute("aria-pressed", String(on));
  }
}

async function fullScreen(on: boolean): Promise<void> {
  try {
    if (on) await document.documentElement.requestFullscreen();
    else if (document.fullscreenElement) await document.exitFullscreen();
  } catch {
    // A frame may not; the button tells by staying as it was.
  }
}
