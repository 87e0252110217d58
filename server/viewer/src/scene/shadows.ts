/** Shadows, for those who want them: as far as the camera's distance makes them worth drawing. */

import { Cartesian3, type Scene } from "@cesium/engine";
import type { Site } from "./site";

const SIZE = 4096;
/** Cesium's own bias is made for single models; walls of a whole district need more, or they shade themselves in stripes. */
const BIAS = { normalOffsetScale: 1.2, depthBias: 0.0004 };

const followed = new WeakSet<Scene>();

export function castShadows(scene: Scene, site: Site, on: boolean): void {
  const { shadowMap } = scene;
  shadowMap.enabled = on;
  shadowMap.size = SIZE;
  shadowMap.darkness = 0.5;
  shadowMap.softShadows = true;
  Object.assign((shadowMap as unknown as { _primitiveBias: object })._primitiveBias, BIAS);
  if (followed.has(scene)) return;
  followed.add(scene);
  scene.preUpdate.addEventListener(() => {
    const height = scene.camera.positionCartographic.height - site.ground;
    const reach = Math.min(Cartesian3.distance(scene.camera.positionWC, site.centre) + site.radius, height * 6 + 600);
    shadowMap.maximumDistance = reach;
  });
}
