/** The panel on the left: layers on and off, the coloured property and its legend, switches of the picture. */

import { h } from "../dom";
import { plainNumber } from "../format";
import type { Words } from "../i18n";
import type { LayerInfo, PropertyInfo } from "../model";
import type { Classes, NumberClass } from "../ramp";

export interface SideOptions {
  words: Words;
  layers: readonly LayerInfo[];
  hidden: ReadonlySet<string>;
  properties: readonly PropertyInfo[];
  toggleLayer: (id: string, on: boolean) => void;
  colourBy: (property: PropertyInfo | undefined) => void;
  switches: { key: "shadows" | "edges"; on: boolean; set: (on: boolean) => void }[];
}

export class SidePanel {
  readonly element: HTMLElement;
  private readonly select: HTMLSelectElement;
  private readonly legend = h("ol", { class: "legend" });
  private readonly waiting = h("p", { class: "quiet" });
  private classes: Classes | undefined;

  constructor(private readonly options: SideOptions) {
    const { words } = options;
    this.select = h("select", { id: "colour-by", change: () => this.chosen() });
    const layersTitle = h("h2");
    const colourTitle = h("label", { for: "colour-by", class: "h2" });
    const ground = h("p", { class: "quiet ground" });
    this.element = h(
      "aside",
      { class: "side", id: "side" },
      h("section", {}, layersTitle, ...options.layers.map((layer) => this.layerRow(layer))),
      h("section", {}, colourTitle, this.select, this.waiting, this.legend),
      h("section", { class: "switches" }, ...options.switches.map((s) => this.switchRow(s)), ground),
    );
    words.bind(() => {
      layersTitle.textContent = words.say("layers");
      colourTitle.textContent = words.say("colourBy");
      ground.textContent = words.say("ground");
      this.waiting.textContent = words.say("waiting");
      this.element.setAttribute("aria-label", words.say("menu"));
      this.legend.setAttribute("aria-label", words.say("legend"));
      this.fillSelect();
      this.paint();
    });
  }

  /** Nothing is told by colour. */
  plain(): void {
    this.select.value = "";
    this.classes = undefined;
    this.paint();
  }

  show(property: PropertyInfo, classes: Classes | undefined): void {
    this.select.value = property.id;
    this.classes = classes;
    this.paint();
  }

  private chosen(): void {
    const property = this.options.properties.find((p) => p.id === this.select.value);
    this.options.colourBy(property);
  }

  private fillSelect(): void {
    const { value } = this.select;
    this.select.replaceChildren(
      h("option", { value: "" }, this.options.words.say("plain")),
      ...this.options.properties.map((p) => h("option", { value: p.id }, this.options.words.label(p.id, p.name) + unitOf(p.id))),
    );
    this.select.value = value;
  }

  private layerRow(layer: LayerInfo): HTMLElement {
    const { words } = this.options;
    const box = h("input", { type: "checkbox", checked: !this.options.hidden.has(layer.id) });
    box.addEventListener("change", () => this.options.toggleLayer(layer.id, box.checked));
    const count = h("span", { class: "count" });
    words.bind(() => {
      const number = layer.features?.toLocaleString(words.language === "zh" ? "zh-CN" : "en-GB");
      count.textContent = number ?? "";
      count.title = number === undefined ? "" : words.say("features", { count: number });
    });
    return h("label", { class: "row" }, box, h("span", {}, layer.title), count);
  }

  private switchRow(options: SideOptions["switches"][number]): HTMLElement {
    const box = h("input", { type: "checkbox", role: "switch", checked: options.on });
    box.addEventListener("change", () => options.set(box.checked));
    const name = h("span");
    this.options.words.bind(() => (name.textContent = this.options.words.say(options.key)));
    return h("label", { class: "row" }, box, name);
  }

  private paint(): void {
    const { classes, options } = this;
    this.waiting.hidden = classes !== undefined || this.select.value === "";
    if (!classes) {
      this.legend.replaceChildren();
      return;
    }
    const { words } = options;
    const rows =
      classes.kind === "number"
        ? [...classes.classes].reverse().map((c) => row(c.colour, limits(words, c)))
        : classes.classes.map((c) => row(c.colour, words.value(this.select.value, c.value)));
    if (classes.kind === "category" && classes.other !== undefined) rows.push(row(classes.other, words.say("other")));
    rows.push(row(classes.missing, words.say("missing")));
    this.legend.className = `legend ${classes.kind}`;
    this.legend.replaceChildren(...rows);
  }
}

/** Properties of the house carry their unit in the id. */
const unitOf = (id: string): string => (id.endsWith("_m") ? " (m)" : "");

const row = (colour: string, text: string): HTMLLIElement => {
  const swatch = h("i");
  swatch.style.background = colour;
  return h("li", {}, swatch, h("span", {}, text));
};

function limits(words: Words, { from, to }: NumberClass): string {
  const [low, high] = [from, to].map((limit) => (limit === undefined ? "" : plainNumber(limit)));
  if (from !== undefined && to !== undefined) return words.say("between", { from: low ?? "", to: high ?? "" });
  if (to !== undefined) return words.say("below", { to: high ?? "" });
  return words.say("above", { from: low ?? "" });
}
