/** Moves the camera: home, to an entity, by a step, to a stored view. */

import {
  BoundingSphere,
  Cartesian3,
  HeadingPitchRange,
  Math as CesiumMath,
  Matrix4,
  PerspectiveFrustum,
  Transforms,
  type Camera,
} from "@cesium/engine";
import { reducedMotion } from "../dom";
import type { Entity } from "../model";
import { frameBest, lookBeside } from "../framing";
import { panelInsets, type Insets } from "../insets";
import type { CameraState } from "../urlstate";
import type { Site } from "./site";
import type { Stage } from "./stage";

const OBLIQUE = CesiumMath.toRadians(-36);
/** What the view of the whole district chooses from. */
const STEEPNESS = [30, 36, 42, 48, 54].map(CesiumMath.toRadians);

/** The box of an entity as a sphere, however much of it the server said. */
export function sphereOf(entity: Entity): BoundingSphere | undefined {
  if (entity.lon === undefined || entity.lat === undefined) return undefined;
  const height = entity.heightM ?? 0;
  const centre = Cartesian3.fromDegrees(entity.lon, entity.lat, (entity.height ?? 0) + height / 2);
  const box = entity.bbox;
  const diagonal = box
    ? Cartesian3.distance(Cartesian3.fromDegrees(box.west, box.south), Cartesian3.fromDegrees(box.east, box.north))
    : 40;
  return new BoundingSphere(centre, Math.max(diagonal / 2, height / 2, 12));
}

export class Flight {
  private readonly camera: Camera;

  constructor(
    private readonly stage: Stage,
    private readonly site: Site,
  ) {
    this.camera = stage.scene.camera;
  }

  state(): CameraState {
    const place = this.camera.positionCartographic;
    return {
      lon: CesiumMath.toDegrees(place.longitude),
      lat: CesiumMath.toDegrees(place.latitude),
      height: place.height,
      heading: CesiumMath.toDegrees(this.camera.heading),
      pitch: CesiumMath.toDegrees(this.camera.pitch),
    };
  }

  restore(view: CameraState): void {
    this.camera.cancelFlight();
    this.camera.setView({
      destination: Cartesian3.fromDegrees(view.lon, view.lat, view.height),
      orientation: { heading: CesiumMath.toRadians(view.heading), pitch: CesiumMath.toRadians(view.pitch), roll: 0 },
    });
    this.stage.redraw();
  }

  /** To a stored view, by a flight where flights are wanted. */
  go(view: CameraState): void {
    const destination = Cartesian3.fromDegrees(view.lon, view.lat, view.height);
    this.move(destination, CesiumMath.toRadians(view.heading), CesiumMath.toRadians(view.pitch), 2.2);
  }

  home(animate = true): void {
    const { east, north, range, down } = frameBest(this.site.box, this.window(), STEEPNESS);
    const aim = Matrix4.multiplyByPoint(this.site.enuToEcef, new Cartesian3(east, north, 0), new Cartesian3());
    this.to(new BoundingSphere(aim, 1), new HeadingPitchRange(0, -down, range), animate);
  }

  entity(entity: Entity, animate = true): boolean {
    const sphere = sphereOf(entity);
    if (!sphere) return false;
    const range = Math.max(sphere.radius * 6.5, 340);
    const pitch = CesiumMath.clamp(this.camera.pitch, CesiumMath.toRadians(-55), CesiumMath.toRadians(-28));
    const { right, ahead } = lookBeside({ ...this.window(), down: -pitch }, range);
    const { heading } = this.camera;
    const beside = new Cartesian3(
      right * Math.cos(heading) + ahead * Math.sin(heading),
      ahead * Math.cos(heading) - right * Math.sin(heading),
      0,
    );
    const aim = Matrix4.multiplyByPoint(Transforms.eastNorthUpToFixedFrame(sphere.center), beside, new Cartesian3());
    this.to(new BoundingSphere(aim, 1), new HeadingPitchRange(heading, pitch, range), animate);
    return true;
  }

  /** Towards a place, until so much of the way is left. */
  nearer(place: Cartesian3, factor: number): void {
    const range = Math.max(Cartesian3.distance(this.camera.positionWC, place) * factor, 220);
    this.to(new BoundingSphere(place, 1), new HeadingPitchRange(this.camera.heading, this.camera.pitch, range), true, 0.8);
  }

  north(): void {
    this.turn(0, this.camera.pitch);
  }

  tilt(): void {
    const steep = this.camera.pitch < CesiumMath.toRadians(-65);
    this.turn(this.camera.heading, steep ? OBLIQUE : CesiumMath.toRadians(-89.5));
  }

  zoom(factor: number): void {
    const focus = this.focus();
    const away = Cartesian3.subtract(this.camera.positionWC, focus, new Cartesian3());
    const target = Cartesian3.add(focus, Cartesian3.multiplyByScalar(away, factor, away), new Cartesian3());
    this.move(target, this.camera.heading, this.camera.pitch, 0.35);
  }

  /** Steps sideways and ahead by a share of the distance to what is looked at. */
  pan(right: number, ahead: number): void {
    const step = Cartesian3.distance(this.camera.positionWC, this.focus()) * 0.12;
    const up = this.site.up;
    const forward = Cartesian3.cross(up, this.camera.rightWC, new Cartesian3());
    const offset = Cartesian3.add(
      Cartesian3.multiplyByScalar(this.camera.rightWC, right * step, new Cartesian3()),
      Cartesian3.multiplyByScalar(forward, ahead * step, new Cartesian3()),
      new Cartesian3(),
    );
    const target = Cartesian3.add(this.camera.positionWC, offset, offset);
    this.move(target, this.camera.heading, this.camera.pitch, 0.25);
  }

  /** Never below the ground, where there is nothing to see. */
  keepAbove(): void {
    const place = this.camera.positionCartographic;
    const floor = this.site.ground + 3;
    if (place.height >= floor) return;
    this.camera.position = Cartesian3.fromRadians(place.longitude, place.latitude, floor);
  }

  private window(): { width: number; height: number; fovy: number; inset: Insets } {
    const { clientWidth: width, clientHeight: height } = this.stage.canvas;
    const { frustum } = this.camera;
    const fovy = (frustum instanceof PerspectiveFrustum ? frustum.fovy : undefined) ?? 0.66;
    return { width, height, fovy, inset: panelInsets(width, height) };
  }

  private focus(): Cartesian3 {
    const { clientWidth, clientHeight } = this.stage.canvas;
    const place = this.site.groundAt(this.camera, clientWidth / 2, clientHeight / 2);
    if (place) return Cartesian3.fromRadians(place.longitude, place.latitude, place.height);
    return Cartesian3.add(this.camera.positionWC, Cartesian3.multiplyByScalar(this.camera.directionWC, 500, new Cartesian3()), new Cartesian3());
  }

  private turn(heading: number, pitch: number): void {
    const focus = this.focus();
    const range = Cartesian3.distance(this.camera.positionWC, focus);
    this.to(new BoundingSphere(focus, 1), new HeadingPitchRange(heading, pitch, range), true, 0.6);
  }

  private to(sphere: BoundingSphere, offset: HeadingPitchRange, animate: boolean, seconds = 1.4): void {
    if (animate && !reducedMotion() && !this.stage.options.low) {
      this.camera.flyToBoundingSphere(sphere, { offset, duration: seconds });
    } else {
      this.camera.cancelFlight();
      this.camera.viewBoundingSphere(sphere, offset);
      this.camera.lookAtTransform(Matrix4.IDENTITY);
    }
    this.stage.redraw();
  }

  private move(destination: Cartesian3, heading: number, pitch: number, duration: number): void {
    const orientation = { heading, pitch, roll: 0 };
    if (reducedMotion() || this.stage.options.low) this.camera.setView({ destination, orientation });
    else this.camera.flyTo({ destination, orientation, duration });
    this.stage.redraw();
  }
}
