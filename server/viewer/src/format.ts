/** Numbers, coordinates and identifiers as people read them. */

/** Groups of four (`7k3m-z9q2-4hdx-p1w8`), whatever came in; text that is no geid is left as it is. */
export function groupGeid(geid: string): string {
  const bare = geid.replace(/[-\s]/g, "").toLowerCase();
  return /^[0-9a-z]{16}$/.test(bare) ? (bare.match(/.{4}/g) ?? []).join("-") : geid;
}

export const sameGeid = (a: string, b: string): boolean => groupGeid(a) === groupGeid(b);

export function degrees(value: number, axis: "lon" | "lat"): string {
  const hemisphere = axis === "lon" ? (value < 0 ? "W" : "E") : value < 0 ? "S" : "N";
  return `${Math.abs(value).toFixed(6)}° ${hemisphere}`;
}

export const metres = (value: number, digits = 1): string => `${trimMinusZero(value.toFixed(digits))} m`;

const trimMinusZero = (text: string): string => (/^-0(\.0*)?$/.test(text) ? text.slice(1) : text);

/** A number without the noise of a 32-bit float: at most three decimals. */
export function plainNumber(value: number): string {
  if (!Number.isFinite(value)) return "—";
  if (Number.isInteger(value)) return String(value);
  return String(Number(value.toFixed(Math.abs(value) < 1 ? 4 : 3)));
}

export function attributeText(value: unknown): string {
  if (value === undefined || value === null || value === "") return "—";
  if (typeof value === "number") return plainNumber(value);
  if (typeof value === "bigint" || typeof value === "boolean") return String(value);
  if (Array.isArray(value)) return value.length === 0 ? "—" : value.map(attributeText).join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** The longest of 1, 2, 5 × 10ⁿ metres that fits `pixels` at `metresPerPixel`. */
export function scaleBar(metresPerPixel: number, pixels: number): { metres: number; pixels: number; label: string } {
  const room = metresPerPixel * pixels;
  const magnitude = 10 ** Math.floor(Math.log10(room));
  const step = [5, 2, 1].find((s) => s * magnitude <= room * (1 + 1e-9)) ?? 1;
  const length = step * magnitude;
  const label = length >= 1000 ? `${plainNumber(length / 1000)} km` : `${plainNumber(length)} m`;
  return { metres: length, pixels: length / metresPerPixel, label };
}
