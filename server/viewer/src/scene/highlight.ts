/** Lights up the selected and the hovered feature, also after their tile was thrown out and loaded again. */

import { Cesium3DTileFeature, Color, type Cesium3DTileContent } from "@cesium/engine";
import { sameGeid } from "../format";
import { featureIn, type Tiles } from "./tiles";

export const SELECTED = "#ffb347";
const HOVER = "#ffffff";

export const geidOf = (feature: Cesium3DTileFeature): string | undefined => {
  const geid = feature.getProperty("geid") as unknown;
  return typeof geid === "string" ? geid : undefined;
};

interface Target {
  geid: string;
  /** Content key and row as the registry says: spares looking through every tile. */
  tile?: string;
  row?: number;
}

export class Highlight {
  private target?: Target;
  private selectedFeature?: Cesium3DTileFeature;
  private hovered?: Cesium3DTileFeature;
  /** Contents already searched in vain, so that a tile is looked through once a selection. */
  private searched = new WeakSet<object>();
  /** A colour that lies over that of the style, where something happens at the feature. */
  tint: (feature: Cesium3DTileFeature) => Color | undefined = () => undefined;
  private readonly accent = Color.fromCssColorString(SELECTED);
  private readonly bright = Color.fromCssColorString(HOVER);

  constructor(
    tiles: Tiles,
    private readonly redraw: () => void,
    private readonly found: (feature: Cesium3DTileFeature) => void,
    private readonly lost: () => void,
  ) {
    tiles.onVisible.push((content) => this.visible(content));
    tiles.onUnload.push((content) => this.unloaded(content));
  }

  /** The selected feature is in memory and has the accent. */
  get lit(): boolean {
    const feature = this.selectedFeature;
    return feature !== undefined && !gone(feature) && Color.equals(feature.color, this.accent);
  }

  /** The selected feature wears the accent, whatever else is said of it. */
  holds(feature: Cesium3DTileFeature): boolean {
    return alike(feature, this.selectedFeature);
  }

  /** The colour the layer's style gives a feature. */
  styled(feature: Cesium3DTileFeature): Color {
    return own(feature);
  }

  select(target: Target | undefined, feature?: Cesium3DTileFeature): void {
    const same = target && this.target && sameGeid(target.geid, this.target.geid);
    if (!same) this.restore(this.selectedFeature);
    this.target = target;
    this.searched = new WeakSet();
    if (!same) this.selectedFeature = undefined;
    if (feature) {
      this.hovered = undefined;
      this.selectedFeature = feature;
      feature.color = this.accent;
    }
    this.redraw();
  }

  hover(feature: Cesium3DTileFeature | undefined): void {
    if (alike(feature, this.hovered)) return;
    if (!alike(this.hovered, this.selectedFeature)) this.restore(this.hovered);
    this.hovered = alike(feature, this.selectedFeature) ? undefined : feature;
    if (this.hovered) this.hovered.color = Color.lerp(this.base(this.hovered), this.bright, 0.35, new Color());
    this.redraw();
  }

  /** A new style resets every colour, a frame after it was set and without a word; so each frame is looked over. */
  keep(): void {
    const feature = this.selectedFeature;
    if (!feature || gone(feature) || Color.equals(feature.color, this.accent)) return;
    feature.color = this.accent;
    this.redraw();
  }

  private visible(content: Cesium3DTileContent): void {
    if (!this.target || this.searched.has(content)) return;
    if (this.selectedFeature?.content === content) return;
    const { tile, row } = this.target;
    const here = tile !== undefined && row !== undefined && content.url.split("?")[0]?.endsWith(tile);
    const feature = featureIn(content, this.target.geid, here ? row : undefined);
    if (!feature) {
      this.searched.add(content);
      return;
    }
    this.selectedFeature = feature;
    feature.color = this.accent;
    this.found(feature);
  }

  private unloaded(content: Cesium3DTileContent): void {
    if (this.hovered?.content === content) this.hovered = undefined;
    if (this.selectedFeature?.content !== content) return;
    this.selectedFeature = undefined;
    this.lost();
  }

  private restore(feature: Cesium3DTileFeature | undefined): void {
    if (feature && !gone(feature)) feature.color = this.base(feature);
  }

  private base(feature: Cesium3DTileFeature): Color {
    return this.tint(feature) ?? own(feature);
  }
}

const alike = (a?: Cesium3DTileFeature, b?: Cesium3DTileFeature): boolean =>
  a === b || (a !== undefined && b !== undefined && a.content === b.content && a.featureId === b.featureId);

/** Its tile was unloaded while it was lit. */
const gone = (feature: Cesium3DTileFeature): boolean =>
  (feature.content as { isDestroyed?: () => boolean }).isDestroyed?.() ?? false;

/** The colour the layer's style gives the feature. */
function own(feature: Cesium3DTileFeature): Color {
  const style = feature.tileset.style as { color?: { evaluateColor(f: unknown, c: Color): Color } } | undefined;
  return style?.color?.evaluateColor(feature, new Color()) ?? Color.WHITE;
}
