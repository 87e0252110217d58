/** Keeps the address bar in step with the view: moving replaces the entry, selecting adds one, back and forward restore. */

import { decodeView, encodeView, type ViewState } from "./urlstate";

export class Address {
  private silent = false;
  private timer = 0;

  constructor(
    private readonly current: () => ViewState,
    restore: (view: ViewState) => void,
  ) {
    window.addEventListener("popstate", () => this.quietly(() => restore(decodeView(location.hash))));
  }

  /** Changes that come from the address are not written back to it. */
  quietly(change: () => void): void {
    this.silent = true;
    try {
      change();
    } finally {
      this.silent = false;
    }
  }

  /** A small change (camera, colour, language): the entry is rewritten, and not at every frame. */
  replace(): void {
    if (this.silent) return;
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => history.replaceState(null, "", this.link()), 250);
  }

  /** A change one wants to come back from. */
  push(): void {
    if (this.silent) return;
    clearTimeout(this.timer);
    const link = this.link();
    if (new URL(link).hash !== location.hash) history.pushState(null, "", link);
  }

  link(): string {
    const url = new URL(location.href);
    url.hash = encodeView(this.current());
    return url.href;
  }
}
