/** The panel on the right: everything known of the selected building, and where it comes from. */

import { h, icon, ICONS } from "../dom";
import { attributeText, degrees, groupGeid, metres, plainNumber } from "../format";
import type { Words } from "../i18n";
import type { Entity } from "../model";
import { disagreements, named, sheetOf, type Field } from "../record";

export interface PanelState {
  geid: string;
  /** Properties of the clicked feature, if one was clicked or its tile is loaded. */
  tile?: Record<string, unknown>;
  entity?: Entity;
  /** What it is part of or lies in, the nearest first: building, community grid, subdistrict, district. */
  above?: readonly Entity[];
  problem?: string;
  /** False while its tile is not drawn. */
  drawn: boolean;
}

export interface PanelOptions {
  words: Words;
  /** Label of a property as the data names it. */
  nameOf: (id: string) => string | undefined;
  fly: () => void;
  share: () => void;
  copy: (text: string) => void;
  close: () => void;
  follow: (geid: string) => void;
}

const METRES = new Set(["height_m", "base_m", "roof_m", "min_height_m", "height"]);

export class Panel {
  readonly element: HTMLElement;
  private readonly body = h("div", { class: "body" });
  private state?: PanelState;

  constructor(private readonly options: PanelOptions) {
    this.element = h("aside", { class: "panel", hidden: true, tabindex: "-1" }, this.body);
    options.words.bind(() => {
      this.element.setAttribute("aria-label", options.words.say("attributes"));
      this.paint();
    });
  }

  get open(): boolean {
    return !this.element.hidden;
  }

  show(state: PanelState | undefined): void {
    const another = state?.geid !== this.state?.geid;
    this.state = state;
    this.element.hidden = state === undefined;
    document.body.classList.toggle("with-panel", state !== undefined);
    this.paint();
    if (another) this.body.scrollTop = 0;
  }

  private paint(): void {
    const { state } = this;
    if (!state) {
      this.body.replaceChildren();
      return;
    }
    const tile = named(state.tile ?? {}, this.options.nameOf);
    const record = state.entity?.record ?? {};
    const sheet = sheetOf(tile, record);
    this.body.replaceChildren(
      this.head(state, tile),
      this.identifier(state),
      this.actions(),
      ...this.notices(state, tile, record),
      this.group("measures", sheet.measures),
      this.group("attributes", sheet.attributes),
      this.group("provenance", sheet.provenance),
      this.reasons(sheet.reasons),
      this.position(state.entity),
    );
  }

  private head(state: PanelState, tile: Record<string, unknown>): HTMLElement {
    const { words } = this.options;
    const say = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);
    const name = state.entity?.name ?? say(tile["name"]) ?? words.say("unnamed");
    const kind = state.entity?.entityClass ?? say(tile["entity_class"]);
    const line = [kind && words.value("entity_class", kind), state.entity?.address ?? say(tile["address"])];
    return h(
      "header",
      {},
      h("div", {}, h("h2", {}, name), h("p", {}, line.filter(Boolean).join(" · ")), this.above(state.above ?? [])),
      h("button", { class: "icon", type: "button", "aria-label": words.say("close"), click: this.options.close }, icon(ICONS.close)),
    );
  }

  /** Where it belongs, the widest first; each step leads there. */
  private above(above: readonly Entity[]): HTMLElement | string {
    if (above.length === 0) return "";
    const steps = [...above].reverse().map(({ geid, name }) =>
      h("button", { class: "link", type: "button", click: () => this.options.follow(geid) }, name ?? groupGeid(geid)),
    );
    return h("nav", { class: "above", "aria-label": this.options.words.say("parent") }, ...steps);
  }

  private identifier(state: PanelState): HTMLElement {
    const { words } = this.options;
    const groups = groupGeid(state.geid).split("-");
    return h(
      "div",
      { class: "geid" },
      h("span", { class: "caption" }, words.say("identifier")),
      h("code", { "data-geid": groupGeid(state.geid), translate: "no" }, ...groups.flatMap((g, i) => [i > 0 && h("i", {}, "-"), g])),
      h(
        "button",
        {
          class: "icon",
          type: "button",
          title: words.say("copy"),
          "aria-label": words.say("copy"),
          click: () => this.options.copy(groupGeid(state.geid)),
        },
        icon(ICONS.copy),
      ),
    );
  }

  private actions(): HTMLElement {
    const { words, fly, share } = this.options;
    return h(
      "div",
      { class: "actions" },
      h("button", { type: "button", click: fly }, icon(ICONS.fly), words.say("flyTo")),
      h("button", { type: "button", click: share }, icon(ICONS.link), words.say("share")),
    );
  }

  private notices(state: PanelState, tile: Record<string, unknown>, record: Record<string, unknown>): HTMLElement[] {
    const { words } = this.options;
    const notices: HTMLElement[] = [];
    const fields = disagreements(tile, record);
    if (fields.length > 0) {
      const list = fields.map((f) => `${words.label(f)} ${attributeText(tile[f])} ≠ ${attributeText(record[f])}`).join("; ");
      notices.push(h("p", { class: "notice warning", role: "alert" }, words.say("mismatch", { fields: list })));
    }
    if (state.problem !== undefined) notices.push(h("p", { class: "notice warning", role: "alert" }, state.problem));
    else if (!state.entity) notices.push(h("p", { class: "notice" }, words.say("loadingRecord")));
    if (!state.drawn && !isNeverDrawn(state.entity)) notices.push(h("p", { class: "notice" }, words.say("notLoaded")));
    return notices;
  }

  private group(title: "measures" | "attributes" | "provenance", fields: readonly Field[]): HTMLElement | string {
    if (fields.length === 0) return "";
    const rows = fields.flatMap((field) => [h("dt", {}, this.label(field.id)), h("dd", {}, this.value(field))]);
    return h("section", { class: title }, h("h3", {}, this.options.words.say(title)), h("dl", {}, ...rows));
  }

  private label(id: string): string {
    return this.options.words.label(id, this.options.nameOf(id));
  }

  private value({ id, value }: Field): Node | string {
    if (id === "height_confidence" && typeof value === "number") return confidence(value);
    if (id === "parent" && typeof value === "string")
      return h("button", { class: "link", type: "button", click: () => this.options.follow(value) }, groupGeid(value));
    if (METRES.has(id) && typeof value === "number") return metres(value, 2);
    return typeof value === "string" ? this.options.words.value(id, value) : attributeText(value);
  }

  private reasons(codes: readonly string[]): HTMLElement | string {
    if (codes.length === 0) return "";
    return h(
      "section",
      { class: "reasons" },
      h("h3", {}, this.options.words.say("reasons")),
      h("ul", {}, ...codes.map((code) => h("li", { title: code }, this.options.words.value("reasons", code)))),
    );
  }

  private position(entity: Entity | undefined): HTMLElement | string {
    if (entity?.lon === undefined || entity.lat === undefined) return "";
    const text = `${degrees(entity.lat, "lat")}  ${degrees(entity.lon, "lon")}`;
    return h("section", {}, h("h3", {}, this.options.words.say("position")), h("p", { class: "position" }, text));
  }
}

/** What has a record but no tile, such as an area. */
const isNeverDrawn = (entity: Entity | undefined): boolean => entity?.record["tile"] === null;

/** A small bar, for one glance, with the number beside it, for certainty. */
function confidence(value: number): HTMLElement {
  const share = value > 1 ? value / 100 : value;
  const fill = h("i");
  fill.style.width = `${Math.round(Math.min(Math.max(share, 0), 1) * 100)}%`;
  return h("span", { class: "meter" }, h("span", {}, fill), plainNumber(value));
}
