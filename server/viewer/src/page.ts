/** The document's own words: its title, its language and the name of the map. */

import type { Words } from "./i18n";
import type { Release } from "./model";

export function labelPage(words: Words, release: Release, canvas: HTMLCanvasElement): void {
  canvas.setAttribute("role", "application");
  words.bind(() => {
    document.documentElement.lang = words.language === "zh" ? "zh-CN" : "en";
    document.title = `${release.name} · ${words.say("title")}`;
    canvas.setAttribute("aria-label", words.say("mapLabel", { name: release.name }));
  });
}
