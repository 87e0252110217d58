/** The buttons on the map: north arrow, closer, further, whole district, tilt. */

import { h, icon, ICONS } from "../dom";
import type { Key, Words } from "../i18n";

export interface CompassActions {
  north: () => void;
  zoomIn: () => void;
  zoomOut: () => void;
  home: () => void;
  tilt: () => void;
}

export class Compass {
  readonly element: HTMLElement;
  private readonly needle: SVGSVGElement;

  constructor(words: Words, actions: CompassActions) {
    this.needle = icon("M12 2.5 8.4 12h7.2z", "M12 21.5 8.4 12h7.2z");
    this.needle.classList.add("needle");
    const button = (key: Key, content: Node, click: () => void, name = ""): HTMLButtonElement => {
      const element = h("button", { class: `icon ${name}`, type: "button", click }, content);
      words.bind(() => {
        element.setAttribute("aria-label", words.say(key));
        element.title = words.say(key);
      });
      return element;
    };
    this.element = h(
      "div",
      { class: "compass" },
      button("north", this.needle, actions.north, "north"),
      button("zoomIn", icon(ICONS.plus), actions.zoomIn),
      button("zoomOut", icon(ICONS.minus), actions.zoomOut),
      button("tilt", icon(ICONS.tilt), actions.tilt),
      button("home", icon(ICONS.home), actions.home),
    );
  }

  /** Radians clockwise from north. */
  turn(heading: number): void {
    this.needle.style.transform = `rotate(${(-heading).toFixed(4)}rad)`;
  }
}
