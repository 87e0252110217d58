/** What the page offers to scripts and tests as `window.twin`. */

import type { Camera, Cesium3DTileset, Scene } from "@cesium/engine";
import type { LiveState, Overlay } from "./live/overlay";
import type { CameraState } from "./urlstate";

export interface TwinState {
  release: string;
  project: string;
  language: string;
  colour: string | undefined;
  selected: string | undefined;
  /** The selected feature is drawn and lit. */
  highlighted: boolean;
  tilesLoaded: boolean;
  pending: number;
  camera: CameraState;
  errors: string[];
  /** Of the living twin, where the server has one. */
  live: LiveState | undefined;
}

export interface Twin {
  /** Not Cesium's Viewer, but what a script needs of one. */
  viewer: { scene: Scene; camera: Camera; canvas: HTMLCanvasElement };
  tilesets: ReadonlyMap<string, Cesium3DTileset>;
  /** Resolves when the first view is complete. */
  ready: Promise<void>;
  select: (geid: string) => Promise<void>;
  /** The geid drawn at a window position (CSS pixels). */
  pick: (x: number, y: number) => string | undefined;
  home: () => void;
  /** The living twin's overlay, once it is there. */
  overlay: () => Overlay | undefined;
  state: () => TwinState;
}

declare global {
  interface Window {
    twin?: Twin;
  }
}
