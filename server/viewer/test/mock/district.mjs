/** A made-up district of street blocks, the same at every start: for looking at the viewer without a build. */

import { boxesToGlb } from "./glb.mjs";

const CLASSES = ["住宅", "商业", "办公", "工业", "学校", "医院"];
const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
const ROADS = ["天山路", "仙霞路", "虹桥路", "延安西路", "长宁路", "愚园路"];
export const CENTRE = { lon: 121.385, lat: 31.21, height: 14.9 };
const HALF_M = 2400;
const A = 6378137;
const E2 = 0.00669437999014;

function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function buildings() {
  const next = random(310105);
  const found = [];
  const block = 160;
  for (let bx = -HALF_M; bx < HALF_M; bx += block) {
    for (let by = -HALF_M; by < HALF_M; by += block) {
      const creek = Math.abs(by - 500 - 260 * Math.sin(bx / 700)) < 90;
      if (creek || next() < 0.06) continue;
      const centre = Math.exp(-((bx - 600) ** 2 + (by + 300) ** 2) / 900 ** 2);
      const kind = next() < centre ? "tower" : next() < 0.5 ? "slab" : "lane";
      const [nx, ny] = kind === "tower" ? [2, 2] : kind === "slab" ? [2, 6] : [5, 7];
      for (let i = 0; i < nx; i++) {
        for (let j = 0; j < ny; j++) {
          if (next() < 0.1) continue;
          const [w, d] = [(block - 34) / nx, (block - 34) / ny];
          const [fx, fy] = kind === "tower" ? [0.42 + 0.25 * next(), 0.42 + 0.25 * next()] : [0.86, 0.5 + 0.15 * next()];
          const x0 = bx + 17 + i * w + (w * (1 - fx)) / 2;
          const y0 = by + 17 + j * d + (d * (1 - fy)) / 2;
          const storeys = kind === "tower" ? 12 + Math.floor(centre * 38 * next()) : kind === "slab" ? 5 + Math.floor(next() * 3) : 2 + Math.floor(next() * 2);
          found.push(building(found.length, { x0, x1: x0 + w * fx, y0, y1: y0 + d * fy }, storeys, kind, next));
        }
      }
    }
  }
  return found;
}

function building(i, box, storeys, kind, next) {
  const id = Array.from({ length: 16 }, () => ALPHABET[Math.floor(next() * 32)]).join("");
  const missing = next() < 0.02;
  const height = missing ? undefined : Math.round(storeys * 30 + next() * 20) / 10;
  const road = ROADS[Math.floor(next() * ROADS.length)];
  const entity_class = kind === "tower" ? (next() < 0.6 ? "办公" : "商业") : next() < 0.86 ? "住宅" : CLASSES[3 + Math.floor(next() * 3)];
  return {
    ...box,
    geid: id.match(/.{4}/g).join("-"),
    source_key: String(100000 + i),
    name: kind === "tower" ? `${road.slice(0, 2)}大厦${i}` : "",
    address: `${road}${1 + Math.floor(next() * 1800)}号`,
    entity_class,
    storeys: missing ? undefined : storeys,
    height_m: height,
    base_m: 4,
    roof_m: height === undefined ? undefined : 4 + height,
    base: 0,
    top: height ?? 0.2,
    height_source: missing ? undefined : "storeys",
    height_confidence: missing ? undefined : 0.6,
    reasons: missing ? ["height_missing"] : [],
  };
}

function lonlat(x, y) {
  const phi = (CENTRE.lat * Math.PI) / 180;
  const w = Math.sqrt(1 - E2 * Math.sin(phi) ** 2);
  const lon = CENTRE.lon + ((x / ((A / w) * Math.cos(phi))) * 180) / Math.PI;
  const lat = CENTRE.lat + ((y / ((A * (1 - E2)) / w ** 3)) * 180) / Math.PI;
  return [lon, lat];
}

/** East-north-up to Earth-fixed at the centre, column-major. */
function transform() {
  const [l, p] = [(CENTRE.lon * Math.PI) / 180, (CENTRE.lat * Math.PI) / 180];
  const n = A / Math.sqrt(1 - E2 * Math.sin(p) ** 2);
  const h = CENTRE.height;
  return [
    -Math.sin(l), Math.cos(l), 0, 0,
    -Math.sin(p) * Math.cos(l), -Math.sin(p) * Math.sin(l), Math.cos(p), 0,
    Math.cos(p) * Math.cos(l), Math.cos(p) * Math.sin(l), Math.sin(p), 0,
    (n + h) * Math.cos(p) * Math.cos(l), (n + h) * Math.cos(p) * Math.sin(l), (n * (1 - E2) + h) * Math.sin(p), 1,
  ];
}

/** The largest features stand in the root, the others in four quadrants of four each. */
export function makeDistrict() {
  const all = buildings();
  const size = (b) => Math.hypot(b.x1 - b.x0, b.y1 - b.y0, b.top);
  const sorted = [...all].sort((a, b) => size(b) - size(a));
  const files = new Map();
  const node = (list, depth, key) => {
    const keep = depth === 2 ? list : list.slice(0, 500);
    const rest = list.slice(keep.length);
    keep.forEach((b, row) => Object.assign(b, { tile: `c/${key}.glb`, row }));
    files.set(`c/${key}.glb`, boxesToGlb(keep, CLASSES));
    const cx = (Math.min(...list.map((b) => b.x0)) + Math.max(...list.map((b) => b.x1))) / 2;
    const cy = (Math.min(...list.map((b) => b.y0)) + Math.max(...list.map((b) => b.y1))) / 2;
    const quadrant = (q) => rest.filter((b) => (b.x0 + b.x1 > 2 * cx ? 1 : 0) + (b.y0 + b.y1 > 2 * cy ? 2 : 0) === q);
    const children = [0, 1, 2, 3].map(quadrant).map((part, q) => (part.length ? node(part, depth + 1, `${key}${q}`) : undefined));
    return {
      boundingVolume: { box: boxOf(list) },
      geometricError: rest.length ? size(rest[0]) : 0,
      refine: "ADD",
      content: { uri: `c/${key}.glb` },
      children: children.filter(Boolean),
    };
  };
  const root = node(sorted, 0, "r");
  files.set(
    "tileset.json",
    Buffer.from(JSON.stringify({ asset: { version: "1.1" }, geometricError: size(sorted[0]), root: { ...root, transform: transform() } })),
  );
  const corner = [lonlat(-HALF_M, -HALF_M), lonlat(HALF_M, HALF_M)];
  const entities = all.map((b) => record(b));
  return { files, entities, region: [...corner[0], ...corner[1], CENTRE.height - 1, CENTRE.height + 160], classes: CLASSES };
}

function boxOf(list) {
  const low = [Math.min(...list.map((b) => b.x0)), Math.min(...list.map((b) => b.y0)), -1];
  const high = [Math.max(...list.map((b) => b.x1)), Math.max(...list.map((b) => b.y1)), Math.max(...list.map((b) => b.top))];
  const half = low.map((l, i) => (high[i] - l) / 2);
  return [...low.map((l, i) => l + half[i]), half[0], 0, 0, 0, half[1], 0, 0, 0, half[2]];
}

function record(b) {
  const [lon, lat] = lonlat((b.x0 + b.x1) / 2, (b.y0 + b.y1) / 2);
  const [west, south] = lonlat(b.x0, b.y0);
  const [east, north] = lonlat(b.x1, b.y1);
  const { x0, x1, y0, y1, base, top, ...rest } = b;
  return {
    ...rest, layer: "buildings", source: "survey", parent: null, lon, lat, height: CENTRE.height, west, south, east, north,
    ground_source: "constant", lod: b.height_m === undefined ? "0" : "1.2", outcome: b.height_m === undefined ? "fallback" : "built",
    attributes: { STRUCT: "砖混", YEAR: 1978 + (b.row % 40) },
  };
}
