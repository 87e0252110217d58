/** The bar at the top: which district, which release, search, language. */

import { h, icon, ICONS } from "../dom";
import { LANGUAGES, type Language, type Words } from "../i18n";
import type { Release } from "../model";

export interface Topbar {
  element: HTMLElement;
  menu: HTMLButtonElement;
}

export function topbar(release: Release, words: Words, search: HTMLElement, change: (language: Language) => void): Topbar {
  const kind = h("span", { class: "kind" });
  const code = h("span", { class: "code", title: "admin code" }, release.adminCode);
  const label = h("span", { class: "label" });
  const menu = h("button", { class: "icon menu", type: "button", "aria-controls": "side", "aria-expanded": "false" }, icon(ICONS.layers));
  const buttons = LANGUAGES.map(({ id, label: name }) =>
    h("button", { type: "button", lang: id === "zh" ? "zh-CN" : "en", click: () => change(id) }, name),
  );
  const languages = h("div", { class: "languages", role: "group" }, ...buttons);
  words.bind(() => {
    kind.textContent = words.say("title");
    label.textContent = words.say("release");
    menu.setAttribute("aria-label", words.say("menu"));
    languages.setAttribute("aria-label", words.say("language"));
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(LANGUAGES[i]?.id === words.language)));
  });
  const element = h(
    "header",
    { class: "bar" },
    menu,
    h("div", { class: "brand" }, h("h1", { title: release.name }, release.name), code, kind),
    search,
    h("div", { class: "release" }, label, h("code", {}, release.id)),
    languages,
  );
  return { element, menu };
}
