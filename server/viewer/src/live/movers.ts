/** Vehicles and patrols: from fix to fix without a jump, pointing where they go; one of them can be followed. */

import { BillboardCollection, Cartesian3, Color, HorizontalOrigin, Material, PolylineCollection, VerticalOrigin, type Billboard, type Polyline } from "@cesium/engine";
import { drawMover } from "./badges";
import { rank, type LiveEvent } from "./event";
import type { Scenery } from "./scenery";

/** A fix further away than this is another place, not a way: no gliding through houses. */
const LEAP_M = 600;
const GLIDE_MS = { least: 250, most: 15_000 };
/** Not heard of for so long: it is no longer drawn. */
const GONE_MS = 15 * 60_000;
const TRAIL = 60;

interface Mover {
  event: LiveEvent;
  from: Cartesian3;
  to: Cartesian3;
  now: Cartesian3;
  begin: number;
  duration: number;
  board: Billboard;
  image: string;
  trail: Cartesian3[];
}

/** How far along between two fixes, 0 to 1. */
export const progress = (begin: number, duration: number, now: number): number =>
  duration <= 0 ? 1 : Math.min(Math.max((now - begin) / duration, 0), 1);

/** Radians, counter-clockwise from north as billboards turn; undefined where it hardly moved. */
export function bearing(east: number, north: number): number | undefined {
  return Math.hypot(east, north) < 0.5 ? undefined : Math.atan2(-east, north);
}

export class Movers {
  /** How fast time runs: 1 live, more in a replay. */
  speed = 1;
  onFollow: (key: string | undefined) => void = () => undefined;
  private readonly movers = new Map<string, Mover>();
  private readonly boards: BillboardCollection;
  private readonly lines = new PolylineCollection();
  private line: Polyline | undefined;
  private followed?: string;
  private chosen?: string;

  constructor(private readonly scenery: Scenery) {
    const { scene, canvas } = scenery.stage;
    this.boards = new BillboardCollection({ scene });
    scene.primitives.add(this.boards);
    scene.primitives.add(this.lines);
    canvas.addEventListener("pointerdown", (event) => event.button === 0 && this.follow(undefined));
  }

  get size(): number {
    return this.movers.size;
  }

  get following(): string | undefined {
    return this.followed;
  }

  /** Where one is drawn this moment. */
  place(key: string): Cartesian3 | undefined {
    return this.movers.get(key)?.now;
  }

  show(on: boolean): void {
    this.boards.show = on;
    this.lines.show = on;
    this.scenery.redraw();
  }

  put(event: LiveEvent): void {
    const place = this.scenery.place(event);
    if (!place) return;
    const known = this.movers.get(event.key);
    if (known) this.go(known, event, place);
    else this.add(event, place);
    this.scenery.redraw();
  }

  remove(key: string): void {
    const mover = this.movers.get(key);
    if (!mover) return;
    this.boards.remove(mover.board);
    this.movers.delete(key);
    if (this.followed === key) this.follow(undefined);
  }

  choose(key: string | undefined): void {
    const before = this.chosen;
    this.chosen = key;
    for (const one of [before, key]) {
      const mover = one === undefined ? undefined : this.movers.get(one);
      if (mover) this.dress(mover);
    }
  }

  follow(key: string | undefined): void {
    if (this.followed === key) return;
    this.followed = key !== undefined && this.movers.has(key) ? key : undefined;
    this.drawTrail();
    this.onFollow(this.followed);
  }

  /** One step of time; true while something moves. */
  step(now: number, clock: number): boolean {
    let moving = false;
    for (const [key, mover] of this.movers) {
      if (clock - mover.event.occurred > GONE_MS * Math.max(1, this.speed / 10)) {
        this.remove(key);
        continue;
      }
      const share = progress(mover.begin, mover.duration, now);
      if (share >= 1 && Cartesian3.equals(mover.now, mover.to)) continue;
      moving = true;
      const before = Cartesian3.clone(mover.now);
      Cartesian3.lerp(mover.from, mover.to, share, mover.now);
      mover.board.position = mover.now;
      if (key === this.followed) this.carry(before, mover);
    }
    if (moving) this.scenery.redraw();
    return moving;
  }

  private add(event: LiveEvent, place: Cartesian3): void {
    const board = this.boards.add({
      id: event.key,
      position: place,
      scale: 0.5,
      disableDepthTestDistance: Number.POSITIVE_INFINITY,
      horizontalOrigin: HorizontalOrigin.CENTER,
      verticalOrigin: VerticalOrigin.CENTER,
      alignedAxis: Cartesian3.UNIT_Z,
    });
    const mover: Mover = { event, from: place, to: place, now: Cartesian3.clone(place), begin: 0, duration: 0, board, image: "", trail: [place] };
    this.movers.set(event.key, mover);
    this.dress(mover);
  }

  private go(mover: Mover, event: LiveEvent, place: Cartesian3): void {
    const lapse = event.occurred - mover.event.occurred;
    const distance = Cartesian3.distance(mover.to, place);
    mover.event = event;
    mover.from = Cartesian3.clone(mover.now);
    mover.to = place;
    mover.begin = performance.now();
    const duration = Math.min(Math.max(lapse / this.speed, GLIDE_MS.least), GLIDE_MS.most);
    mover.duration = distance > LEAP_M || lapse <= 0 ? 0 : duration;
    if (distance > LEAP_M) mover.trail = [];
    mover.trail.push(place);
    if (mover.trail.length > TRAIL) mover.trail.shift();
    const [a, b] = [this.scenery.metres(mover.from), this.scenery.metres(place)];
    const turned = bearing(b.x - a.x, b.y - a.y);
    if (turned !== undefined) mover.board.rotation = turned;
    if (mover.duration === 0) Cartesian3.clone(place, mover.from);
    this.dress(mover);
    if (event.key === this.followed) this.drawTrail();
  }

  private dress(mover: Mover): void {
    const { event } = mover;
    const chosen = event.key === this.chosen;
    const image = `m:${event.kind}:${rank(event) >= 3 ? rank(event) : 0}:${chosen}`;
    if (image === mover.image) return;
    mover.image = image;
    mover.board.setImage(image, drawMover(event.kind, rank(event), chosen));
    this.scenery.redraw();
  }

  /** The camera goes the way the followed one went. */
  private carry(before: Cartesian3, mover: Mover): void {
    const { camera } = this.scenery.stage.scene;
    const way = Cartesian3.subtract(mover.now, before, new Cartesian3());
    camera.position = Cartesian3.add(camera.positionWC, way, new Cartesian3());
  }

  private drawTrail(): void {
    if (this.line) this.lines.remove(this.line);
    this.line = undefined;
    const mover = this.followed === undefined ? undefined : this.movers.get(this.followed);
    if (!mover || mover.trail.length < 2) return;
    this.line = this.lines.add({
      positions: [...mover.trail],
      width: 3,
      material: Material.fromType("Color", { color: Color.fromCssColorString("#ffb347").withAlpha(0.75) }),
    });
    this.scenery.redraw();
  }
}
