/** Sorts what is known of an entity into the panel's groups, and compares what the tile says with the registry. */

export interface Field {
  id: string;
  value: unknown;
}

export interface Sheet {
  measures: Field[];
  provenance: Field[];
  attributes: Field[];
  reasons: string[];
}

const MEASURES = ["height_m", "storeys", "base_m", "roof_m", "min_height_m", "area_m2", "height"];
const PROVENANCE = [
  "height_source",
  "height_confidence",
  "ground_source",
  "source",
  "source_key",
  "lod",
  "outcome",
  "layer",
  "parent",
  "aliases",
  "first_seen",
  "last_seen",
];
/** Shown elsewhere, or of no use to a reader. */
const HIDDEN = new Set([
  ..."geid id name address entity_class reasons geometry tile row lon lat west south east north bbox links href".split(" "),
  ..."release type tileset tile_url".split(" "),
]);
const WRAPPERS = new Set(["attributes", "attr", "properties"]);

const present = (value: unknown): boolean =>
  value !== undefined && value !== null && value !== "" && !(Array.isArray(value) && value.length === 0);

/** Flattens `attr.x` columns and an `attributes` object into plain names. */
export function flatten(record: Readonly<Record<string, unknown>>): Map<string, unknown> {
  const fields = new Map<string, unknown>();
  for (const [key, value] of Object.entries(record)) {
    if (WRAPPERS.has(key) && typeof value === "object" && value !== null && !Array.isArray(value))
      for (const [inner, innerValue] of Object.entries(value)) fields.set(inner, innerValue);
    else fields.set(key.replace(/^attr\./, ""), value);
  }
  return fields;
}

/** `tile` holds what the clicked tile says, `record` what the registry says; the registry comes first. */
export function sheetOf(tile: Readonly<Record<string, unknown>>, record: Readonly<Record<string, unknown>>): Sheet {
  const fields = new Map([...flatten(tile), ...[...flatten(record)].filter(([, value]) => present(value))]);
  const group = (ids: readonly string[]): Field[] =>
    ids.filter((id) => present(fields.get(id))).map((id) => ({ id, value: fields.get(id) }));
  const grouped = new Set([...MEASURES, ...PROVENANCE]);
  const attributes = [...fields]
    .filter(([id, value]) => !grouped.has(id) && !HIDDEN.has(id) && !id.startsWith("_") && present(value))
    .map(([id, value]) => ({ id, value }));
  const reasons = fields.get("reasons");
  return {
    measures: group(MEASURES),
    provenance: group(PROVENANCE),
    attributes,
    reasons: Array.isArray(reasons) ? reasons.map(String) : [],
  };
}

const KNOWN = new Set([...MEASURES, ...PROVENANCE, ...HIDDEN]);

/** Tiles name attributes by ASCII ids, the registry by the source's own names; this gives a tile's the latter. */
export function named(tile: Readonly<Record<string, unknown>>, nameOf: (id: string) => string | undefined): Record<string, unknown> {
  return Object.fromEntries(Object.entries(tile).map(([id, value]) => [KNOWN.has(id) ? id : (nameOf(id) ?? id), value]));
}

const COMPARED = ["source_key", "name", "entity_class", "height_m", "base_m", "roof_m", "storeys", "height_source"];

/** Fields in which tile and registry say different things. Tiles hold 32-bit floats, so numbers get that much room. */
export function disagreements(tile: Readonly<Record<string, unknown>>, record: Readonly<Record<string, unknown>>): string[] {
  return COMPARED.filter((id) => present(tile[id]) && present(record[id]) && !agree(tile[id], record[id]));
}

function agree(a: unknown, b: unknown): boolean {
  const [x, y] = [Number(a), Number(b)];
  if (!Number.isNaN(x) && !Number.isNaN(y)) return Math.abs(x - y) <= 0.006 + 1e-6 * Math.max(Math.abs(x), Math.abs(y));
  return String(a) === String(b);
}
