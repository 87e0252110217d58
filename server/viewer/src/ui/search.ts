/** The search box: an ARIA combobox over `/entities?q=`, debounced, with stale requests aborted. */

import { isAbort, messageOf } from "../api";
import { h, icon, ICONS } from "../dom";
import { groupGeid } from "../format";
import type { Words } from "../i18n";
import type { Entity } from "../model";

const DEBOUNCE_MS = 160;
export const LIMIT = 8;

export interface SearchOptions {
  words: Words;
  find: (query: string, signal: AbortSignal) => Promise<Entity[]>;
  choose: (entity: Entity) => void;
  announce: (text: string) => void;
}

export class SearchBox {
  readonly element: HTMLElement;
  private readonly input: HTMLInputElement;
  private readonly list: HTMLUListElement;
  private found: Entity[] = [];
  private active = -1;
  private timer = 0;
  private request?: AbortController;

  constructor(private readonly options: SearchOptions) {
    this.input = h("input", {
      type: "search",
      role: "combobox",
      autocomplete: "off",
      spellcheck: "false",
      "aria-autocomplete": "list",
      "aria-controls": "search-list",
      "aria-expanded": "false",
      enterkeyhint: "search",
      input: () => this.later(),
      keydown: (event: KeyboardEvent) => this.key(event),
      blur: () => setTimeout(() => this.close(), 120),
      focus: () => this.found.length > 0 && this.open(),
    });
    this.list = h("ul", { id: "search-list", role: "listbox", hidden: true });
    this.element = h("div", { class: "search", role: "search" }, icon(ICONS.search), this.input, h("kbd", {}, "/"), this.list);
    options.words.bind(() => {
      this.input.placeholder = options.words.say("searchHint");
      this.input.setAttribute("aria-label", options.words.say("search"));
      this.list.setAttribute("aria-label", options.words.say("search"));
    });
  }

  focus(): void {
    this.input.focus();
    this.input.select();
  }

  private later(): void {
    clearTimeout(this.timer);
    this.request?.abort();
    const query = this.input.value.trim();
    if (query === "") {
      this.show([]);
      this.close();
      return;
    }
    this.timer = window.setTimeout(() => void this.run(query), DEBOUNCE_MS);
  }

  /** True if the query was answered (and not overtaken by another). */
  private async run(query: string): Promise<boolean> {
    const request = new AbortController();
    this.request = request;
    this.element.classList.add("busy");
    try {
      this.show(await this.options.find(query, request.signal));
      const { words } = this.options;
      const count = this.found.length;
      this.note(count === 0 ? words.say("searchNone", { query }) : undefined);
      this.options.announce(count === 0 ? words.say("searchNone", { query }) : words.say("searchSome", { count }));
      return true;
    } catch (error) {
      if (isAbort(error) || request.signal.aborted) return false;
      this.show([]);
      this.note(this.options.words.say("searchFailed", { message: messageOf(error) }));
      return false;
    } finally {
      if (this.request === request) this.element.classList.remove("busy");
    }
  }

  private show(found: Entity[]): void {
    this.found = found;
    this.list.replaceChildren(...found.map((entity, i) => this.option(entity, i)));
    this.activate(-1);
    if (found.length > 0) this.open();
  }

  private option(entity: Entity, i: number): HTMLLIElement {
    const title = entity.name ?? entity.address ?? this.options.words.say("unnamed");
    const kind = entity.entityClass && this.options.words.value("entity_class", entity.entityClass);
    const details = [entity.name ? entity.address : undefined, kind].filter(Boolean).join(" · ");
    return h(
      "li",
      {
        role: "option",
        id: `search-option-${i}`,
        "aria-selected": "false",
        pointerdown: (event: PointerEvent) => event.preventDefault(),
        click: () => this.choose(i),
      },
      h("span", { class: "title" }, title),
      h("code", {}, groupGeid(entity.geid)),
      details !== "" && h("span", { class: "details" }, details),
    );
  }

  private note(text: string | undefined): void {
    if (text === undefined) return;
    this.list.replaceChildren(h("li", { class: "note", role: "presentation" }, text));
    this.open();
  }

  private key(event: KeyboardEvent): void {
    const count = this.found.length;
    switch (event.key) {
      case "ArrowDown":
        if (count > 0) this.activate((this.active + 1) % count);
        break;
      case "ArrowUp":
        if (count > 0) this.activate((this.active - 1 + count) % count);
        break;
      case "Enter":
        void this.enter();
        break;
      case "Escape":
        event.stopPropagation();
        if (this.list.hidden) this.input.blur();
        else this.close();
        break;
      default:
        return;
    }
    event.preventDefault();
  }

  /** Enter takes the marked suggestion, else the first one of the text as it stands now. */
  private async enter(): Promise<void> {
    if (this.active >= 0) {
      this.choose(this.active);
      return;
    }
    clearTimeout(this.timer);
    this.request?.abort();
    const query = this.input.value.trim();
    if (query !== "" && (await this.run(query)) && this.found.length > 0) this.choose(0);
  }

  private choose(i: number): void {
    const entity = this.found[i];
    if (!entity) return;
    this.close();
    this.input.value = entity.name ?? entity.address ?? groupGeid(entity.geid);
    this.input.blur();
    this.options.choose(entity);
  }

  private activate(i: number): void {
    this.active = i;
    [...this.list.children].forEach((child, at) => child.setAttribute("aria-selected", String(at === i)));
    if (i >= 0) {
      this.input.setAttribute("aria-activedescendant", `search-option-${i}`);
      this.list.children[i]?.scrollIntoView({ block: "nearest" });
    } else this.input.removeAttribute("aria-activedescendant");
  }

  private open(): void {
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
  }

  private close(): void {
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.activate(-1);
  }
}
