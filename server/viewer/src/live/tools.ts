/** The row of tools beside the map, and the windows they open. */

import { h, icon, ICONS } from "../dom";
import type { Key } from "../i18n";
import type { Overlay } from "./overlay";

interface Tool {
  id: string;
  word: Key;
  sign: string;
  set: (on: boolean) => void;
  on?: boolean;
}

export class Tools {
  readonly element = h("div", { class: "live-tools", role: "toolbar" });
  readonly windows: HTMLElement[] = [];
  private readonly buttons = new Map<string, HTMLButtonElement>();

  constructor(private readonly overlay: Overlay) {
    this.add({ id: "list", word: "liveList", sign: ICONS.list, on: true, set: (on) => document.body.classList.toggle("no-list", !on) });
    this.add({ id: "layers", word: "liveLayers", sign: ICONS.layers, set: (on) => document.body.classList.toggle("with-layers", on) });
    this.add({ id: "full", word: "liveFull", sign: ICONS.full, set: (on) => void fullScreen(on) });
    document.addEventListener("fullscreenchange", () => this.press("full", document.fullscreenElement !== null));
  }

  /** A click on the map while something is being drawn. */
  took(_place: { lon: number; lat: number } | undefined): boolean {
    return false;
  }

  escape(): boolean {
    return false;
  }

  /** The book has changed. */
  changed(): void {}

  /** Twice a second. */
  tick(): void {}

  private add(tool: Tool): void {
    const { words } = this.overlay.parts;
    const button = h("button", { class: "icon", type: "button", "data-tool": tool.id, "aria-pressed": String(tool.on ?? false) }, icon(tool.sign));
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(on));
      tool.set(on);
    });
    words.bind(() => {
      button.title = words.say(tool.word);
      button.setAttribute("aria-label", words.say(tool.word));
    });
    this.buttons.set(tool.id, button);
    this.element.append(button);
  }

  private press(id: string, on: boolean): void {
    this.buttons.get(id)?.setAttribute("aria-pressed", String(on));
  }
}

async function fullScreen(on: boolean): Promise<void> {
  try {
    if (on) await document.documentElement.requestFullscreen();
    else if (document.fullscreenElement) await document.exitFullscreen();
  } catch {
    // A frame may not; the button tells by staying as it was.
  }
}
