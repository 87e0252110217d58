/** The line under the bar: is what one sees true now, and the four numbers that matter. */

import { h } from "../../dom";
import type { Key, Words } from "../../i18n";
import { isMoving, isOpen, rank, type LiveEvent } from "../event";
import type { FeedState } from "../feed";
import type { Wanted } from "../filter";
import { clock, isLate } from "../spoken";

export interface Tally {
  open: number;
  severe: number;
  overdue: number;
  unlinked: number;
  moving: number;
}

export function tally(events: Iterable<LiveEvent>, now: number): Tally {
  const found: Tally = { open: 0, severe: 0, overdue: 0, unlinked: 0, moving: 0 };
  for (const event of events) {
    if (isMoving(event)) found.moving += 1;
    if (!isOpen(event)) continue;
    found.open += 1;
    if (rank(event) >= 3) found.severe += 1;
    if (isLate(event, now)) found.overdue += 1;
    if (event.geid === undefined) found.unlinked += 1;
  }
  return found;
}

const FIGURES: { id: keyof Tally; word: Key; wanted?: Partial<Wanted> }[] = [
  { id: "open", word: "liveOpen", wanted: {} },
  { id: "severe", word: "liveSevere", wanted: { severity: 3 } },
  { id: "overdue", word: "liveOverdue", wanted: { overdue: true } },
  { id: "unlinked", word: "liveUnlinked", wanted: { unlinked: true } },
  { id: "moving", word: "liveMoving" },
];

export class Strip {
  readonly element: HTMLElement;
  private readonly badge = h("output", { class: "badge connecting", "aria-live": "polite" });
  private readonly time = h("time", { class: "clock" });
  private readonly numbers = new Map<keyof Tally, HTMLElement>();
  private state: FeedState = "connecting";
  private heard = 0;
  private replaying?: number;

  constructor(
    private readonly words: Words,
    want: (wanted: Partial<Wanted>) => void,
    alarms: HTMLElement,
  ) {
    const figures = FIGURES.map(({ id, word, wanted }) => {
      const [number, label] = [h("b", {}, "0"), h("span")];
      this.numbers.set(id, number);
      words.bind(() => (label.textContent = words.say(word)));
      const props = { class: `figure ${id}`, type: "button", ...(wanted ? { click: () => want(wanted) } : { disabled: true }) };
      return h("button", props, number, label);
    });
    this.element = h("div", { class: "live-strip" }, this.badge, this.time, h("div", { class: "figures" }, ...figures), alarms);
    words.bind(() => this.paint());
  }

  count(found: Tally): void {
    for (const [id, element] of this.numbers) {
      const text = String(found[id]);
      if (element.textContent !== text) element.textContent = text;
      element.parentElement?.classList.toggle("zero", found[id] === 0);
    }
  }

  connection(state: FeedState, heard: number): void {
    [this.state, this.heard] = [state, heard];
    this.paint();
  }

  /** The moment shown, of a replay; nothing: live. */
  replay(time: number | undefined): void {
    if (time === undefined) delete this.replaying;
    else this.replaying = time;
    this.paint();
  }

  tick(now: number): void {
    this.time.textContent = clock(this.replaying ?? now, true);
  }

  private paint(): void {
    const { words, state } = this;
    const replay = this.replaying !== undefined;
    this.badge.className = `badge ${replay ? "replay" : state}`;
    this.badge.textContent = replay
      ? words.say("liveReplay")
      : state === "live"
        ? words.say("liveOn")
        : state === "stale" || state === "closed"
          ? this.heard > 0
            ? words.say("liveStale", { time: clock(this.heard, true) })
            : words.say("liveStaleShort")
          : words.say("liveConnecting");
    document.body.classList.toggle("live-stale", !replay && state === "stale");
  }
}
