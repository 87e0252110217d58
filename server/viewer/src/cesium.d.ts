/** Members the scene has and its published types leave out; CesiumWidget itself uses them. The version is pinned. */

import type { Cesium3DTileContent } from "@cesium/engine";

declare module "@cesium/engine" {
  interface Scene {
    initializeFrame(): void;
    pixelRatio: number;
  }
  interface Cesium3DTileFeature {
    readonly content: Cesium3DTileContent;
  }
}
