/** A callout that stands over the selected building, also before its tile is there. */

import { Cartesian2, Cartesian3, SceneTransforms, type Scene } from "@cesium/engine";
import { h } from "../dom";

export class Marker {
  readonly element: HTMLElement;
  private readonly title = h("b");
  private readonly line = h("span");
  private place?: Cartesian3;
  private readonly window = new Cartesian2();

  constructor(scene: Scene) {
    this.element = h("div", { class: "marker", hidden: true, "aria-hidden": "true" }, h("div", {}, this.title, this.line));
    scene.postRender.addEventListener(() => this.follow(scene));
  }

  show(place: Cartesian3 | undefined, title = "", line = ""): void {
    this.place = place;
    this.title.textContent = title;
    this.line.textContent = line;
    this.element.hidden = place === undefined;
  }

  private follow(scene: Scene): void {
    if (!this.place) return;
    const at = SceneTransforms.worldToWindowCoordinates(scene, this.place, this.window) as Cartesian2 | undefined;
    this.element.hidden = at === undefined;
    if (at) this.element.style.transform = `translate(${at.x.toFixed(1)}px, ${at.y.toFixed(1)}px)`;
  }
}
