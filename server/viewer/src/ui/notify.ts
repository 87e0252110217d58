/** Short messages: seen by everyone, read out by screen readers. */

import { h } from "../dom";

const SHOWN_MS = 4000;

export class Notices {
  readonly element = h("div", { class: "toasts", role: "status", "aria-live": "polite" });
  private readonly quiet = h("div", { class: "visually-hidden", role: "status", "aria-live": "polite" });

  constructor() {
    document.body.append(this.quiet);
  }

  tell(text: string, kind: "info" | "warning" = "info"): void {
    if ([...this.element.children].some((child) => child.textContent === text)) return;
    const toast = h("p", { class: kind }, text);
    this.element.append(toast);
    setTimeout(() => toast.remove(), kind === "warning" ? SHOWN_MS * 2 : SHOWN_MS);
  }

  announce(text: string): void {
    this.quiet.textContent = text;
  }
}
