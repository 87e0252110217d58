/** Everything about one event: what, where, how it was tied to its entity, how it went on, who is near. */

import { messageOf } from "../../api";
import { h, icon, ICONS } from "../../dom";
import { attributeText, degrees, groupGeid, metres, plainNumber } from "../../format";
import type { Words } from "../../i18n";
import { isMoving, isOpen, type LiveEvent } from "../event";
import { COLOURS, glyphOf } from "../look";
import { dueText, isLate, moment } from "../spoken";

export interface Near {
  event: LiveEvent;
  metres: number;
}

export interface CardOptions {
  words: Words;
  now: () => number;
  history: (event: LiveEvent) => Promise<LiveEvent[]>;
  near: (event: LiveEvent) => Near[];
  others: (event: LiveEvent) => LiveEvent[];
  acknowledged: (event: LiveEvent) => boolean;
  acknowledge: (event: LiveEvent) => void;
  fly: (event: LiveEvent) => void;
  follow: (event: LiveEvent) => void;
  following: () => string | undefined;
  entity: (geid: string) => void;
  choose: (event: LiveEvent) => void;
  close: () => void;
}

const NEAREST = 4;

export class Card {
  readonly element: HTMLElement;
  private readonly body = h("div", { class: "body" });
  private event?: LiveEvent;
  private life: readonly LiveEvent[] = [];
  private problem?: string;

  constructor(private readonly options: CardOptions) {
    this.element = h("aside", { class: "panel live-card", hidden: true, tabindex: "-1" }, this.body);
    options.words.bind(() => {
      this.element.setAttribute("aria-label", options.words.say("liveLabel"));
      this.paint();
    });
  }

  get key(): string | undefined {
    return this.event?.key;
  }

  show(event: LiveEvent | undefined): void {
    const another = event?.key !== this.event?.key;
    if (event) this.event = event;
    else delete this.event;
    this.element.hidden = event === undefined;
    document.body.classList.toggle("with-card", event !== undefined);
    if (another) {
      this.life = [];
      this.body.scrollTop = 0;
    }
    delete this.problem;
    this.paint();
    if (event && !isMoving(event)) void this.ask(event);
  }

  repaint(): void {
    this.paint();
  }

  private async ask(event: LiveEvent): Promise<void> {
    try {
      const life = await this.options.history(event);
      if (this.event?.key !== event.key) return;
      this.life = life;
    } catch (error) {
      if (this.event?.key !== event.key) return;
      this.problem = this.options.words.say("liveHistoryFailed", { message: messageOf(error) });
    }
    this.paint();
  }

  private paint(): void {
    const { event } = this;
    if (!event) {
      this.body.replaceChildren();
      return;
    }
    this.body.replaceChildren(this.head(event), this.facts(event), this.actions(event), this.lifeCycle(event), this.link(event), this.photos(event), this.near(event), this.others(event), this.rest(event));
  }

  private head(event: LiveEvent): HTMLElement {
    const { words, close } = this.options;
    const kind = `${words.value("event_kind", event.kind)} · ${words.value("event_severity", event.severity)}`;
    return h(
      "header",
      {},
      h("i", { class: "sign filled", style: `--c:${COLOURS[event.severity]}` }, icon(glyphOf(event.kind))),
      h("div", {}, h("p", {}, kind), h("h2", {}, event.title), h("p", {}, event.address ?? "")),
      h("button", { class: "icon", type: "button", "aria-label": words.say("close"), click: close }, icon(ICONS.close)),
    );
  }

  private facts(event: LiveEvent): HTMLElement {
    const { words, now } = this.options;
    const chips = [h("span", { class: isOpen(event) ? "chip open" : "chip", "data-status": event.status }, words.value("event_status", event.status))];
    const due = dueText(words, event, now());
    if (due !== "") chips.push(h("span", { class: isLate(event, now()) ? "chip late" : "chip" }, due));
    if (event.value !== undefined) chips.push(h("span", { class: "chip value" }, `${plainNumber(event.value)} ${event.unit ?? ""}`.trim()));
    return h("div", { class: "chips" }, ...chips);
  }

  private actions(event: LiveEvent): HTMLElement {
    const { words } = this.options;
    const { geid } = event;
    const following = this.options.following() === event.key;
    return h(
      "div",
      { class: "actions" },
      event.lon !== undefined && h("button", { class: "fly", type: "button", click: () => this.options.fly(event) }, icon(ICONS.fly), words.say("liveFly")),
      isMoving(event) &&
        h("button", { class: "follow", type: "button", "aria-pressed": String(following), click: () => this.options.follow(event) }, icon(ICONS.target), words.say(following ? "liveFollowing" : "liveFollow")),
      geid !== undefined && h("button", { class: "entity", type: "button", click: () => this.options.entity(geid) }, icon(ICONS.building), words.say("liveEntity")),
      isOpen(event) &&
        event.kind === "alarm" &&
        !this.options.acknowledged(event) &&
        h("button", { class: "acknowledge", type: "button", click: () => this.options.acknowledge(event) }, icon(ICONS.check), words.say("liveAcknowledge")),
    );
  }

  private lifeCycle(event: LiveEvent): HTMLElement | string {
    const { words } = this.options;
    if (isMoving(event)) return "";
    const steps = this.life.length > 0 ? this.life : [event];
    const now = this.options.now();
    const items = steps.slice(-12).map((step) =>
      h(
        "li",
        { class: step.offset === event.offset ? "now" : "", style: `--c:${COLOURS[step.severity]}` },
        h("b", {}, words.value("event_status", step.status)),
        h("time", {}, moment(step.occurred, now)),
        typeof step.rest["note"] === "string" && h("span", {}, step.rest["note"]),
      ),
    );
    return h("section", { class: "life" }, h("h3", {}, words.say("liveLife")), this.problem !== undefined && h("p", { class: "quiet" }, this.problem), h("ol", {}, ...items));
  }

  private link(event: LiveEvent): HTMLElement {
    const { words } = this.options;
    const rows: (string | Node)[][] = [];
    if (event.geid === undefined) rows.push([words.say("liveLink"), words.say("liveNotLinked")]);
    else {
      const { geid } = event;
      rows.push([words.say("liveLink"), h("button", { class: "link", type: "button", click: () => this.options.entity(geid) }, groupGeid(geid))]);
      rows.push([words.say("liveMethod"), words.value("link_method", event.method)]);
      rows.push([words.say("liveConfidence"), meter(event.confidence)]);
      if (event.distance !== undefined) rows.push([words.say("liveDistance"), metres(event.distance)]);
    }
    if (event.lon !== undefined && event.lat !== undefined) rows.push([words.say("position"), `${degrees(event.lon, "lon")}\n${degrees(event.lat, "lat")}`]);
    else rows.push([words.say("position"), words.say("liveNoPlace")]);
    const cells = rows.flatMap(([label, value]) => [h("dt", {}, label ?? ""), h("dd", { class: "lines" }, value ?? "")]);
    return h("section", { class: "linked" }, h("h3", {}, words.say("liveLink")), h("dl", {}, ...cells));
  }

  private photos(event: LiveEvent): HTMLElement | string {
    if (event.photos.length === 0) return "";
    const { words } = this.options;
    const links = event.photos.map((url, i) =>
      h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, icon(ICONS.photo), words.say("livePhoto", { number: i + 1 })),
    );
    return h("section", { class: "photos" }, h("h3", {}, words.say("livePhotos")), h("div", {}, ...links));
  }

  private near(event: LiveEvent): HTMLElement | string {
    if (isMoving(event) || event.lon === undefined) return "";
    const { words } = this.options;
    const near = this.options.near(event).slice(0, NEAREST);
    if (near.length === 0) return "";
    const items = near.map(({ event: other, metres: away }) =>
      h("li", {}, h("button", { type: "button", click: () => this.options.choose(other) }, icon(glyphOf(other.kind)), h("span", {}, other.title), h("b", {}, away < 1000 ? `${Math.round(away / 10) * 10} m` : `${(away / 1000).toFixed(1)} km`))),
    );
    return h("section", { class: "near" }, h("h3", {}, words.say("liveNearby")), h("ul", {}, ...items));
  }

  private others(event: LiveEvent): HTMLElement | string {
    const others = this.options.others(event).slice(0, 6);
    if (others.length === 0) return "";
    const { words } = this.options;
    const items = others.map((other) =>
      h("li", {}, h("button", { type: "button", click: () => this.options.choose(other) }, icon(glyphOf(other.kind)), h("span", {}, other.title), h("b", {}, words.value("event_status", other.status)))),
    );
    return h("section", { class: "near" }, h("h3", {}, words.say("liveReports")), h("ul", {}, ...items));
  }

  private rest(event: LiveEvent): HTMLElement {
    const { words } = this.options;
    const now = this.options.now();
    const rows: [string, string][] = [[words.say("liveCase"), event.case], [words.say("liveSource"), event.source], [words.say("liveOccurred"), moment(event.occurred, now)]];
    if (event.recorded !== undefined) rows.push([words.say("liveRecorded"), moment(event.recorded, now)]);
    if (event.due !== undefined) rows.push([words.say("liveDue"), moment(event.due, now)]);
    for (const [key, value] of Object.entries(event.rest).slice(0, 20)) if (key !== "note") rows.push([key, attributeText(value)]);
    return h("section", {}, h("h3", {}, words.say("attributes")), h("dl", {}, ...rows.flatMap(([key, value]) => [h("dt", {}, key), h("dd", {}, value)])));
  }
}

function meter(share: number): HTMLElement {
  const percent = `${Math.round(share * 100)} %`;
  return h("span", { class: "meter" }, h("span", {}, h("i", { style: `width:${Math.round(share * 100)}%` })), percent);
}
