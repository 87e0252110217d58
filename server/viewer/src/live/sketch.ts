/** Lines and areas somebody draws on the map by clicks: to measure, or to ask what is inside. */

import { Cartesian3, Color, Material, PolylineCollection } from "@cesium/engine";
import type { Scenery } from "./scenery";

export interface Corner {
  lon: number;
  lat: number;
  x: number;
  y: number;
}

/** Metres along a line. */
export const lengthOf = (corners: readonly { x: number; y: number }[]): number =>
  corners.slice(1).reduce((sum, b, i) => sum + Math.hypot(b.x - corners[i]!.x, b.y - corners[i]!.y), 0);

/** Square metres of a ring, whichever way it turns. */
export const areaOf = (ring: readonly { x: number; y: number }[]): number =>
  Math.abs(ring.reduce((sum, a, i) => sum + a.x * ring[(i + 1) % ring.length]!.y - ring[(i + 1) % ring.length]!.x * a.y, 0)) / 2;

/** Even-odd rule. */
export function isInside(point: { x: number; y: number }, ring: readonly { x: number; y: number }[]): boolean {
  let inside = false;
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
    const [a, b] = [ring[i]!, ring[j]!];
    if (a.y > point.y !== b.y > point.y && point.x < ((b.x - a.x) * (point.y - a.y)) / (b.y - a.y) + a.x) inside = !inside;
  }
  return inside;
}

const LIFT_M = 1.8;

export class Sketch {
  corners: Corner[] = [];
  finished = false;
  onChange: () => void = () => undefined;
  private mode: "off" | "line" | "area" = "off";
  private readonly lines = new PolylineCollection();

  constructor(private readonly scenery: Scenery) {
    const { scene, canvas } = scenery.stage;
    scene.primitives.add(this.lines);
    canvas.addEventListener("dblclick", () => this.finish());
  }

  get drawing(): boolean {
    return this.mode !== "off" && !this.finished;
  }

  begin(mode: "off" | "line" | "area"): void {
    this.mode = mode;
    this.corners = [];
    this.finished = false;
    this.scenery.stage.canvas.style.cursor = mode === "off" ? "" : "crosshair";
    this.draw();
  }

  /** A click; true if it was a corner. */
  take(place: { lon: number; lat: number } | undefined): boolean {
    if (!this.drawing) return false;
    if (!place) return true;
    const { x, y } = this.scenery.metres(Cartesian3.fromDegrees(place.lon, place.lat, this.scenery.site.ground));
    const last = this.corners.at(-1);
    // The second click of a double click is the end and no corner.
    if (!last || Math.hypot(last.x - x, last.y - y) > 0.5) this.corners.push({ ...place, x, y });
    this.draw();
    return true;
  }

  finish(): void {
    if (!this.drawing || this.corners.length < (this.mode === "area" ? 3 : 2)) return;
    this.finished = true;
    this.scenery.stage.canvas.style.cursor = "";
    this.draw();
  }

  private draw(): void {
    this.lines.removeAll();
    const ring = this.mode === "area" && this.corners.length > 2 ? [...this.corners, this.corners[0]!] : this.corners;
    if (ring.length > 1)
      this.lines.add({
        positions: ring.map(({ lon, lat }) => Cartesian3.fromDegrees(lon, lat, this.scenery.site.ground + LIFT_M)),
        width: 3,
        material: Material.fromType("Color", { color: Color.fromCssColorString("#7fc4d6") }),
      });
    this.scenery.redraw();
    this.onChange();
  }
}
