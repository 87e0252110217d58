/** Where the district lies: its frame, its ground height and its size, from the layers' regions. */

import { Cartesian2, Cartesian3, Cartographic, Ellipsoid, Math as CesiumMath, Matrix4, Transforms } from "@cesium/engine";
import type { Camera } from "@cesium/engine";
import type { FrameBox } from "../framing";
import type { Region } from "../model";

const EARTH_RADIUS_M = 6_371_000;

export class Site {
  readonly centre: Cartesian3;
  readonly enuToEcef: Matrix4;
  readonly up: Cartesian3;
  /** The ellipsoid blown up to the ground's height, for rays that need no depth buffer. */
  private readonly shell: Ellipsoid;

  constructor(readonly region: Region) {
    const lon = (region.west + region.east) / 2;
    const lat = (region.south + region.north) / 2;
    this.centre = Cartesian3.fromDegrees(lon, lat, this.ground);
    this.enuToEcef = Transforms.eastNorthUpToFixedFrame(this.centre);
    this.up = Ellipsoid.WGS84.geodeticSurfaceNormal(this.centre);
    const { x, y, z } = Ellipsoid.WGS84.radii;
    this.shell = new Ellipsoid(x + this.ground, y + this.ground, z + this.ground);
  }

  /** Ellipsoidal height of the drawn ground, metres: the foot of the lowest thing there is. */
  get ground(): number {
    return this.region.low;
  }

  /** Half the diagonal, metres. */
  get radius(): number {
    const { west, south, east, north } = this.region;
    return Math.max(Cartesian3.distance(Cartesian3.fromDegrees(west, south), Cartesian3.fromDegrees(east, north)) / 2, 50);
  }

  /** The region in metres about the centre. */
  get box(): FrameBox {
    const { west, south, east, north, low, high } = this.region;
    const middle = (south + north) / 2;
    const halfX = Cartesian3.distance(Cartesian3.fromDegrees(west, middle), Cartesian3.fromDegrees(east, middle)) / 2;
    const halfY = Cartesian3.distance(Cartesian3.fromDegrees(west, south), Cartesian3.fromDegrees(west, north)) / 2;
    return { west: -halfX, east: halfX, south: -halfY, north: halfY, top: Math.max(high - low, 1) };
  }

  /** The point of the ground under a window position (CSS pixels), or nothing above the horizon. */
  groundAt(camera: Camera, x: number, y: number): Cartographic | undefined {
    const point = camera.pickEllipsoid(new Cartesian2(x, y), this.shell);
    if (!point) return undefined;
    const place = Cartographic.fromCartesian(point);
    if (place) place.height = this.ground;
    return place;
  }

  /** On the ground in the middle of the window, across; nothing where the middle is sky. */
  metresPerPixel(camera: Camera, { clientWidth, clientHeight }: HTMLCanvasElement): number | undefined {
    const [x, y] = [clientWidth / 2, clientHeight / 2];
    const [a, b] = [this.groundAt(camera, x - 50, y), this.groundAt(camera, x + 50, y)];
    if (!a || !b) return undefined;
    const east = (b.longitude - a.longitude) * Math.cos(a.latitude);
    return (Math.hypot(east, b.latitude - a.latitude) * EARTH_RADIUS_M) / 100;
  }

  static around(regions: readonly Region[]): Site {
    const known = regions.length > 0 ? regions : [{ west: -0.01, south: -0.01, east: 0.01, north: 0.01, low: 0, high: 10 }];
    return new Site({
      west: Math.min(...known.map((r) => r.west)),
      south: Math.min(...known.map((r) => r.south)),
      east: Math.max(...known.map((r) => r.east)),
      north: Math.max(...known.map((r) => r.north)),
      low: Math.min(...known.map((r) => r.low)),
      high: Math.max(...known.map((r) => r.high)),
    });
  }
}

export const toDegrees = (radians: number): number => CesiumMath.toDegrees(radians);
