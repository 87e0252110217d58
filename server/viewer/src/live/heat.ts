/** Where events crowd: a density over the ground, worked out anew when it has changed. */

import { Color, GeometryInstance, Material, MaterialAppearance, Primitive, Rectangle, RectangleGeometry } from "@cesium/engine";
import type { LiveEvent } from "./event";
import { rank } from "./event";
import type { Scenery } from "./scenery";

const SIZE = 256;
/** Reach of one event, metres. */
const REACH_M = 220;
const WEIGHTS = [0.4, 0.6, 1, 2, 3];
/** From nothing to much: calm blue, amber, white. */
const RAMP: readonly [number, number, number, number, number][] = [
  [0, 30, 80, 120, 0],
  [0.15, 40, 110, 150, 70],
  [0.4, 90, 170, 160, 120],
  [0.65, 240, 180, 70, 165],
  [0.85, 250, 110, 60, 195],
  [1, 255, 235, 220, 215],
];

/** Weight per cell of a grid over a box, each event spread over its reach; the sum is that of the weights inside. */
export function density(points: readonly { u: number; v: number; weight: number }[], size: number, reach: number): Float32Array {
  const grid = new Float32Array(size * size);
  const span = Math.ceil(3 * reach);
  for (const { u, v, weight } of points) {
    const [cx, cy] = [u * size, v * size];
    let sum = 0;
    const cells: [number, number][] = [];
    for (let y = Math.max(0, Math.floor(cy) - span); y <= Math.min(size - 1, Math.floor(cy) + span); y++)
      for (let x = Math.max(0, Math.floor(cx) - span); x <= Math.min(size - 1, Math.floor(cx) + span); x++) {
        const share = Math.exp(-((x + 0.5 - cx) ** 2 + (y + 0.5 - cy) ** 2) / (2 * reach * reach));
        cells.push([y * size + x, share]);
        sum += share;
      }
    for (const [i, share] of cells) grid[i] = (grid[i] ?? 0) + (weight * share) / sum;
  }
  return grid;
}

export function shade(share: number): [number, number, number, number] {
  const at = RAMP.findIndex(([limit]) => share <= limit);
  if (at <= 0) return RAMP[at < 0 ? RAMP.length - 1 : 0]!.slice(1) as [number, number, number, number];
  const [a, b] = [RAMP[at - 1]!, RAMP[at]!];
  const t = (share - a[0]) / (b[0] - a[0]);
  return [1, 2, 3, 4].map((i) => a[i]! + t * (b[i]! - a[i]!)) as [number, number, number, number];
}

export class Heat {
  private primitive: Primitive | undefined;
  private material: Material | undefined;
  private on = false;

  constructor(private readonly scenery: Scenery) {}

  get shown(): boolean {
    return this.on;
  }

  show(on: boolean, events: Iterable<LiveEvent>): void {
    this.on = on;
    if (on) this.draw(events);
    else this.clear();
    this.scenery.redraw();
  }

  draw(events: Iterable<LiveEvent>): void {
    if (!this.on) return;
    const { site, stage } = this.scenery;
    const { west, south, east, north } = site.region;
    const points = [...events].flatMap((event) => {
      const { lon, lat } = event;
      if (lon === undefined || lat === undefined || lon < west || lon > east || lat < south || lat > north) return [];
      return [{ u: (lon - west) / (east - west), v: (north - lat) / (north - south), weight: WEIGHTS[rank(event)] ?? 1 }];
    });
    const canvas = this.picture(points);
    if (this.material) {
      // Cesium keeps the old picture until the new one is in the graphics card.
      (this.material.uniforms as { image: HTMLCanvasElement }).image = canvas;
      stage.redraw();
      return;
    }
    // Until then it would be a white sheet: it is drawn from the third frame on.
    const colour = Color.WHITE.withAlpha(0.001);
    const material = Material.fromType("Image", { image: canvas, color: colour });
    this.material = material;
    this.primitive = new Primitive({
      geometryInstances: new GeometryInstance({
        geometry: new RectangleGeometry({
          rectangle: Rectangle.fromDegrees(west, south, east, north),
          height: site.ground + 1.2,
          vertexFormat: MaterialAppearance.MaterialSupport.TEXTURED.vertexFormat,
        }),
      }),
      appearance: new MaterialAppearance({ material, flat: true, faceForward: true, translucent: true, materialSupport: MaterialAppearance.MaterialSupport.TEXTURED }),
      asynchronous: false,
    });
    stage.scene.primitives.add(this.primitive);
    let frames = 0;
    const remove = stage.scene.postRender.addEventListener(() => {
      frames += 1;
      stage.redraw();
      if (frames < 4) return;
      if (this.material === material) (material.uniforms as { color: Color }).color = Color.WHITE;
      remove();
    });
    stage.redraw();
  }

  private picture(points: readonly { u: number; v: number; weight: number }[]): HTMLCanvasElement {
    const { box } = this.scenery.site;
    const grid = density(points, SIZE, (REACH_M / (box.east - box.west)) * SIZE);
    const most = Math.max(grid.reduce((a, b) => Math.max(a, b), 0), 1e-9);
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = SIZE;
    const pen = canvas.getContext("2d") as CanvasRenderingContext2D;
    const image = pen.createImageData(SIZE, SIZE);
    grid.forEach((value, i) => image.data.set(shade(Math.sqrt(value / most)).map(Math.round), 4 * i));
    pen.putImageData(image, 0, 0);
    return canvas;
  }

  private clear(): void {
    if (this.primitive) this.scenery.stage.scene.primitives.remove(this.primitive);
    this.primitive = undefined;
    this.material = undefined;
  }
}
