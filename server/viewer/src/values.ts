/** What the codes in the data mean, in both languages. A code that is not here is shown as it is. */

type Meaning = Readonly<{ en: string; zh: string }>;

export const VALUES: Readonly<Record<string, Readonly<Record<string, Meaning>>>> = {
  vertical_datum: {
    "EPSG:5737": { en: "H85", zh: "1985国家高程基准" },
    H85: { en: "H85", zh: "1985国家高程基准" },
    "EPSG:5736": { en: "Yellow Sea 1956", zh: "1956黄海高程系" },
    ellipsoid: { en: "ellipsoidal", zh: "椭球高" },
  },
  entity_class: {
    Building: { en: "Building", zh: "建筑" },
    BuildingPart: { en: "Building part", zh: "建筑部分" },
    AdministrativeArea: { en: "Administrative area", zh: "行政区域" },
  },
  event_kind: {
    work_order: { en: "Work order", zh: "工单" },
    hotline: { en: "Hotline", zh: "12345 热线" },
    alarm: { en: "Alarm", zh: "告警" },
    incident: { en: "Incident", zh: "突发事件" },
    inspection: { en: "Inspection", zh: "巡查发现" },
    maintenance: { en: "Maintenance", zh: "养护作业" },
    observation: { en: "Observation", zh: "监测值" },
    position: { en: "Position", zh: "位置" },
    patrol: { en: "Patrol", zh: "巡逻力量" },
    other: { en: "Other", zh: "其他" },
  },
  event_status: {
    created: { en: "created", zh: "已受理" },
    accepted: { en: "accepted", zh: "已接单" },
    dispatched: { en: "dispatched", zh: "已派单" },
    handled: { en: "handled", zh: "已处置" },
    closed: { en: "closed", zh: "已办结" },
    reopened: { en: "reopened", zh: "重新打开" },
    observed: { en: "observed", zh: "监测" },
  },
  event_severity: {
    info: { en: "Info", zh: "提示" },
    low: { en: "Low", zh: "低" },
    medium: { en: "Medium", zh: "中" },
    high: { en: "High", zh: "高" },
    critical: { en: "Critical", zh: "严重" },
  },
  link_method: {
    person: { en: "a person", zh: "人工" },
    geid: { en: "identifier", zh: "标识码" },
    alias: { en: "code", zh: "编码" },
    sensor: { en: "sensor table", zh: "传感器表" },
    learnt: { en: "learnt", zh: "已学习" },
    address: { en: "address", zh: "地址" },
    contains: { en: "position inside", zh: "位置落入" },
    near: { en: "nearest to position", zh: "位置最近" },
    none: { en: "not linked", zh: "未关联" },
  },
  outcome: {
    built: { en: "built", zh: "已建模" },
    fallback: { en: "built with fallback", zh: "降级建模" },
    skipped: { en: "skipped", zh: "已跳过" },
    failed: { en: "failed", zh: "失败" },
  },
  lod: {
    "0": { en: "LoD0, flat footprint", zh: "LoD0 平面轮廓" },
    "1.2": { en: "LoD1.2, block", zh: "LoD1.2 体块" },
  },
  height_source: {
    storeys: { en: "storeys × storey height", zh: "层数 × 层高" },
    dsm: { en: "surface model (DSM)", zh: "数字表面模型" },
  },
  ground_source: {
    dem: { en: "terrain model (DEM)", zh: "数字高程模型" },
    constant: { en: "stated constant", zh: "给定常数" },
  },
  reasons: {
    geometry_missing: { en: "no geometry", zh: "没有几何" },
    geometry_empty: { en: "empty geometry", zh: "几何为空" },
    geometry_type: { en: "not a surface", zh: "不是面要素" },
    geometry_degenerate: { en: "polygon without area", zh: "面积为零" },
    geometry_not_finite: { en: "a coordinate is not a number", zh: "坐标无效" },
    geometry_unrepairable: { en: "invalid and not repairable", zh: "图形无效且无法修复" },
    geometry_repaired: { en: "invalid polygon, repaired", zh: "图形无效，已修复" },
    geometry_read_failed: { en: "damaged record", zh: "记录损坏" },
    id_missing: { en: "no source id; identified by its geometry", zh: "没有来源编号，按几何识别" },
    id_duplicate: { en: "the same id came before", zh: "编号重复" },
    id_joined: { en: "pieces with one id were joined", zh: "同一编号的各部分已合并" },
    outline_of_parts: { en: "outline of building parts; not drawn", zh: "建筑各部分的外轮廓，不绘制" },
    height_missing: { en: "no rule gave a height; drawn flat", zh: "没有高度，按平面绘制" },
    height_invalid: { en: "height not usable; drawn flat", zh: "高度无效，按平面绘制" },
    ground_missing: { en: "no ground elevation", zh: "没有地面高程" },
    ground_outside_raster: { en: "outside the terrain model", zh: "超出高程模型范围" },
    raster_partly_covers: { en: "partly without raster data; heights rest on the rest", zh: "部分范围没有栅格数据，高度取自其余部分" },
    min_height_invalid: { en: "lower height ignored", zh: "底面高度无效，已忽略" },
    attribute_unreadable: { en: "an attribute could not be decoded", zh: "有属性无法解码" },
    mesh_failed: { en: "no closed solid could be made", zh: "无法生成封闭体" },
  },
};

const ATTRIBUTE = /^attribute:(.+)$/;

export function meaning(field: string, value: string, language: "en" | "zh"): string {
  const known = Object.hasOwn(VALUES, field) ? VALUES[field] : undefined;
  if (known && Object.hasOwn(known, value)) return known[value]?.[language] ?? value;
  const attribute = field === "height_source" || field === "ground_source" ? ATTRIBUTE.exec(value)?.[1] : undefined;
  if (attribute === undefined) return value;
  return language === "zh" ? `属性 ${attribute}` : `attribute ${attribute}`;
}
