/** The start: ask what is published, then open it, or say why not. */

import "./styles/base.css";
import "./styles/map.css";
import "./styles/bar.css";
import "./styles/panels.css";
import "./styles/status.css";
import "./styles/live.css";
import "./styles/windows.css";
import { Api, ApiError, messageOf } from "./api";
import { App } from "./app";
import { h } from "./dom";
import { languageOf, Words } from "./i18n";
import { readSettings } from "./settings";
import { decodeView } from "./urlstate";

const root = document.getElementById("app") as HTMLElement;
const words = new Words(languageOf(decodeView(location.hash).language, navigator.languages));

async function start(): Promise<void> {
  root.replaceChildren(h("div", { class: "splash", role: "status" }, h("i"), words.say("loading")));
  if (!document.createElement("canvas").getContext("webgl2")) {
    fail(words.say("noWebgl"));
    return;
  }
  const api = new Api(new URL("../", location.href.split(/[?#]/)[0]));
  try {
    const release = await api.release();
    await new App(root, api, release, words, readSettings(location.search)).open();
  } catch (error) {
    const offline = error instanceof ApiError && error.failure === "offline";
    fail(offline ? words.say("offline") : messageOf(error));
    if (!(error instanceof ApiError)) throw error;
  }
}

function fail(message: string): void {
  root.replaceChildren(
    h(
      "div",
      { class: "splash failed", role: "alert" },
      h("h1", {}, words.say("startFailed")),
      h("p", {}, message),
      h("button", { type: "button", click: () => void start() }, words.say("retry")),
    ),
  );
}

void start();
