/** What was measured, or what lies in the area somebody drew. */

import { h } from "../../dom";
import type { Words } from "../../i18n";
import { isOpen, rank, SEVERITIES, type LiveEvent } from "../event";
import { COLOURS } from "../look";
import { areaOf, lengthOf, type Corner } from "../sketch";

const size = (m2: number): string => (m2 >= 1e5 ? `${(m2 / 1e6).toFixed(2)} km²` : `${Math.round(m2)} m²`);
const way = (m: number): string => (m >= 1000 ? `${(m / 1000).toFixed(2)} km` : `${Math.round(m)} m`);

export class SketchReport {
  readonly element = h("section", { class: "live-window report", hidden: true });

  constructor(private readonly words: Words) {}

  hide(): void {
    this.element.hidden = true;
  }

  hint(): void {
    this.element.hidden = false;
    this.element.replaceChildren(h("p", { class: "quiet" }, this.words.say("liveDraw")));
  }

  measured(corners: readonly Corner[]): void {
    this.element.hidden = false;
    this.element.replaceChildren(h("h3", {}, this.words.say("liveLength")), h("b", { class: "big" }, way(lengthOf(corners))));
  }

  inside(ring: readonly Corner[], events: readonly LiveEvent[]): void {
    const { words } = this;
    const area = areaOf(ring);
    const open = events.filter(isOpen);
    const counts = new Map<string, number>();
    for (const { kind } of open) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    const kinds = [...counts].sort((a, b) => b[1] - a[1]);
    const severities = SEVERITIES.map((severity, i) => ({ severity, count: open.filter((event) => rank(event) === i).length })).filter(({ count }) => count > 0);
    const facts: [string, string][] = [
      [words.say("liveAreaSize"), size(area)],
      [words.say("liveOpen"), String(open.length)],
      [words.say("livePer"), area > 0 ? (open.length / (area / 1e6)).toFixed(1) : "—"],
      ...kinds.map(([kind, count]): [string, string] => [words.value("event_kind", kind), String(count)]),
    ];
    this.element.hidden = false;
    this.element.replaceChildren(
      h("h3", {}, words.say("liveInArea")),
      h("div", { class: "shares" }, ...severities.map(({ severity, count }) => h("i", { style: `--c:${COLOURS[severity]};flex:${count}`, title: words.value("event_severity", severity) }, String(count)))),
      h("dl", {}, ...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    );
  }
}
