/** Serves the built viewer with the mock district: `node test/mock/server.mjs [port] [prefix]`. For development and looks. */

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { makeLive } from "./live.mjs";
import { makeDistrict } from "./district.mjs";

const port = Number(process.argv[2] ?? 8765);
const prefix = (process.argv[3] ?? "").replace(/\/$/, "");
const dist = path.resolve(import.meta.dirname, process.env.DIST ?? "../../dist");
const district = makeDistrict();
const live = process.env.QUIET === "1" ? undefined : makeLive(district, Number(process.env.CASES ?? 340));
const byId = new Map(district.entities.map((e) => [e.geid.replaceAll("-", ""), e]));
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".json": "application/json", ".glb": "model/gltf-binary" };
// The policy of the real server: what breaks under it must break here.
const POLICY =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; " +
  "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' blob: data:; manifest-src 'self'; base-uri 'none'; form-action 'none'";

const property = (id, name, type, extra = {}) => ({ id, name, type, ...extra });
const RELEASE = {
  release: "3f9c2a71d0b84e65",
  ...(live && { events: "events" }),
  project: { name: "长宁区（样例）", admin_code: "310105", authority: "310105" },
  vertical_datum: "EPSG:5737",
  layers: {
    buildings: {
      title: "建筑 Buildings",
      tileset: "tileset.json",
      features: district.entities.length,
      region: district.region,
      properties: [
        property("geid", "geid", "STRING"),
        property("source_key", "source_key", "STRING"),
        property("name", "name", "STRING"),
        property("height_m", "height_m", "FLOAT32"),
        property("base_m", "base_m", "FLOAT32"),
        property("roof_m", "roof_m", "FLOAT32"),
        property("height_confidence", "height_confidence", "FLOAT32"),
        property("storeys", "storeys", "INT16"),
        property("entity_class", "entity_class", "ENUM", { enum: district.classes }),
      ],
    },
  },
};

function send(response, status, type, body, extra = {}) {
  response.writeHead(status, { "content-type": type, "content-security-policy": POLICY, ...extra });
  response.end(body);
}
const json = (response, value) => send(response, 200, "application/json", JSON.stringify(value));
const missing = (response, what) =>
  send(response, 404, "application/problem+json", JSON.stringify({ title: "Not found", status: 404, detail: `There is no ${what}.` }));

async function viewer(response, name, encodings) {
  const file = path.join(dist, path.normalize(`/${name || "index.html"}`));
  const type = TYPES[path.extname(file)] ?? "application/octet-stream";
  try {
    if (encodings.includes("br")) return send(response, 200, type, await readFile(`${file}.br`), { "content-encoding": "br" });
  } catch {
    // no variant
  }
  try {
    return send(response, 200, type, await readFile(file));
  } catch {
    return missing(response, name);
  }
}

createServer(async (request, response) => {
  const url = new URL(request.url ?? "/", "http://mock");
  if (!url.pathname.startsWith(`${prefix}/`)) return missing(response, url.pathname);
  const route = decodeURIComponent(url.pathname.slice(prefix.length));
  const query = (url.searchParams.get("q") ?? "").toLowerCase();
  if (route.startsWith("/viewer/")) return viewer(response, route.slice(8), request.headers["accept-encoding"] ?? "");
  if (route === "/release") return json(response, RELEASE);
  if (live && route === "/events/stream") return live.stream(request, response, url, { "content-security-policy": POLICY });
  if (live && /^\/indicators(\/|$)/.test(route)) return json(response, live.indicators(route.slice(12)));
  if (live && route === "/events/state") return json(response, live.state());
  if (live && route === "/events") return json(response, live.list(url));
  if (route === "/entities") {
    const bare = query.replaceAll("-", "");
    const hit = (e) => e.name.includes(query) || e.address.startsWith(query) || e.geid.replaceAll("-", "").startsWith(bare);
    return json(response, { items: district.entities.filter(hit).slice(0, Number(url.searchParams.get("limit") ?? 10)) });
  }
  if (route.startsWith("/entities/")) {
    const entity = byId.get(route.slice(10).replaceAll("-", "").toLowerCase());
    return entity ? json(response, entity) : missing(response, "such entity");
  }
  if (route.startsWith("/tiles/buildings/")) {
    const file = district.files.get(route.slice(17));
    return file ? send(response, 200, TYPES[path.extname(route)], file) : missing(response, route);
  }
  return missing(response, route);
}).listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${port}${prefix}/viewer/  (${district.entities.length} made-up buildings)`));
