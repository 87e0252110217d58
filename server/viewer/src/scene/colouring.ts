/** Colours the features by a property: samples what is loaded, classes it once, hands the style to the tilesets. */

import { Cesium3DTileStyle, type Cesium3DTileContent, type Cesium3DTileset } from "@cesium/engine";
import type { LayerInfo, PropertyInfo } from "../model";
import { classifyCategories, classifyNumbers, type Classes } from "../ramp";
import { conditions } from "../style";
import type { Tiles } from "./tiles";

const SAMPLE_PER_TILE = 4000;
/** From this many values on the classes stay as they are, so that colours do not change while one moves about. */
const ENOUGH = 1500;
/** Shown until the first values are known. */
const PLAIN = "#5b7183";
const NOT_FOR_COLOURING = new Set(["geid", "source_key", "name", "address", "parent"]);

/** The properties worth offering: no identifiers, no free text, nothing that is the same everywhere. */
export function offered(layers: readonly LayerInfo[]): PropertyInfo[] {
  const telling = (p: PropertyInfo): boolean =>
    !NOT_FOR_COLOURING.has(p.id) && (p.values === undefined || p.values.length > 1);
  const all = layers.flatMap((layer) => layer.properties).filter(telling);
  return [...new Map(all.map((p) => [p.id, p])).values()];
}

export class Colouring {
  private property?: PropertyInfo;
  private current?: Classes;
  private readonly contents = new Map<object, unknown[]>();
  private stale = false;
  private fixed = false;

  constructor(
    private readonly tiles: Tiles,
    private readonly changed: (property: PropertyInfo, classes: Classes | undefined) => void,
  ) {
    tiles.onLoad.push((content) => {
      if (this.fixed) return;
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
    this.fixed = false;
    this.contents.clear();
    for (const content of this.tiles.contents) this.contents.set(content, this.sample(content));
    this.stale = true;
    this.current = undefined;
    for (const tileset of this.tiles.tilesets.values()) tileset.style = plain();
    this.settle();
  }

  /** One quiet colour for all, so that something else can stand out. */
  clear(): void {
    delete this.property;
    delete this.current;
    this.contents.clear();
    for (const tileset of this.tiles.tilesets.values()) tileset.style = plain();
  }

  /** A tileset that has just been added. */
  dress(tileset: Cesium3DTileset): void {
    tileset.style =
      this.property && this.current ? styleOf(this.property, this.current) : plain();
  }

  /** Called when a view is complete: classes follow what is known until enough is. */
  settle(): void {
    if (!this.property || !this.stale || this.fixed) return;
    this.stale = false;
    const values = [...this.contents.values()].flat();
    if (values.length === 0 && !this.property.quantiles) {
      this.changed(this.property, undefined);
      return;
    }
    const classes = classify(this.property, values);
    this.fixed = values.length >= ENOUGH || this.property.quantiles !== undefined;
    if (JSON.stringify(classes) === JSON.stringify(this.current)) return;
    this.current = classes;
    this.apply(this.property, classes);
    this.changed(this.property, classes);
  }

  private apply(property: PropertyInfo, classes: Classes): void {
    for (const tileset of this.tiles.tilesets.values()) tileset.style = styleOf(property, classes);
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
  if (property.kind === "number") return classifyNumbers(property.quantiles ?? present.map(Number));
  return classifyCategories(present.map(String), property.values);
}

const plain = (): Cesium3DTileStyle => new Cesium3DTileStyle({ color: `color('${PLAIN}')` });

const styleOf = (property: PropertyInfo, classes: Classes): Cesium3DTileStyle =>
  new Cesium3DTileStyle({ color: { conditions: conditions(property.id, classes) } });
