/** What the page's bars and panels cover of the map, so that what is flown to stands beside them and not behind. */

export interface Insets {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

const AIR = 14;

export function panelInsets(width: number, height: number): Insets {
  const size = (selector: string): DOMRect | undefined => {
    const rect = document.querySelector(selector)?.getBoundingClientRect();
    return rect && rect.width > 0 ? rect : undefined;
  };
  const insets = {
    left: AIR,
    right: (size(".compass")?.width ?? 0) + 2 * AIR,
    top: (size(".live-strip") ?? size(".bar"))?.bottom ?? 0,
    bottom: (size(".status")?.height ?? 0) + (size(".live-timeline")?.height ?? 0) + AIR,
  };
  insets.top += AIR;
  const side = size(".live-tools") ?? size(".side");
  const panel = size(".live-card") ?? size(".panel");
  const wall = size(".live-wall");
  // On a phone the side panel lies over the map for a moment, and the other one comes up from below.
  if (side && side.right < width / 2 + 40) insets.left += side.right;
  if (panel && panel.width > 0.7 * width) insets.bottom = height - panel.top + AIR;
  else if (wall && wall.width < 0.6 * width) insets.right = width - Math.min(wall.left, panel?.left ?? Infinity) + AIR;
  else if (panel) insets.right = width - panel.left + AIR;
  return insets;
}
