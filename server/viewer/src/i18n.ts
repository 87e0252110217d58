/** Every word of the interface in Chinese and English; a key missing in one of them does not compile. */

import { liveEn, liveZh } from "./live/words";
import { meaning } from "./values";

const en = {
  title: "District twin",
  release: "Release",
  search: "Search",
  searchHint: "Name, address or identifier",
  searchNone: "Nothing found for “{query}”",
  searchSome: "{count} found",
  searchFailed: "The search failed: {message}",
  layers: "Layers",
  colourBy: "Colour by",
  legend: "Legend",
  missing: "no value",
  other: "other values",
  below: "below {to}",
  above: "{from} and more",
  between: "{from} – {to}",
  plain: "nothing",
  waiting: "waiting for values …",
  features: "{count} features",
  shadows: "Shadows",
  edges: "Building edges",
  identifier: "Identifier",
  copy: "Copy",
  copied: "Copied",
  copyFailed: "Copying was refused by the browser",
  flyTo: "Fly to",
  share: "Copy link",
  shared: "Link copied",
  close: "Close",
  attributes: "Attributes",
  measures: "Measures",
  provenance: "Provenance",
  position: "Position",
  reasons: "Remarks",
  loadingRecord: "Asking the registry …",
  recordFailed: "The registry did not answer: {message}",
  recordMissing: "The registry does not know this identifier",
  mismatch: "Tile and registry disagree: {fields}",
  notLoaded: "Its tile is not loaded yet",
  unnamed: "Unnamed building",
  home: "Whole district (H)",
  zoomIn: "Closer (+)",
  zoomOut: "Further (−)",
  north: "Face north (N)",
  tilt: "From above / oblique (T)",
  loading: "Loading …",
  loadingTiles: "{count} tiles to come",
  complete: "View complete",
  ellipsoidal: "ellipsoidal",
  noSurface: "no ground here",
  noTiles: "Layer “{layer}” could not be loaded: {message}",
  tileFailed: "A tile could not be loaded: {message}",
  startFailed: "The twin could not be opened",
  offline: "The server does not answer",
  retry: "Try again",
  noWebgl: "This browser has no WebGL 2; the map cannot be drawn",
  nothingHere: "Nothing stands here",
  notFound: "Not found: {id}",
  language: "Language",
  keys: "Keyboard",
  keysText: "/ search · Esc close · H whole district · N north · T tilt · + − zoom · arrows move · ? this help",
  mapLabel: "3D map of {name}. Arrow keys move, plus and minus zoom.",
  menu: "Layers and colours",
  scaleLabel: "Scale",
  ground: "Ground grid 100 m / 1 km",
  geid: "Identifier",
  name: "Name",
  address: "Address",
  entity_class: "Class",
  layer: "Layer",
  height_m: "Height",
  base_m: "Ground elevation",
  roof_m: "Roof elevation",
  storeys: "Storeys",
  height_source: "Height from",
  height_confidence: "Height confidence",
  ground_source: "Ground from",
  source: "Source dataset",
  source_key: "Source key",
  lod: "Level of detail",
  outcome: "Outcome",
  parent: "Part of",
  min_height_m: "Lower edge",
  area_m2: "Footprint area",
  first_seen: "First seen",
  last_seen: "Last seen",
  aliases: "Also known as",
  height: "Base, ellipsoidal",
  ...liveEn,
};

export type Key = keyof typeof en;
export type Language = "en" | "zh";

const zh: Record<Key, string> = {
  title: "城区三维孪生",
  release: "版本",
  search: "搜索",
  searchHint: "名称、地址或标识码",
  searchNone: "没有找到“{query}”",
  searchSome: "找到 {count} 项",
  searchFailed: "搜索失败：{message}",
  layers: "图层",
  colourBy: "着色依据",
  legend: "图例",
  missing: "无数据",
  other: "其他",
  below: "{to} 以下",
  above: "{from} 及以上",
  between: "{from} – {to}",
  plain: "不着色",
  waiting: "正在读取数值……",
  features: "{count} 个要素",
  shadows: "阴影",
  edges: "建筑轮廓线",
  identifier: "标识码",
  copy: "复制",
  copied: "已复制",
  copyFailed: "浏览器拒绝复制",
  flyTo: "飞到此处",
  share: "复制链接",
  shared: "链接已复制",
  close: "关闭",
  attributes: "属性",
  measures: "量测",
  provenance: "数据来源",
  position: "位置",
  reasons: "备注",
  loadingRecord: "正在查询登记库……",
  recordFailed: "登记库没有应答：{message}",
  recordMissing: "登记库中没有此标识码",
  mismatch: "瓦片与登记库不一致：{fields}",
  notLoaded: "所在瓦片尚未加载",
  unnamed: "未命名建筑",
  home: "全区视图（H）",
  zoomIn: "放大（+）",
  zoomOut: "缩小（−）",
  north: "正北朝上（N）",
  tilt: "俯视 / 斜视（T）",
  loading: "正在加载……",
  loadingTiles: "还有 {count} 个瓦片",
  complete: "视图已完整",
  ellipsoidal: "椭球高",
  noSurface: "此处没有地面",
  noTiles: "图层“{layer}”无法加载：{message}",
  tileFailed: "有瓦片无法加载：{message}",
  startFailed: "无法打开孪生系统",
  offline: "服务器没有应答",
  retry: "重试",
  noWebgl: "此浏览器不支持 WebGL 2，无法绘制地图",
  nothingHere: "此处没有要素",
  notFound: "没有找到：{id}",
  language: "语言",
  keys: "键盘操作",
  keysText: "/ 搜索 · Esc 关闭 · H 全区 · N 正北 · T 倾斜 · + − 缩放 · 方向键平移 · ? 本帮助",
  mapLabel: "{name}三维地图。方向键平移，加减键缩放。",
  menu: "图层与着色",
  scaleLabel: "比例尺",
  ground: "地面格网 100 米 / 1 千米",
  geid: "标识码",
  name: "名称",
  address: "地址",
  entity_class: "类别",
  layer: "图层",
  height_m: "高度",
  base_m: "地面高程",
  roof_m: "屋顶高程",
  storeys: "层数",
  height_source: "高度来源",
  height_confidence: "高度可信度",
  ground_source: "地面来源",
  source: "来源数据集",
  source_key: "来源编号",
  lod: "细节层次",
  outcome: "处理结果",
  parent: "所属",
  min_height_m: "底面高度",
  area_m2: "占地面积",
  first_seen: "首次出现",
  last_seen: "最近出现",
  aliases: "其他编码",
  height: "底面椭球高",
  ...liveZh,
};

const dictionaries: Record<Language, Record<Key, string>> = { en, zh };
export const LANGUAGES: { id: Language; label: string }[] = [
  { id: "zh", label: "中文" },
  { id: "en", label: "EN" },
];

export const isKey = (key: string): key is Key => Object.hasOwn(en, key);

export function languageOf(wish: string | undefined, browser: readonly string[]): Language {
  if (wish === "zh" || wish === "en") return wish;
  const first = browser.find((tag) => /^(zh|en)\b/i.test(tag));
  return first?.toLowerCase().startsWith("zh") ? "zh" : "en";
}

/** Fills `{name}` places; a value that itself holds braces is left alone. */
export function fill(template: string, values: Readonly<Record<string, string | number>> = {}): string {
  return template.replace(/\{(\w+)\}/g, (place, name: string) => (name in values ? String(values[name]) : place));
}

export class Words {
  private readonly listeners: (() => void)[] = [];

  constructor(private current: Language) {}

  get language(): Language {
    return this.current;
  }

  set language(language: Language) {
    if (language === this.current) return;
    this.current = language;
    for (const listener of this.listeners) listener();
  }

  say(key: Key, values?: Readonly<Record<string, string | number>>): string {
    return fill(dictionaries[this.current][key], values);
  }

  /** A property's label: the house's word where there is one, else the name from the data. */
  label(id: string, name?: string): string {
    return isKey(id) ? this.say(id) : (name ?? id);
  }

  /** What a code in a field means; anything unknown stays as it is. */
  value(field: string, value: string): string {
    return meaning(field, value, this.current);
  }

  /** Runs `paint` now and after every change of language. */
  bind(paint: () => void): void {
    this.listeners.push(paint);
    paint();
  }
}

export const dictionariesForTests = dictionaries;
