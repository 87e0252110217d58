/** Events on the map: bunched where they are close to each other on the screen, one by one where there is room. */

import {
  BillboardCollection,
  BoundingSphere,
  Cartesian2,
  Cartesian3,
  HorizontalOrigin,
  Intersect,
  PerspectiveFrustum,
  VerticalOrigin,
  type Billboard,
} from "@cesium/engine";
import { clusterSize, countLabel, drawCluster, drawSingle } from "./badges";
import { ClusterTree, worst, type Item, type Node } from "./cluster";
import { rank, type LiveEvent } from "./event";
import type { Scenery } from "./scenery";

/** A square smaller than this on the screen is one bunch, CSS pixels. */
const BUNCH_PX = 150;
/** Markers that cover more of each other than this share of their size are made one. */
const OVERLAP = 0.92;
const SINGLE_PX = 26;
const SETTLE_MS = 120;

export interface Spot {
  id: string;
  place: Cartesian3;
  count: number;
  rank: number;
  /** The event, where there is only one. */
  event?: LiveEvent;
  keys: () => string[];
}

const sizeOf = (spot: Spot): number => (spot.count > 1 ? clusterSize(spot.count) : SINGLE_PX);

interface Seen extends Spot {
  at: Cartesian2;
}

export class Markers {
  /** What stands on the screen now. */
  spots: readonly Spot[] = [];
  private readonly tree: ClusterTree;
  private readonly events = new Map<string, { event: LiveEvent; place: Cartesian3 }>();
  private readonly boards: BillboardCollection;
  private readonly drawn = new Map<string, { board: Billboard; image: string }>();
  private timer = 0;
  private chosen?: string;
  private shown = true;

  constructor(private readonly scenery: Scenery) {
    const { scene } = scenery.stage;
    this.tree = new ClusterTree(Math.max(scenery.site.radius * 1.5, 500));
    this.boards = new BillboardCollection({ scene });
    scene.primitives.add(this.boards);
    scene.camera.changed.addEventListener(() => this.later());
    scene.camera.moveEnd.addEventListener(() => this.later());
    new ResizeObserver(() => this.later()).observe(scenery.stage.canvas);
  }

  get size(): number {
    return this.tree.size;
  }

  show(on: boolean): void {
    this.shown = on;
    this.boards.show = on;
    this.scenery.redraw();
  }

  put(event: LiveEvent): void {
    const place = this.scenery.place(event);
    if (!place) {
      this.remove(event.key);
      return;
    }
    this.events.set(event.key, { event, place });
    this.tree.put({ key: event.key, ...this.scenery.metres(place), rank: rank(event) });
    this.later();
  }

  remove(key: string): void {
    if (!this.events.delete(key)) return;
    this.tree.remove(key);
    this.later();
  }

  choose(key: string | undefined): void {
    if (this.chosen === key) return;
    this.chosen = key;
    this.draw();
  }

  /** The marker with this billboard's id. */
  spot(id: unknown): Spot | undefined {
    return typeof id === "string" ? this.spots.find((spot) => spot.id === id) : undefined;
  }

  /** Severe single events breathe a little. */
  pulse(wave: number): boolean {
    let any = false;
    if (!this.shown) return any;
    for (const spot of this.spots) {
      if (spot.rank < 3 || spot.count > 1) continue;
      const drawn = this.drawn.get(spot.id);
      if (!drawn) continue;
      drawn.board.scale = 0.5 * (1 + 0.16 * wave);
      any = true;
    }
    return any;
  }

  /** Looks again soon: many changes cost one drawing. */
  private later(): void {
    if (this.timer !== 0) return;
    this.timer = window.setTimeout(() => {
      this.timer = 0;
      this.draw();
    }, SETTLE_MS);
  }

  private draw(): void {
    const spots = this.merge(this.look());
    const wanted = new Set(spots.map((spot) => spot.id));
    for (const [id, { board }] of this.drawn) {
      if (wanted.has(id)) continue;
      this.boards.remove(board);
      this.drawn.delete(id);
    }
    for (const spot of spots) this.place(spot);
    this.spots = spots;
    this.scenery.redraw();
  }

  private look(): Seen[] {
    const { scene, canvas } = this.scenery.stage;
    const { camera } = scene;
    const volume = camera.frustum.computeCullingVolume(camera.positionWC, camera.directionWC, camera.upWC);
    const fovy = (camera.frustum instanceof PerspectiveFrustum ? camera.frustum.fovy : undefined) ?? 0.66;
    const focal = canvas.clientHeight / 2 / Math.tan(fovy / 2);
    const found: Seen[] = [];
    const sphere = new BoundingSphere();
    const isSmall = (node: Node): boolean => {
      sphere.center = this.scenery.world(node.cx, node.cy);
      sphere.radius = node.half * Math.SQRT2 + 60;
      // What is out of sight is taken whole and dropped below.
      if (node !== this.tree.root && volume.computeVisibility(sphere) === Intersect.OUTSIDE) return true;
      const distance = Math.max(Cartesian3.distance(camera.positionWC, sphere.center) - node.half, 1);
      return (2 * node.half * focal) / distance < BUNCH_PX;
    };
    this.tree.cut(isSmall, (node) => this.seen(found, this.bunch(node)), (item) => this.seen(found, this.single(item)));
    return found;
  }

  private seen(found: Seen[], spot: Spot | undefined): void {
    const { canvas } = this.scenery.stage;
    const at = spot && this.scenery.window(spot.place);
    if (!spot || !at || at.x < -40 || at.y < -40 || at.x > canvas.clientWidth + 40 || at.y > canvas.clientHeight + 40) return;
    found.push({ ...spot, at });
  }

  private bunch(node: Node): Spot | undefined {
    if (node.count === 1) {
      const [item] = this.tree.below(node);
      return item && this.single(item);
    }
    const items = this.tree.below(node);
    const first = items[0] && this.events.get(items[0].key);
    if (!first) return undefined;
    // At the height of one of them: good enough for a bunch, and never in the air over a low district.
    const place = this.scenery.world(node.sumX / node.count, node.sumY / node.count);
    return { id: node.id, place, count: node.count, rank: worst(node), keys: () => items.map((item) => item.key) };
  }

  private single(item: Item): Spot | undefined {
    const known = this.events.get(item.key);
    return known && { id: item.key, place: known.place, count: 1, rank: item.rank, event: known.event, keys: () => [item.key] };
  }

  /** Squares know nothing of their neighbours: what still overlaps is joined, the larger one stays. */
  private merge(seen: Seen[]): Spot[] {
    const sorted = seen.sort((a, b) => b.count - a.count || b.rank - a.rank || (a.id < b.id ? -1 : 1));
    const kept: Seen[] = [];
    for (const spot of sorted) {
      const alone = spot.event !== undefined && spot.event.key === this.chosen;
      const near = alone ? undefined : kept.find((other) => other.event?.key !== this.chosen && Cartesian2.distance(other.at, spot.at) < (OVERLAP * (sizeOf(other) + sizeOf(spot))) / 2);
      if (!near) {
        kept.push(spot);
        continue;
      }
      const [a, b] = [near.keys, spot.keys];
      near.keys = () => [...a(), ...b()];
      near.count += spot.count;
      near.rank = Math.max(near.rank, spot.rank);
      delete near.event;
    }
    return kept;
  }

  private place(spot: Spot): void {
    const chosen = spot.event !== undefined && spot.event.key === this.chosen;
    const image = spot.event ? `s:${spot.event.kind}:${spot.rank}:${chosen}` : `c:${spot.rank}:${countLabel(spot.count)}:${clusterSize(spot.count)}`;
    let drawn = this.drawn.get(spot.id);
    if (!drawn) {
      const board = this.boards.add({ id: spot.id, position: spot.place, disableDepthTestDistance: Number.POSITIVE_INFINITY, scale: 0.5, horizontalOrigin: HorizontalOrigin.CENTER });
      drawn = { board, image: "" };
      this.drawn.set(spot.id, drawn);
    }
    const { board } = drawn;
    board.position = spot.place;
    board.scale = 0.5;
    board.verticalOrigin = spot.event ? VerticalOrigin.BOTTOM : VerticalOrigin.CENTER;
    if (drawn.image === image) return;
    drawn.image = image;
    const { event } = spot;
    board.setImage(image, event ? drawSingle(event.kind, spot.rank, chosen) : drawCluster(spot.count, spot.rank));
  }
}
