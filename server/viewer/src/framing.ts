/** Finds the camera that shows a box of ground as large as the free part of the window allows. */

import type { Insets } from "./insets";

export interface FrameBox {
  /** Metres east and north of the origin, metres above it. */
  west: number;
  south: number;
  east: number;
  north: number;
  top: number;
}

export interface FrameView {
  width: number;
  height: number;
  /** Vertical angle of view, radians. */
  fovy: number;
  /** Radians below the horizon. */
  down: number;
  /** Pixels covered by panels. */
  inset: Insets;
}

export interface Framing {
  /** The point of the ground in the middle of the window, metres. */
  east: number;
  north: number;
  /** From the camera to that point, metres. */
  range: number;
}

interface Extent {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

/** Pixels the box covers, seen facing north; undefined if a corner is behind the camera. */
export function project(box: FrameBox, view: FrameView, at: Framing): Extent | undefined {
  const focal = view.height / 2 / Math.tan(view.fovy / 2);
  const [sin, cos] = [Math.sin(view.down), Math.cos(view.down)];
  const extent: Extent = { left: Infinity, right: -Infinity, top: Infinity, bottom: -Infinity };
  for (const x of [box.west - at.east, box.east - at.east])
    for (const y of [box.south - at.north, box.north - at.north])
      for (const z of [0, box.top]) {
        const depth = y * cos - z * sin + at.range;
        if (depth <= 1) return undefined;
        const px = view.width / 2 + (focal * x) / depth;
        const py = view.height / 2 - (focal * (y * sin + z * cos)) / depth;
        extent.left = Math.min(extent.left, px);
        extent.right = Math.max(extent.right, px);
        extent.top = Math.min(extent.top, py);
        extent.bottom = Math.max(extent.bottom, py);
      }
  return extent;
}

/** Moves the middle until the box stands in the middle of the free part; the range stays. */
function centre(box: FrameBox, view: FrameView, range: number): Framing | undefined {
  const { inset } = view;
  const [middleX, middleY] = [(inset.left + view.width - inset.right) / 2, (inset.top + view.height - inset.bottom) / 2];
  const focal = view.height / 2 / Math.tan(view.fovy / 2);
  const at: Framing = { east: (box.west + box.east) / 2, north: (box.south + box.north) / 2, range };
  for (let i = 0; i < 30; i++) {
    const extent = project(box, view, at);
    if (!extent) return undefined;
    at.east += (((extent.left + extent.right) / 2 - middleX) * range) / focal;
    at.north -= ((((extent.top + extent.bottom) / 2 - middleY) * range) / focal / Math.sin(view.down)) * 0.7;
  }
  return at;
}

/**
 * Where to look, in metres right of and ahead of a thing, so that it stands in the middle of the free part.
 * The range is that from the camera to the point looked at.
 */
export function lookBeside(view: FrameView, range: number): { right: number; ahead: number } {
  const focal = view.height / 2 / Math.tan(view.fovy / 2);
  const { inset } = view;
  const [dx, dy] = [(inset.left - inset.right) / 2, (inset.top - inset.bottom) / 2];
  return { right: (-dx * range) / focal, ahead: (dy * range) / focal / Math.sin(view.down) };
}

/** Looks down more or less steeply, whichever fills the free part best; a long district wants it steeper. */
export function frameBest(box: FrameBox, view: Omit<FrameView, "down">, downs: readonly number[]): Framing & { down: number } {
  const candidates = downs.map((down) => {
    const at = frame(box, { ...view, down });
    const seen = project(box, { ...view, down }, at);
    const area = seen ? (seen.right - seen.left) * (seen.bottom - seen.top) : 0;
    return { ...at, down, area };
  });
  const { area: _, ...best } = candidates.reduce((a, b) => (b.area > a.area * 1.04 ? b : a));
  return best;
}

export function frame(box: FrameBox, view: FrameView): Framing {
  const { inset } = view;
  const size = Math.hypot(box.east - box.west, box.north - box.south, box.top);
  const fits = (at: Framing | undefined): at is Framing => {
    const extent = at && project(box, view, at);
    if (!extent) return false;
    const tolerance = 1;
    return (
      extent.left >= inset.left - tolerance &&
      extent.right <= view.width - inset.right + tolerance &&
      extent.top >= inset.top - tolerance &&
      extent.bottom <= view.height - inset.bottom + tolerance
    );
  };
  let [near, far] = [size * 0.1, size * 20];
  let best = centre(box, view, far) ?? { east: 0, north: 0, range: far };
  for (let i = 0; i < 40; i++) {
    const middle = Math.sqrt(near * far);
    const at = centre(box, view, middle);
    if (fits(at)) [far, best] = [middle, at];
    else near = middle;
  }
  return best;
}
