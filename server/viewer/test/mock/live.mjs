/** A made-up day in the made-up district: a state, a stream with resume, a life cycle for every case, indicators. */

const SOURCES = { work_order: "urn:mock:grid", hotline: "urn:mock:12345", alarm: "urn:mock:sensors", observation: "urn:mock:sensors", position: "urn:mock:vehicles", patrol: "urn:mock:patrols" };
const TITLES = {
  work_order: ["井盖缺失", "路灯不亮", "暴露垃圾", "占道经营", "护栏损坏", "树木倒伏", "道路积水"],
  hotline: ["夜间施工噪声扰民", "电梯故障无人处理", "小区停水", "违规停车堵塞通道", "楼道堆物", "外墙渗水"],
  alarm: ["河道水位超警戒", "客流超过容量", "烟感报警", "燃气浓度异常", "积水深度超限"],
  observation: ["水位监测", "噪声监测", "PM2.5 监测", "客流计数"],
};
const LIFE = ["created", "accepted", "dispatched", "handled", "closed"];
const NOTES = { created: "市民来电", accepted: "街道网格中心接单", dispatched: "派市政养护班组", handled: "现场已处置，待核查", closed: "核查通过" };
const HOUR = 3_600_000;

export function makeLive(district, count = 340) {
  let seed = 7;
  const next = () => ((seed = (seed * 1103515245 + 12345) & 0x7fffffff) / 0x7fffffff);
  const pick = (list) => list[Math.floor(next() * list.length)];
  const epoch = "mock1";
  const log = [];
  const listeners = new Set();
  const iso = (ms) => new Date(ms).toISOString();

  function add(report) {
    const offset = log.length + 1;
    const { kind, status, occurred, geid, ...data } = report;
    const event = {
      specversion: "1.0", id: `m${offset}`, source: SOURCES[kind], type: `twin.${kind}.${status}`, time: iso(occurred), offset, recordedtime: iso(occurred + 900),
      ...(geid && { subject: geid }),
      data: { ...data, status, occurred: iso(occurred), link: { geid: geid ?? null, method: geid ? data.method ?? "address" : "none", confidence: geid ? 0.93 : 0, distance_m: null, lon: data.place.lon, lat: data.place.lat, h: data.place.h } },
    };
    log.push(event);
    for (const listener of listeners) listener(event);
    return event;
  }

  const cases = [];
  function open(occurred) {
    const kind = next() < 0.5 ? "work_order" : next() < 0.75 ? "hotline" : next() < 0.7 ? "alarm" : "observation";
    const building = pick(district.entities);
    const linked = next() < 0.9;
    const place = { lon: building.lon + (linked ? 0 : (next() - 0.5) * 4e-4), lat: building.lat, h: building.height + (building.height_m ?? 0), address: building.address };
    const severity = kind === "alarm" ? (next() < 0.22 ? "critical" : "high") : next() < 0.03 ? "high" : next() < 0.35 ? "medium" : "low";
    const one = { kind, case: `${kind.slice(0, 2).toUpperCase()}-${String(20260000 + cases.length)}`, title: pick(TITLES[kind]), severity, place, geid: linked ? building.geid : undefined, method: pick(["address", "contains", "sensor", "near"]), due: iso(occurred + (2 + 20 * next()) * HOUR), step: 0, occurred };
    if (kind === "observation") Object.assign(one, { value: Math.round(400 * next()) / 100, unit: "m" });
    if (next() < 0.3) one.photos = [`https://photos.example/${cases.length}.jpg`];
    cases.push(one);
    return one;
  }
  function tell(one, occurred) {
    const { step, ...rest } = one;
    const status = one.kind === "observation" ? "observed" : LIFE[step];
    return add({ ...rest, status, occurred, note: NOTES[status] });
  }

  const start = Date.now() - 10 * HOUR;
  const events = [];
  for (let i = 0; i < count; i++) {
    const one = open(start + next() * 9.8 * HOUR);
    const steps = one.kind === "observation" ? 1 : 1 + Math.floor(next() * 4.4);
    for (let s = 0; s < steps; s++) events.push([Math.min(one.occurred + s * next() * 2 * HOUR, Date.now() - 60_000), one, s]);
  }
  events.sort((a, b) => a[0] - b[0]);
  for (const [at, one, step] of events) {
    one.step = step;
    tell(one, at);
  }

  const movers = Array.from({ length: 26 }, (_, i) => {
    const building = pick(district.entities);
    return { kind: i % 3 === 0 ? "patrol" : "position", case: `车${100 + i}`, title: i % 3 === 0 ? `巡逻组 ${i + 1}` : `养护车 沪A·${1000 + i * 37}`, severity: "info", lon: building.lon, lat: building.lat, angle: next() * 6.28 };
  });
  function drive(now) {
    for (const m of movers) {
      if (next() < 0.12) m.angle += next() < 0.5 ? 1.57 : -1.57;
      m.lon += 0.00016 * Math.cos(m.angle);
      m.lat += 0.00014 * Math.sin(m.angle);
      if (Math.abs(m.lon - 121.385) > 0.022 || Math.abs(m.lat - 31.21) > 0.02) m.angle += 3.14;
      add({ kind: m.kind, status: "observed", occurred: now, case: m.case, title: m.title, severity: "info", place: { lon: m.lon, lat: m.lat, h: null } });
    }
  }
  drive(Date.now() - 2000);

  function pulse() {
    const now = Date.now();
    if (next() < 0.5) tell(open(now), now);
    else {
      const going = cases.filter((one) => one.kind !== "observation" && one.step < LIFE.length - 1);
      const one = pick(going);
      one.step += 1;
      tell(one, now);
    }
  }
  const timers = [setInterval(pulse, 1500), setInterval(() => drive(Date.now()), 2000)];

  const state = () => {
    const latest = new Map();
    for (const event of log) latest.set(`${event.source} ${event.data.case}`, event);
    return { position: `${epoch}-${log.length}`, events: [...latest.values()] };
  };

  function stream(request, response, url, headers) {
    const after = Number((request.headers["last-event-id"] ?? url.searchParams.get("last_event_id") ?? `${epoch}-${log.length}`).split("-").pop());
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store", ...headers });
    const send = (event) => response.write(`id: ${epoch}-${event.offset}\nevent: report\ndata: ${JSON.stringify(event)}\n\n`);
    response.write(`retry: 1000\nid: ${epoch}-${after}\nevent: state\ndata: {"position":"${epoch}-${after}"}\n\n`);
    for (const event of log.slice(after)) send(event);
    listeners.add(send);
    const beat = setInterval(() => response.write(": beat\n\n"), 5000);
    request.on("close", () => {
      listeners.delete(send);
      clearInterval(beat);
    });
  }

  function list(url) {
    const query = url.searchParams;
    const [from, to] = (query.get("datetime") ?? "../..").split("/").map((t) => (t && t !== ".." ? Date.parse(t) : NaN));
    const found = log.filter((event) => {
      const at = Date.parse(event.time);
      if (query.get("case") && (event.data.case !== query.get("case") || event.source !== query.get("source"))) return false;
      return !(at < from) && !(at > to);
    });
    const begin = Number(query.get("offset") ?? 0);
    const limit = Number(query.get("limit") ?? 100);
    url.searchParams.set("offset", String(begin + limit));
    const links = begin + limit < found.length ? [{ rel: "next", href: url.pathname + url.search }] : [];
    return { events: found.slice(begin, begin + limit), links };
  }

  const SIGNS = [
    ["hotline_open_density", "每万平方米未办结诉求", "Open tickets per 10,000 m²", "people", "per 10,000 m²", 1.72, "warn"],
    ["hotline_day", "24 小时诉求量", "Hotline tickets in 24 hours", "people", "tickets", 187, "ok"],
    ["hotline_close_hours", "诉求办结用时中位数", "Median hours to close", "people", "h", 31.4, "ok"],
    ["crowd_load", "人流承载率（最高点）", "Crowd against capacity", "people", "1", 1.06, "alarm"],
    ["work_overdue_share", "工单超期率", "Overdue share of work orders", "things", "1", 0.142, "warn"],
    ["component_damage", "部件损坏数", "Components damaged", "things", "components", 46, "ok"],
    ["lamp_outage", "路灯失亮率", "Lamp outage", "things", "1", 0.021, "ok"],
    ["water_level", "水位与警戒值", "Water level against warning", "state", "1", 0.83, "ok"],
    ["noise", "夜间噪声", "Noise at night", "state", "dB(A)", 52.6, "ok"],
    ["air", "PM2.5", "PM2.5", "state", "µg/m³", null, "unknown"],
    ["patrol_cover", "巡逻力量在线率", "Patrols on line", "movement", "1", 0.92, "ok"],
    ["vehicle_speed", "车辆平均速度", "Mean speed of vehicles", "movement", "km/h", 24.8, "ok"],
  ];
  const STREETS = ["新华路街道", "江苏路街道", "华阳路街道", "周家桥街道", "天山路街道", "仙霞新村街道", "虹桥街道", "程家桥街道", "北新泾街道", "新泾镇"];
  function indicators(path) {
    const [id, part] = path.split("/");
    const one = SIGNS.find((sign) => sign[0] === id);
    if (!id) return { indicators: SIGNS.map(([id, zh, en, dimension, unit, value, state], i) => ({ id, name: { zh, en }, dimension, unit, better: "lower", reading: { value, state, coverage: value === null ? 0.2 : i % 3 ? 1 : 0.87, anomaly: { flag: id === "crowd_load" } } })) };
    if (part === "ranking") return { ranking: STREETS.map((name, i) => ({ rank: i + 1, area: `area${i}`, area_name: name, coverage: 1, value: i === 9 ? null : (one[5] ?? 1) * (1.6 - 0.13 * i), state: i === 9 ? "unknown" : i < 2 ? "alarm" : i < 4 ? "warn" : "ok" })) };
    return { points: Array.from({ length: 48 }, (_, i) => ({ datetime: iso(Date.now() - (48 - i) * 1800_000), value: one[5] === null ? null : one[5] * (0.8 + 0.25 * Math.sin(i / 5 + one[5]) + 0.05 * Math.sin(i * 1.7)), state: "ok" })) };
  }

  return { indicators, state, stream, list, add, tell, open, close: () => timers.forEach(clearInterval) };
}
