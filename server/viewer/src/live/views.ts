/** Views of the map kept in this browser, and a tour through them. */

import { h, icon, ICONS } from "../dom";
import type { Words } from "../i18n";
import type { Flight } from "../scene/flight";
import { decodeView, encodeView, type CameraState } from "../urlstate";

const KEPT = "twin.views";
const STAY_MS = 12_000;

interface View {
  name: string;
  view: CameraState;
}

export class Views {
  readonly element: HTMLElement;
  private views: View[] = stored();
  private timer = 0;
  private at = -1;

  constructor(
    private readonly words: Words,
    private readonly flight: Flight,
  ) {
    this.element = h("section", { class: "live-window views", hidden: true });
    words.bind(() => this.paint());
  }

  show(on: boolean): void {
    this.element.hidden = !on;
    if (!on) this.stop();
  }

  private keep(): void {
    const name = this.words.say("liveViewName", { number: this.views.length + 1 });
    this.views.push({ name, view: this.flight.state() });
    this.save();
  }

  private forget(view: View): void {
    this.views = this.views.filter((one) => one !== view);
    this.save();
  }

  private save(): void {
    localStorage.setItem(KEPT, JSON.stringify(this.views.map(({ name, view }) => [name, encodeView({ camera: view })])));
    this.paint();
  }

  private tour(): void {
    if (this.timer !== 0) {
      this.stop();
      return;
    }
    const next = (): void => {
      this.at = (this.at + 1) % Math.max(this.views.length, 1);
      const view = this.views[this.at];
      if (view) this.flight.go(view.view);
    };
    this.timer = window.setInterval(next, STAY_MS);
    next();
    this.paint();
  }

  private stop(): void {
    clearInterval(this.timer);
    this.timer = 0;
    this.paint();
  }

  private paint(): void {
    const { words } = this;
    const rows = this.views.map((one) =>
      h(
        "li",
        {},
        h("button", { type: "button", click: () => this.flight.go(one.view) }, icon(ICONS.star), one.name),
        h("button", { class: "icon", type: "button", "aria-label": words.say("liveForget"), click: () => this.forget(one) }, icon(ICONS.close)),
      ),
    );
    this.element.replaceChildren(
      h("h3", {}, words.say("liveBookmarks")),
      h("ul", {}, ...rows),
      h(
        "div",
        { class: "row-of" },
        h("button", { type: "button", click: () => this.keep() }, icon(ICONS.plus), words.say("liveKeepView")),
        this.views.length > 1 && h("button", { type: "button", "aria-pressed": String(this.timer !== 0), click: () => this.tour() }, icon(ICONS.play), words.say(this.timer === 0 ? "liveTour" : "liveTourStop")),
      ),
    );
  }
}

function stored(): View[] {
  try {
    const found = JSON.parse(localStorage.getItem(KEPT) ?? "[]") as unknown;
    if (!Array.isArray(found)) return [];
    return found.flatMap((one) => {
      const [name, link] = one as [unknown, unknown];
      const view = typeof link === "string" ? decodeView(link).camera : undefined;
      return typeof name === "string" && view ? [{ name, view }] : [];
    });
  } catch {
    return [];
  }
}
