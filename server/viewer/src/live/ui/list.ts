/** The list of events on the left: what is going on, the latest first, narrowed by kind, state, severity and words. */

import { h, icon, ICONS } from "../../dom";
import type { Words } from "../../i18n";
import { rank, SEVERITIES, STATUSES, type LiveEvent } from "../event";
import { byTime, EVERYTHING, isCurrent, matches, type Wanted } from "../filter";
import { COLOURS, glyphOf } from "../look";
import { ago, dueText, isLate, whereText } from "../spoken";

/** More rows than anybody reads, and few enough to paint twice a second. */
const ROWS = 80;

export interface ListOptions {
  words: Words;
  now: () => number;
  choose: (event: LiveEvent) => void;
  /** The filter was changed: the map follows. */
  changed: (wanted: Wanted) => void;
}

interface Row {
  element: HTMLButtonElement;
  offset: number;
  time: HTMLElement;
}

export class EventList {
  readonly element: HTMLElement;
  wanted: Wanted = { ...EVERYTHING };
  private readonly rows = h("ol", { class: "rows" });
  private readonly kept = new Map<string, Row>();
  private readonly count = h("span", { class: "count" });
  private readonly rest = h("p", { class: "quiet" });
  private readonly kind = h("select");
  private readonly status = h("select");
  private readonly severity = h("select");
  private readonly text: HTMLInputElement;
  private events: LiveEvent[] = [];
  private kinds: string[] = [];
  private chosen?: string;

  constructor(private readonly options: ListOptions) {
    const { words } = options;
    this.text = h("input", { type: "search", spellcheck: "false", autocomplete: "off" });
    const title = h("h2");
    this.element = h(
      "section",
      { class: "live-list" },
      h("header", {}, title, this.count),
      h("div", { class: "filters" }, h("label", { class: "find" }, icon(ICONS.search), this.text), this.kind, this.status, this.severity),
      this.rows,
      this.rest,
    );
    for (const select of [this.kind, this.status, this.severity]) select.addEventListener("change", () => this.read());
    this.text.addEventListener("input", () => this.read());
    words.bind(() => {
      title.textContent = words.say("liveEvents");
      this.element.setAttribute("aria-label", words.say("liveLabel"));
      this.text.placeholder = words.say("liveFilterText");
      this.text.setAttribute("aria-label", words.say("liveFilterText"));
      this.fillSelects();
      this.kept.clear();
      this.paint();
    });
  }

  /** All cases; the list takes what it wants. */
  show(events: Iterable<LiveEvent>): void {
    this.events = [...events];
    const kinds = [...new Set(this.events.map((event) => event.kind))].sort();
    if (kinds.join() !== this.kinds.join()) {
      this.kinds = kinds;
      this.fillSelects();
    }
    this.paint();
  }

  choose(key: string | undefined): void {
    this.chosen = key;
    for (const [one, row] of this.kept) row.element.setAttribute("aria-current", String(one === key));
  }

  /** A tally was clicked: this filter and no other. */
  want(wanted: Partial<Wanted>): void {
    this.wanted = { ...EVERYTHING, ...wanted };
    this.fillSelects();
    this.text.value = this.wanted.text;
    this.options.changed(this.wanted);
    this.paint();
  }

  /** Only the ages; called every few seconds. */
  tick(): void {
    const now = this.options.now();
    for (const event of this.events) {
      const row = this.kept.get(event.key);
      if (row) row.time.textContent = ago(this.options.words, event.occurred, now);
    }
  }

  private read(): void {
    const { kind: _kind, status: _status, ...rest } = this.wanted;
    this.wanted = {
      ...rest,
      ...(this.kind.value !== "" && { kind: this.kind.value }),
      ...(this.status.value !== "" && { status: this.status.value }),
      severity: Number(this.severity.value),
      text: this.text.value.trim(),
      overdue: false,
      unlinked: false,
    };
    this.options.changed(this.wanted);
    this.paint();
  }

  private fillSelects(): void {
    const { words } = this.options;
    const option = (value: string, label: string): HTMLOptionElement => h("option", { value }, label);
    this.kind.replaceChildren(option("", words.say("liveAllKinds")), ...this.kinds.map((kind) => option(kind, words.value("event_kind", kind))));
    this.kind.value = this.wanted.kind ?? "";
    const states = STATUSES.map((status) => option(status, words.value("event_status", status)));
    this.status.replaceChildren(option("open", words.say("liveStillOpen")), option("", words.say("liveAllStates")), ...states);
    this.status.value = this.wanted.status ?? "";
    const name = (i: number): string => words.value("event_severity", SEVERITIES[i] as string);
    const levels = [1, 2, 3].map((i) => option(String(i), words.say("liveFromSeverity", { severity: name(i) })));
    this.severity.replaceChildren(option("0", words.say("liveAllSeverities")), ...levels, option("4", name(4)));
    this.severity.value = String(this.wanted.severity);
    this.kind.setAttribute("aria-label", words.say("liveAllKinds"));
    this.status.setAttribute("aria-label", words.say("liveAllStates"));
    this.severity.setAttribute("aria-label", words.say("liveAllSeverities"));
  }

  private paint(): void {
    const { words } = this.options;
    const now = this.options.now();
    const found = this.events.filter((event) => matches(event, this.wanted, now)).sort(byTime);
    this.count.textContent = words.say("liveCount", { count: found.length, total: this.events.length });
    const shown = found.slice(0, ROWS);
    const wanted = new Set(shown.map((event) => event.key));
    for (const key of [...this.kept.keys()]) if (!wanted.has(key)) this.kept.delete(key);
    const elements = shown.map((event) => this.row(event, now).element);
    const same = elements.length === this.rows.childElementCount && elements.every((element, i) => this.rows.children[i]?.firstChild === element);
    if (!same) this.rows.replaceChildren(...elements.map((element) => h("li", {}, element)));
    const more = found.length - shown.length;
    this.rest.textContent = found.length === 0 ? words.say(this.events.length === 0 ? "liveQuiet" : "liveNone") : more > 0 ? words.say("liveMore", { count: more }) : "";
  }

  private row(event: LiveEvent, now: number): Row {
    const known = this.kept.get(event.key);
    if (known?.offset === event.offset) return known;
    const { words } = this.options;
    const late = isLate(event, now);
    const time = h("time", {}, ago(words, event.occurred, now));
    const sign = icon(glyphOf(event.kind));
    const element = h(
      "button",
      { type: "button", "data-key": event.key, "data-severity": event.severity, class: isCurrent(event) ? "open" : "over", "aria-current": String(event.key === this.chosen), click: () => this.options.choose(event) },
      h("i", { class: rank(event) >= 3 ? "sign filled" : "sign", style: `--c:${COLOURS[event.severity]}` }, sign),
      h("span", { class: "title" }, event.title),
      time,
      h("span", { class: "where" }, whereText(words, event)),
      h("span", { class: late ? "state late" : "state" }, late ? dueText(words, event, now) : words.value("event_status", event.status)),
    );
    const row: Row = { element, offset: event.offset, time };
    this.kept.set(event.key, row);
    return row;
  }
}
