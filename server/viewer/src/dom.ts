/** Builds elements in one expression; text is always text, never markup. */

type Child = Node | string | undefined | false;
type Props = Record<string, string | boolean | number | ((event: never) => void)>;

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") element.addEventListener(name, value as EventListener);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child): child is Node | string => child !== undefined && child !== false));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** A 24 × 24 line icon from path data. */
export function icon(...paths: string[]): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  for (const path of paths) {
    const line = document.createElementNS(SVG, "path");
    line.setAttribute("d", path);
    svg.append(line);
  }
  return svg;
}

export const ICONS = {
  search: "M10.5 4a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13zM15.3 15.3 20 20",
  close: "M6 6l12 12M18 6 6 18",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  home: "M4 11.5 12 5l8 6.5M6.5 10v9h11v-9",
  tilt: "M3 16l9 4 9-4-9-4zM12 3v6m-2.5-2.5L12 9l2.5-2.5",
  copy: "M9 9h10v11H9zM5 15V4h10",
  fly: "M4 12 20 4l-5 16-3.5-6.5z",
  link: "M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.7-5.7l-1.2 1.2M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.7 5.7l1.2-1.2",
  layers: "M12 4 3 9l9 5 9-5zM3 14l9 5 9-5",
} as const;

export const reducedMotion = (): boolean => matchMedia("(prefers-reduced-motion: reduce)").matches;
