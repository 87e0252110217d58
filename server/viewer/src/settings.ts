/** What the query part of the address may set, read once at the start. */

export interface Settings {
  /** `?quality=low`: for machines without a graphics card. */
  low: boolean;
  /** `?sse=`: pixels a left-out feature may measure before its tile is fetched. */
  screenSpaceError: number;
}

const SSE = { high: 3, low: 8 };

export function readSettings(query: string): Settings {
  const params = new URLSearchParams(query);
  const low = params.get("quality") === "low";
  const wish = Number(params.get("sse") ?? NaN);
  const valid = Number.isFinite(wish) && wish >= 1 && wish <= 64;
  return { low, screenSpaceError: valid ? wish : low ? SSE.low : SSE.high };
}
