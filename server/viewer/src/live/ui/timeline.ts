/** The slider of a day at the bottom: read it, drag it, play it; a button leads back to now. */

import { messageOf } from "../../api";
import { h, icon, ICONS } from "../../dom";
import type { Words } from "../../i18n";
import { MOST, type LiveApi } from "../api";
import { Day, DAY_MS } from "../day";
import type { LiveEvent } from "../event";
import { clock, day as dayText } from "../spoken";
import type { Chart } from "./charts";

/** How many seconds of the day pass in one. */
const SPEEDS = [1, 10, 60, 300, 1200];
const STEP_MS = 100;
/** Days before, from which the state at midnight is worked out. */
const LOOK_BACK = 3;

export interface TimelineOptions {
  words: Words;
  api: LiveApi;
  jump: (moment: number, state: LiveEvent[], speed: number) => void;
  advance: (moment: number, events: LiveEvent[], speed: number) => void;
  /** The replay stands still at another moment: numbers worth asking for. */
  paused: () => void;
  /** Back to now. */
  leave: () => void;
}

export class Timeline {
  readonly element: HTMLElement;
  private readonly date = h("input", { type: "date" });
  private readonly play: HTMLButtonElement;
  private readonly speed = h("select");
  private readonly back = h("button", { type: "button", class: "back" });
  private readonly slider = h("input", { type: "range", min: 0, max: DAY_MS - 1, step: 1000, value: 0 });
  private readonly at = h("output", { class: "clock" });
  private readonly note = h("span", { class: "quiet" });
  private readonly bars = h("div", { class: "bars" });
  private chart?: Chart;
  private day?: Day;
  private moment = 0;
  private timer = 0;
  private request?: AbortController;

  constructor(private readonly options: TimelineOptions) {
    const { words } = options;
    this.play = h("button", { class: "icon", type: "button", click: () => this.toggle() }, icon(ICONS.play));
    this.date.addEventListener("change", () => this.date.value !== "" && void this.read());
    this.slider.addEventListener("input", () => this.seek((this.day?.begin ?? 0) + Number(this.slider.value)));
    this.speed.append(...SPEEDS.map((speed) => h("option", { value: speed }, `${speed} ×`)));
    this.speed.value = "300";
    this.back.addEventListener("click", () => this.leave());
    this.element = h(
      "div",
      { class: "live-timeline", hidden: true },
      this.date,
      this.play,
      this.speed,
      this.at,
      h("div", { class: "track" }, this.bars, this.slider),
      this.note,
      this.back,
    );
    words.bind(() => {
      this.date.setAttribute("aria-label", words.say("liveDay"));
      this.speed.setAttribute("aria-label", words.say("liveSpeed"));
      this.slider.setAttribute("aria-label", words.say("liveTime"));
      this.back.textContent = words.say("liveBack");
      this.dress();
    });
  }

  get open(): boolean {
    return !this.element.hidden;
  }

  show(on: boolean): void {
    this.element.hidden = !on;
    document.body.classList.toggle("with-timeline", on);
    if (!on) {
      this.leave();
      return;
    }
    if (this.date.value === "") this.date.value = dayText(Date.now());
    void this.read();
  }

  private async read(): Promise<void> {
    this.stop();
    this.request?.abort();
    const request = new AbortController();
    this.request = request;
    const { words, api } = this.options;
    this.note.textContent = words.say("liveReading");
    const begin = new Date(`${this.date.value}T00:00:00`).getTime();
    try {
      const before = await api.between(begin - LOOK_BACK * DAY_MS, begin, request.signal);
      const reports = await api.between(begin, begin + DAY_MS, request.signal);
      this.day = new Day(begin, before, reports);
      const count = reports.length;
      this.note.textContent = count === 0 ? words.say("liveDayEmpty") : count === MOST ? words.say("liveTooMany", { count }) : words.say("liveDayCount", { count });
      const { Chart } = await import("./charts");
      if (request.signal.aborted) return;
      this.chart ??= new Chart(this.bars);
      this.chart.day(this.day.bins());
      this.seek(reports[0] ? Math.max(begin, Math.min(reports[0].occurred, begin + DAY_MS - 1)) : begin);
    } catch (error) {
      if (!request.signal.aborted) this.note.textContent = words.say("liveDayFailed", { message: messageOf(error) });
    }
  }

  /** Anywhere, forwards or back. */
  seek(moment: number): void {
    if (!this.day) return;
    this.moment = Math.min(Math.max(moment, this.day.begin), this.day.end - 1);
    this.options.jump(this.moment, this.day.stateAt(this.moment), Number(this.speed.value));
    this.tell();
    this.options.paused();
  }

  private toggle(): void {
    if (this.timer !== 0) {
      this.stop();
      return;
    }
    if (!this.day) return;
    if (this.moment >= this.day.end - 1) this.seek(this.day.begin);
    let last = performance.now();
    this.timer = window.setInterval(() => {
      const now = performance.now();
      this.step((now - last) * Number(this.speed.value));
      last = now;
    }, STEP_MS);
    this.dress();
  }

  private step(ms: number): void {
    const { day } = this;
    if (!day) return;
    const to = Math.min(this.moment + ms, day.end - 1);
    this.options.advance(to, day.between(this.moment, to), Number(this.speed.value));
    this.moment = to;
    this.tell();
    if (to >= day.end - 1) this.stop();
  }

  private stop(): void {
    clearInterval(this.timer);
    if (this.timer !== 0 && this.day) this.options.paused();
    this.timer = 0;
    this.dress();
  }

  private leave(): void {
    this.request?.abort();
    delete this.day;
    this.stop();
    this.at.textContent = "";
    this.options.leave();
  }

  private tell(): void {
    if (!this.day) return;
    this.at.textContent = clock(this.moment, true);
    this.slider.value = String(Math.round(this.moment - this.day.begin));
  }

  private dress(): void {
    const { words } = this.options;
    const playing = this.timer !== 0;
    this.play.replaceChildren(icon(playing ? ICONS.pause : ICONS.play));
    this.play.setAttribute("aria-label", words.say(playing ? "livePause" : "livePlay"));
  }
}
