/** The layers' tilesets: loading, what is still to come, and where a feature is drawn right now. */

import {
  Cesium3DTileColorBlendMode,
  Cesium3DTileset,
  ShadowMode,
  type Cesium3DTile,
  type Cesium3DTileContent,
  type Cesium3DTileFeature,
  type CustomShader,
} from "@cesium/engine";
import type { LayerInfo } from "../model";
import { sameGeid } from "../format";
import type { Stage } from "./stage";

/** The feature with a geid in a tile's content; `row` is a guess that is checked before it is believed. */
export function featureIn(content: Cesium3DTileContent, geid: string, row?: number): Cesium3DTileFeature | undefined {
  const count = content.featuresLength;
  const is = (i: number): Cesium3DTileFeature | undefined => {
    const feature = content.getFeature(i);
    const found = feature.getProperty("geid") as unknown;
    return typeof found === "string" && sameGeid(found, geid) ? feature : undefined;
  };
  if (row !== undefined && row >= 0 && row < count) {
    const guess = is(row);
    if (guess) return guess;
  }
  for (let i = 0; i < count; i++) {
    const feature = is(i);
    if (feature) return feature;
  }
  return undefined;
}

/**
 * Cesium puts `asset.tilesetVersion` behind every address of a tileset (`?v=`), which would throw every tile out of every
 * cache with each release. Ours are named by what is in them and need no version; the root is asked for again anyway.
 */
const loadJson = Cesium3DTileset.loadJson;
Cesium3DTileset.loadJson = async (address) => {
  const document = (await loadJson(address)) as { asset?: { tilesetVersion?: string } };
  if (document.asset) delete document.asset.tilesetVersion;
  return document;
};

export interface Pending {
  pending: number;
  processing: number;
}

export class Tiles {
  readonly tilesets = new Map<string, Cesium3DTileset>();
  /** Told for each tile drawn in a frame. */
  readonly onVisible: ((content: Cesium3DTileContent, layer: string) => void)[] = [];
  readonly onLoad: ((content: Cesium3DTileContent, layer: string) => void)[] = [];
  readonly onUnload: ((content: Cesium3DTileContent, layer: string) => void)[] = [];
  readonly onProgress: ((state: Pending) => void)[] = [];
  readonly onError: ((message: string) => void)[] = [];
  /** What is in memory now. */
  readonly contents = new Set<Cesium3DTileContent>();
  private readonly progress = new Map<string, Pending>();

  constructor(private readonly stage: Stage) {}

  /** Adds a layer; throws what Cesium throws when its tileset cannot be read. */
  async add(layer: LayerInfo, shader: CustomShader, screenSpaceError: number): Promise<Cesium3DTileset> {
    const tileset = await Cesium3DTileset.fromUrl(layer.tileset, {
      maximumScreenSpaceError: screenSpaceError,
      cullWithChildrenBounds: true,
      cullRequestsWhileMoving: true,
      foveatedTimeDelay: 0.1,
      cacheBytes: 512 * 1024 * 1024,
      maximumCacheOverflowBytes: 256 * 1024 * 1024,
      backFaceCulling: true,
      shadows: ShadowMode.ENABLED,
      showOutline: false,
    });
    tileset.customShader = shader;
    tileset.colorBlendMode = Cesium3DTileColorBlendMode.HIGHLIGHT;
    tileset.environmentMapManager.enabled = false;
    this.listen(tileset, layer.id);
    this.tilesets.set(layer.id, tileset);
    this.stage.scene.primitives.add(tileset);
    this.stage.redraw();
    return tileset;
  }

  show(layer: string, on: boolean): void {
    const tileset = this.tilesets.get(layer);
    if (tileset) tileset.show = on;
    this.stage.redraw();
  }

  get pending(): number {
    return [...this.progress.values()].reduce((sum, p) => sum + p.pending + p.processing, 0);
  }

  get loaded(): boolean {
    return [...this.tilesets.values()].every((tileset) => !tileset.show || tileset.tilesLoaded);
  }

  private listen(tileset: Cesium3DTileset, layer: string): void {
    tileset.tileVisible.addEventListener((tile: Cesium3DTile) => {
      for (const listener of this.onVisible) for (const content of contents(tile)) listener(content, layer);
    });
    tileset.tileLoad.addEventListener((tile: Cesium3DTile) => {
      for (const content of contents(tile)) {
        this.contents.add(content);
        for (const listener of this.onLoad) listener(content, layer);
      }
    });
    tileset.tileUnload.addEventListener((tile: Cesium3DTile) => {
      for (const content of contents(tile)) {
        this.contents.delete(content);
        for (const listener of this.onUnload) listener(content, layer);
      }
    });
    tileset.loadProgress.addEventListener((pending: number, processing: number) => {
      this.progress.set(layer, { pending, processing });
      for (const listener of this.onProgress) listener({ pending: this.pending, processing: 0 });
    });
    tileset.tileFailed.addEventListener((failure: { message: string; url: string }) => {
      for (const listener of this.onError) listener(failure.message);
    });
  }
}

/** A tile may have several contents, or none. */
function contents(tile: Cesium3DTile): Cesium3DTileContent[] {
  const content = tile.content as Cesium3DTileContent | undefined;
  if (!content) return [];
  const inner = content.innerContents as Cesium3DTileContent[] | undefined;
  return inner ?? (content.featuresLength > 0 ? [content] : []);
}
