/** How kinds and severities look: few colours, told apart by lightness as well as by hue. */

import { SEVERITIES, type Severity } from "./event";

export const COLOURS: Readonly<Record<Severity, string>> = {
  info: "#7d95a8",
  low: "#58b3a4",
  medium: "#e6c34a",
  high: "#ff8a3d",
  critical: "#ff4d5e",
};

export const colourOfRank = (rank: number): string => COLOURS[SEVERITIES[rank] ?? "info"];

/** 24 × 24 line drawings. */
export const GLYPHS: Readonly<Record<string, string>> = {
  work_order: "M6 4h12v16H6zM9 9h6M9 13h6M9 17h3",
  hotline: "M6 4c-1 6 3 14 12 16l2-4-5-2-2 2c-3-1-4-4-4-5l2-2-2-5z",
  alarm: "M12 4a5 5 0 0 1 5 5v5l2 3H5l2-3V9a5 5 0 0 1 5-5zM10 20h4",
  observation: "M3 13h4l3-8 4 14 3-8h4",
  position: "M12 3 19 20 12 16 5 20z",
  patrol: "M12 3 19 6v6c0 5-4 8-7 9-3-1-7-4-7-9V6z",
  incident: "M12 4 21 20H3zM12 10v4M12 17v.1",
  inspection: "M10.5 4a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13zM15.3 15.3 20 20",
  maintenance: "M10 4h4l4 16H6zM8 12h8M4 20h16",
  crowd: "M8 9a3 3 0 1 0 0-.1M16 9a3 3 0 1 0 0-.1M3 19c0-4 2-6 5-6s5 2 5 6M13 14c4-2 8 0 8 5",
  water: "M12 3c4 6 6 8 6 12a6 6 0 0 1-12 0c0-4 2-6 6-12z",
  other: "M12 6a6 6 0 1 1 0 12 6 6 0 0 1 0-12z",
};

export const glyphOf = (kind: string): string => GLYPHS[kind] ?? (GLYPHS["other"] as string);
