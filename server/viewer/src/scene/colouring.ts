/** Colours the features by a property: samples what is loaded, classes it once, hands the style to the tilesets. */

import { Cesium3DTileStyle, type Cesium3DTileContent } from "@cesium/engine";
import type { LayerInfo, PropertyInfo } from "../model";
import { classifyCategories, classifyNumbers, type Classes } from "../ramp";
import { conditions } from "../style";
import type { Tiles } from "./tiles";

const SAMPLE_PER_TILE = 600;
const NOT_FOR_COLOURING = new Set(["geid", "source_key", "name", "address"]);

/** The properties worth offering: not identifiers and not free text. */
export const colourable = (layer: LayerInfo): PropertyInfo[] => layer.properties.filter((p) => !NOT_FOR_COLOURING.has(p.id));

export class Colouring {
  private property?: PropertyInfo;
  private current?: Classes;
  private readonly contents = new Map<Cesium3DTileContent, unknown[]>();
  private stale = false;

  constructor(
    private readonly tiles: Tiles,
    private readonly changed: (property: PropertyInfo, classes: Classes | undefined) => void,
  ) {
    tiles.onLoad.push((content) => {
      this.contents.set(content, this.sample(content));
      this.stale = true;
    });
  }

  get by(): string | undefined {
    return this.property?.id;
  }

  get classes(): Classes | undefined {
    return this.current;
  }

  choose(property: PropertyInfo): void {
    this.property = property;
    for (const content of this.contents.keys()) {
      if (destroyed(content)) this.contents.delete(content);
      else this.contents.set(content, this.sample(content));
    }
    this.stale = true;
    this.current = undefined;
    this.settle();
  }

  /** Called when a view is complete: classes follow what is known until a first complete view fixed them. */
  settle(): void {
    if (!this.property || !this.stale) return;
    this.stale = false;
    const values = [...this.contents.values()].flat();
    if (values.length === 0) {
      this.changed(this.property, undefined);
      return;
    }
    const classes = classify(this.property, values);
    if (JSON.stringify(classes) === JSON.stringify(this.current)) return;
    this.current = classes;
    this.apply(this.property, classes);
    this.changed(this.property, classes);
  }

  private apply(property: PropertyInfo, classes: Classes): void {
    for (const tileset of this.tiles.tilesets.values())
      tileset.style = new Cesium3DTileStyle({ color: { conditions: conditions(property.id, classes) } });
  }

  private sample(content: Cesium3DTileContent): unknown[] {
    if (!this.property) return [];
    const { id } = this.property;
    const count = content.featuresLength;
    const stride = Math.max(1, Math.ceil(count / SAMPLE_PER_TILE));
    const values: unknown[] = [];
    for (let i = 0; i < count; i += stride) values.push(content.getFeature(i).getProperty(id) as unknown);
    return values;
  }
}

function classify(property: PropertyInfo, values: readonly unknown[]): Classes {
  const present = values.filter((value) => value !== undefined && value !== null && value !== "");
  if (property.kind === "number") return classifyNumbers(present.map(Number));
  return classifyCategories(present.map(String), property.values);
}

const destroyed = (content: Cesium3DTileContent): boolean =>
  (content as { isDestroyed?: () => boolean }).isDestroyed?.() ?? false;
