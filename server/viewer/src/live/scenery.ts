/** What the drawn parts of the overlay need of the scene, in one hand. */

import { Cartesian2, Cartesian3, Matrix4, SceneTransforms } from "@cesium/engine";
import type { Site } from "../scene/site";
import type { Stage } from "../scene/stage";
import type { LiveEvent } from "./event";

/** Above the drawn ground, so that a marker never stands half in it. */
const LIFT_M = 2;

export class Scenery {
  private readonly ecefToEnu: Matrix4;
  private readonly local = new Cartesian3();

  constructor(
    readonly stage: Stage,
    readonly site: Site,
  ) {
    this.ecefToEnu = Matrix4.inverseTransformation(site.enuToEcef, new Matrix4());
  }

  /** Where an event is drawn; nothing where nobody knows. */
  place(event: LiveEvent): Cartesian3 | undefined {
    if (event.lon === undefined || event.lat === undefined) return undefined;
    const height = Math.max(event.h ?? this.site.ground, this.site.ground) + LIFT_M;
    return Cartesian3.fromDegrees(event.lon, event.lat, height);
  }

  /** Metres east and north of the district's middle. */
  metres(place: Cartesian3): { x: number; y: number } {
    const { x, y } = Matrix4.multiplyByPoint(this.ecefToEnu, place, this.local);
    return { x, y };
  }

  /** On the ground, so many metres east and north of the middle. */
  world(x: number, y: number, z = LIFT_M): Cartesian3 {
    return Matrix4.multiplyByPoint(this.site.enuToEcef, new Cartesian3(x, y, z), new Cartesian3());
  }

  /** CSS pixels in the canvas; nothing behind the camera. */
  window(place: Cartesian3, result = new Cartesian2()): Cartesian2 | undefined {
    return SceneTransforms.worldToWindowCoordinates(this.stage.scene, place, result) as Cartesian2 | undefined;
  }

  redraw(): void {
    this.stage.redraw();
  }
}
