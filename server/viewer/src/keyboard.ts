/** Keys that work anywhere on the page, except while somebody is typing. */

export interface KeyActions {
  search: () => void;
  escape: () => void;
  home: () => void;
  north: () => void;
  tilt: () => void;
  zoom: (factor: number) => void;
  pan: (right: number, ahead: number) => void;
  help: () => void;
}

export type KeyName = keyof KeyActions;

const typing = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName));

const typesText = (target: EventTarget | null): boolean =>
  typing(target) && !(target instanceof HTMLInputElement && target.type === "checkbox");

/** Arrow keys belong to the map only while nothing else has the focus. */
const onMap = (target: EventTarget | null): boolean => target === document.body || target instanceof HTMLCanvasElement;

export function listenForKeys(actions: KeyActions): void {
  window.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === "Escape") {
      actions.escape();
      return;
    }
    if (typesText(event.target)) return;
    const action = actionOf(event, actions);
    if (!action) return;
    event.preventDefault();
    action();
  });
}

function actionOf(event: KeyboardEvent, actions: KeyActions): (() => void) | undefined {
  const map = onMap(event.target);
  switch (event.key) {
    case "/":
      return actions.search;
    case "?":
      return actions.help;
    case "+":
    case "=":
      return () => actions.zoom(0.7);
    case "-":
    case "_":
      return () => actions.zoom(1 / 0.7);
    case "h":
    case "H":
    case "Home":
      return actions.home;
    case "n":
    case "N":
      return actions.north;
    case "t":
    case "T":
      return actions.tilt;
    case "ArrowLeft":
      return map ? () => actions.pan(-1, 0) : undefined;
    case "ArrowRight":
      return map ? () => actions.pan(1, 0) : undefined;
    case "ArrowUp":
      return map ? () => actions.pan(0, 1) : undefined;
    case "ArrowDown":
      return map ? () => actions.pan(0, -1) : undefined;
    default:
      return undefined;
  }
}
