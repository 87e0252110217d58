/** A ring that opens where something severe has just been reported: the eye finds it before the list is read. */

import { Cartesian2, type Cartesian3 } from "@cesium/engine";
import { h, reducedMotion } from "../dom";
import type { Scenery } from "./scenery";

const SHOWN_MS = 4200;
const MOST = 10;

interface Ping {
  element: HTMLElement;
  place: Cartesian3;
}

export class Pings {
  readonly element = h("div", { class: "pings", "aria-hidden": "true" });
  private readonly pings = new Set<Ping>();
  private readonly at = new Cartesian2();

  constructor(private readonly scenery: Scenery) {
    scenery.stage.scene.postRender.addEventListener(() => this.follow());
  }

  add(place: Cartesian3, colour: string): void {
    if (this.pings.size >= MOST || reducedMotion()) return;
    const ping: Ping = { element: h("i", { style: `--c:${colour}` }), place };
    this.pings.add(ping);
    this.element.append(ping.element);
    this.follow();
    setTimeout(() => {
      this.pings.delete(ping);
      ping.element.remove();
    }, SHOWN_MS);
  }

  private follow(): void {
    for (const { element, place } of this.pings) {
      const at = this.scenery.window(place, this.at);
      element.hidden = at === undefined;
      if (at) element.style.transform = `translate(${at.x.toFixed(1)}px, ${at.y.toFixed(1)}px)`;
    }
  }
}
