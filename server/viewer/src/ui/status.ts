/** The line at the bottom: coordinates under the cursor, scale, what is still loading, credits. */

import { h } from "../dom";
import { degrees, metres, scaleBar } from "../format";
import type { Words } from "../i18n";

export interface CursorPlace {
  lon: number;
  lat: number;
  /** Ellipsoidal, metres. */
  height?: number;
  /** In the project's vertical datum, where it can be told. */
  elevation?: number;
}

const SCALE_PIXELS = 130;

export class StatusLine {
  readonly element: HTMLElement;
  readonly credits = h("div", { class: "credits" });
  private readonly cursor = h("output", { class: "cursor" });
  private readonly bar = h("span", { class: "scale-bar" });
  private readonly scaleText = h("span");
  private readonly loading = h("div", { class: "loading", role: "status", "aria-live": "polite" });
  private place?: CursorPlace;
  private pending = -1;

  constructor(
    private readonly words: Words,
    private readonly datum: string | undefined,
  ) {
    const scale = h("div", { class: "scale" }, this.scaleText, this.bar);
    this.element = h("footer", { class: "status" }, this.loading, this.cursor, scale, this.credits);
    words.bind(() => {
      scale.setAttribute("aria-label", words.say("scaleLabel"));
      this.showCursor(this.place);
      this.showPending(this.pending);
    });
  }

  showCursor(place: CursorPlace | undefined): void {
    this.place = place;
    if (!place) {
      this.cursor.replaceChildren(h("span", {}, "—"));
      return;
    }
    const parts = [this.height(place), degrees(place.lat, "lat"), degrees(place.lon, "lon")];
    this.cursor.replaceChildren(...parts.filter((part) => part !== "").map((part) => h("span", {}, part)));
  }

  private height(place: CursorPlace): string {
    if (place.elevation !== undefined && this.datum !== undefined)
      return `${metres(place.elevation)} ${this.words.value("vertical_datum", this.datum)}`;
    return place.height === undefined ? "" : `${metres(place.height)} ${this.words.say("ellipsoidal")}`;
  }

  showScale(metresPerPixel: number | undefined): void {
    if (metresPerPixel === undefined || !(metresPerPixel > 0)) {
      this.scaleText.textContent = "";
      this.bar.style.width = "0";
      return;
    }
    const { pixels, label } = scaleBar(metresPerPixel, SCALE_PIXELS);
    this.scaleText.textContent = label;
    this.bar.style.width = `${pixels.toFixed(1)}px`;
  }

  /** −1: nothing known yet. */
  showPending(count: number): void {
    this.pending = count;
    const busy = count !== 0;
    this.loading.classList.toggle("busy", busy);
    document.body.classList.toggle("tiles-pending", busy);
    this.loading.textContent =
      count < 0 ? this.words.say("loading") : busy ? this.words.say("loadingTiles", { count }) : this.words.say("complete");
  }
}
