/** What the server says, parsed once and tolerantly at the rim, so the rest can trust its types. */

export interface Region {
  west: number;
  south: number;
  east: number;
  north: number;
  /** Ellipsoidal heights, metres. */
  low: number;
  high: number;
}

export interface PropertyInfo {
  id: string;
  name: string;
  kind: "number" | "category";
  values?: string[];
  /** Evenly spaced quantiles over the whole layer, where the server knows them: then every view has the same classes. */
  quantiles?: number[];
}

export interface LayerInfo {
  id: string;
  title: string;
  /** Absolute URL. */
  tileset: string;
  region?: Region;
  features?: number;
  properties: PropertyInfo[];
}

export interface Release {
  id: string;
  name: string;
  adminCode: string;
  verticalDatum?: string;
  layers: LayerInfo[];
  /** The server takes events in and tells them. */
  live?: boolean;
  /** Rings in degrees, if the server knows the district's outline. */
  outline: [number, number][][];
}

export interface Entity {
  geid: string;
  lon?: number;
  lat?: number;
  /** Ellipsoidal height of the base, metres. */
  height?: number;
  heightM?: number;
  bbox?: { west: number; south: number; east: number; north: number };
  layer?: string;
  name?: string;
  address?: string;
  entityClass?: string;
  tile?: string;
  row?: number;
  /** Everything the server said, in its order. */
  record: Record<string, unknown>;
}

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const object = (value: unknown): Json => (isObject(value) ? value : {});
const text = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : typeof value === "number" ? String(value) : undefined;
const number = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isFinite(value) ? value : undefined;

/** [west, south, east, north (degrees), low, high (ellipsoidal metres)]. */
export function parseRegion(value: unknown): Region | undefined {
  if (!Array.isArray(value) || value.length < 6) return undefined;
  const numbers = value.slice(0, 6).map(number);
  if (numbers.some((n) => n === undefined)) return undefined;
  const [west, south, east, north, low, high] = numbers as [number, number, number, number, number, number];
  return { west, south, east, north, low, high };
}

export function parseProperty(value: unknown): PropertyInfo | undefined {
  const source = object(value);
  const id = text(source["id"]);
  if (id === undefined) return undefined;
  const values = enumValues(source["enum"] ?? source["values"]);
  const type = [source["type"], source["component_type"], source["componentType"]].map((t) => text(t) ?? "").join(" ");
  const numeric = values === undefined && /int|float|double|number|scalar/i.test(type) && !/array|string/i.test(type);
  const given = Array.isArray(source["quantiles"]) ? source["quantiles"].map(number).filter((n) => n !== undefined) : [];
  return {
    id,
    name: text(source["name"]) ?? id,
    kind: numeric ? "number" : "category",
    ...(values && { values }),
    ...(numeric && given.length > 1 && { quantiles: given }),
  };
}

function enumValues(value: unknown): string[] | undefined {
  const list = Array.isArray(value) ? value : object(value)["values"];
  if (!Array.isArray(list)) return undefined;
  return list.map((item) => text(isObject(item) ? item["name"] : item)).filter((item) => item !== undefined);
}

/** Links are resolved against the API root, so the twin works under any path prefix. */
function parseLayer(id: string, value: unknown, root: URL): LayerInfo {
  const source = object(value);
  const link = text(source["tileset_url"]) ?? text(source["url"]) ?? text(source["href"]) ?? text(source["tileset"]);
  const properties = Array.isArray(source["properties"]) ? source["properties"] : [];
  const region = parseRegion(source["region"]);
  const features = number(source["features"]);
  return {
    id,
    title: text(source["title"]) ?? id,
    tileset: tilesetUrl(id, link, root),
    properties: properties.map(parseProperty).filter((p) => p !== undefined),
    ...(region && { region }),
    ...(features !== undefined && { features }),
  };
}

function tilesetUrl(id: string, link: string | undefined, root: URL): string {
  const own = new URL(`tiles/${encodeURIComponent(id)}/tileset.json`, root).href;
  // "tileset.json" alone is the key inside the layer's store, not a link.
  if (link === undefined || !link.includes("/")) return own;
  if (link.startsWith("/") && !link.startsWith(root.pathname)) return new URL(link.slice(1), root).href;
  const url = new URL(link, root);
  // A proxy that hides its own name from the server makes it give an address nobody here can reach.
  return url.origin === root.origin ? url.href : own;
}

export function parseRelease(value: unknown, root: URL): Release {
  const source = object(value);
  const project = object(source["project"]);
  const layers = source["layers"];
  const list: [string, unknown][] = Array.isArray(layers)
    ? layers.map((layer, i) => [text(object(layer)["id"]) ?? text(object(layer)["name"]) ?? String(i), layer])
    : Object.entries(object(layers));
  const verticalDatum = text(source["vertical_datum"]);
  return {
    id: text(source["release"]) ?? text(source["id"]) ?? "",
    name: text(project["name"]) ?? text(source["project"]) ?? "",
    adminCode: text(project["admin_code"]) ?? "",
    layers: list.map(([id, layer]) => parseLayer(id, layer, root)),
    outline: parseOutline(source["outline"]),
    ...(text(source["events"]) !== undefined && { live: true }),
    ...(verticalDatum !== undefined && { verticalDatum }),
  };
}

/** The exterior and interior rings of a GeoJSON polygon, multipolygon, feature or collection. */
export function parseOutline(value: unknown): [number, number][][] {
  const source = object(value);
  const coordinates = source["coordinates"];
  switch (source["type"]) {
    case "FeatureCollection":
      return (Array.isArray(source["features"]) ? source["features"] : []).flatMap(parseOutline);
    case "Feature":
      return parseOutline(source["geometry"]);
    case "GeometryCollection":
      return (Array.isArray(source["geometries"]) ? source["geometries"] : []).flatMap(parseOutline);
    case "Polygon":
      return (coordinates as number[][][]).map(ring);
    case "MultiPolygon":
      return (coordinates as number[][][][]).flatMap((polygon) => polygon.map(ring));
    default:
      return [];
  }
}

const ring = (points: number[][]): [number, number][] => points.map((p) => [p[0] ?? NaN, p[1] ?? NaN]);

export function parseEntity(value: unknown): Entity | undefined {
  const source = object(value);
  const outer: Json = source["type"] === "Feature" ? { ...object(source["properties"]), ...pick(source, ["id", "bbox"]) } : source;
  const flat = unfold(outer);
  const geid = text(flat["geid"]) ?? text(flat["id"]);
  if (geid === undefined) return undefined;
  const strings = { layer: "layer", name: "name", address: "address", entityClass: "entity_class", tile: "tile" } as const;
  const numbers = { lon: "lon", lat: "lat", height: "height", heightM: "height_m", row: "row" } as const;
  const entity: Entity = { geid, record: flat };
  for (const [to, from] of Object.entries(strings)) {
    const found = text(flat[from]);
    if (found !== undefined) entity[to as keyof typeof strings] = found;
  }
  for (const [to, from] of Object.entries(numbers)) {
    const found = number(flat[from]);
    if (found !== undefined) entity[to as keyof typeof numbers] = found;
  }
  const bbox = parseBbox(flat);
  if (bbox) entity.bbox = bbox;
  return entity;
}

/** `provenance` and `tile` are objects in a full record and absent from a list; here they are plain fields. */
function unfold(source: Json): Json {
  const { provenance, tile, ...flat } = source;
  for (const [key, value] of Object.entries(object(provenance))) flat[key === "confidence" ? "height_confidence" : key] = value;
  if (isObject(tile)) Object.assign(flat, { tile: tile["key"], row: tile["row"] });
  else if (tile !== undefined) flat["tile"] = tile;
  return flat;
}

function parseBbox(flat: Json): Entity["bbox"] {
  const list = Array.isArray(flat["bbox"]) ? flat["bbox"] : ["west", "south", "east", "north"].map((key) => flat[key]);
  const [west, south, east, north] = (list.length === 6 ? [list[0], list[1], list[3], list[4]] : list).map(number);
  if (west === undefined || south === undefined || east === undefined || north === undefined) return undefined;
  return { west, south, east, north };
}

const pick = (source: Json, keys: string[]): Json => Object.fromEntries(keys.map((key) => [key, source[key]]));

export function parseEntities(value: unknown): Entity[] {
  const source = object(value);
  const list = Array.isArray(value)
    ? value
    : (["items", "entities", "results", "features", "matches"].map((key) => source[key]).find(Array.isArray) ?? []);
  return list.map(parseEntity).filter((entity) => entity !== undefined);
}
