/** Clicks, hover and the cursor's place: what lies under the pointer, asked no oftener than the machine can answer. */

import {
  Cartesian2,
  Cartographic,
  Cesium3DTileFeature,
  ScreenSpaceEventHandler,
  ScreenSpaceEventType,
  type Cartesian3,
} from "@cesium/engine";
import { toDegrees, type Site } from "./site";
import type { Stage } from "./stage";

const HOVER_PAUSE_MS = 40;

export interface Place {
  lon: number;
  lat: number;
  /** Ellipsoidal, metres; left out on the ground, which is a picture and no survey. */
  height?: number;
}

export interface PointerEvents {
  /** A click on something with an id of its own, such as a marker; true if that was the end of it. */
  object?: (id: unknown) => boolean;
  /** Comes before all else; true if the place was taken. */
  draw?: (place: Place | undefined) => boolean;
  click: (feature: Cesium3DTileFeature | undefined, place: Place | undefined) => void;
  hover: (feature: Cesium3DTileFeature | undefined) => void;
  move: (place: Place | undefined) => void;
}

export class Pointer {
  private readonly handler: ScreenSpaceEventHandler;
  private last?: Cartesian2;
  private timer = 0;
  private moving = false;
  private dragging = false;
  /** How long a pick took; hovering is given up where it would eat the frame. */
  private cost = 0;

  constructor(
    private readonly stage: Stage,
    private readonly site: Site,
    private readonly events: PointerEvents,
  ) {
    const { scene, canvas } = stage;
    this.handler = new ScreenSpaceEventHandler(canvas);
    this.handler.setInputAction(
      (event: ScreenSpaceEventHandler.PositionedEvent) => this.click(event.position),
      ScreenSpaceEventType.LEFT_CLICK,
    );
    this.handler.setInputAction(
      (event: ScreenSpaceEventHandler.MotionEvent) => this.moved(Cartesian2.clone(event.endPosition)),
      ScreenSpaceEventType.MOUSE_MOVE,
    );
    canvas.addEventListener("pointerdown", () => (this.dragging = true));
    window.addEventListener("pointerup", () => (this.dragging = false));
    canvas.addEventListener("pointerleave", () => this.left());
    scene.camera.moveStart.addEventListener(() => (this.moving = true));
    scene.camera.moveEnd.addEventListener(() => (this.moving = false));
  }

  /** What is drawn at a window position; also used by tests. */
  pick(at: Cartesian2): Cesium3DTileFeature | undefined {
    const found: unknown = this.stage.scene.pick(at, 5, 5);
    return found instanceof Cesium3DTileFeature ? found : undefined;
  }

  private click(at: Cartesian2): void {
    const place = this.site.groundAt(this.stage.scene.camera, at.x, at.y);
    if (this.events.draw?.(place && degreesOf(place))) return;
    const found: unknown = this.stage.scene.pick(at, 5, 5);
    const feature = found instanceof Cesium3DTileFeature ? found : undefined;
    if (!feature && this.events.object?.((found as { id?: unknown } | undefined)?.id)) return;
    this.events.click(feature, this.surface(at, feature !== undefined));
  }

  private moved(at: Cartesian2): void {
    this.last = at;
    this.events.move(this.surface(at, false));
    if (this.timer !== 0) return;
    this.timer = window.setTimeout(() => this.look(), Math.max(HOVER_PAUSE_MS, this.cost * 4));
  }

  private look(): void {
    this.timer = 0;
    if (!this.last || this.moving || this.dragging || this.stage.options.low) return;
    const begin = performance.now();
    const feature = this.pick(this.last);
    this.events.hover(feature);
    if (feature) this.events.move(this.surface(this.last, true));
    this.stage.canvas.style.cursor = feature ? "pointer" : "";
    this.cost = performance.now() - begin;
  }

  private left(): void {
    delete this.last;
    this.events.move(undefined);
    this.events.hover(undefined);
  }

  /** On a building the depth buffer knows; on the ground a ray is enough and costs nothing. */
  private surface(at: Cartesian2, building: boolean): Place | undefined {
    const { scene } = this.stage;
    if (building && scene.pickPositionSupported) {
      const point = scene.pickPosition(at) as Cartesian3 | undefined;
      const place = point && Cartographic.fromCartesian(point);
      // A pick takes in the pixels around it; right beside a wall the depth is still that of the drawn ground.
      if (place && place.height > this.site.ground + 0.5) return { ...degreesOf(place), height: place.height };
    }
    const place = this.site.groundAt(scene.camera, at.x, at.y);
    return place && degreesOf(place);
  }
}

const degreesOf = (place: Cartographic): Place => ({ lon: toDegrees(place.longitude), lat: toDegrees(place.latitude) });
