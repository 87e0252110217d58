/** Asks for a key where the server shows events to those only who have one. */

import { h } from "../../dom";
import type { Words } from "../../i18n";

export class KeyForm {
  readonly element: HTMLElement;

  constructor(words: Words, use: (key: string) => void) {
    const [text, submit] = [h("p"), h("button", { type: "submit" })];
    const input = h("input", { type: "password", autocomplete: "off", spellcheck: "false" });
    this.element = h("form", { class: "key-form", hidden: true }, text, input, submit);
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      if (input.value.trim() !== "") use(input.value.trim());
      input.value = "";
      this.show(false);
    });
    words.bind(() => {
      text.textContent = words.say("liveKey");
      submit.textContent = words.say("liveKeyEnter");
      input.placeholder = words.say("liveKeyHint");
      input.setAttribute("aria-label", words.say("liveKeyHint"));
    });
  }

  show(on: boolean): void {
    this.element.hidden = !on;
  }
}
