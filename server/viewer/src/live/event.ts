/** One message of the living twin as the server tells it (CloudEvents 1.0), parsed once and tolerantly at the rim. */

export const SEVERITIES = ["info", "low", "medium", "high", "critical"] as const;
export const STATUSES = ["created", "accepted", "dispatched", "handled", "closed", "reopened", "observed"] as const;
export type Severity = (typeof SEVERITIES)[number];
export type Status = (typeof STATUSES)[number];

/** States in which a case still wants something done. */
const OPEN: ReadonlySet<Status> = new Set<Status>(["created", "accepted", "dispatched", "handled", "reopened"]);

export interface LiveEvent {
  /** `source` and `case`: what the message is about. */
  key: string;
  source: string;
  id: string;
  case: string;
  kind: string;
  status: Status;
  severity: Severity;
  title: string;
  /** Milliseconds since 1970. */
  occurred: number;
  recorded?: number;
  due?: number;
  /** Its place in the one order of all reports. */
  offset: number;
  /** Where it is drawn: degrees, ellipsoidal metres. */
  lon?: number;
  lat?: number;
  h?: number;
  geid?: string;
  method: string;
  confidence: number;
  distance?: number;
  address?: string;
  value?: number;
  unit?: string;
  photos: string[];
  /** What else the source said, in its order. */
  rest: Record<string, unknown>;
}

type Json = Record<string, unknown>;

const KNOWN = new Set(["case", "kind", "title", "severity", "status", "occurred", "reported", "recorded", "due", "place", "value", "unit", "link", "photos", "photo"]);

const object = (value: unknown): Json => (typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {});
const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);
const number = (value: unknown): number | undefined => {
  const found = typeof value === "string" && value !== "" ? Number(value) : value;
  return typeof found === "number" && Number.isFinite(found) ? found : undefined;
};

/** RFC 3339 text or milliseconds. */
function time(value: unknown): number | undefined {
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined;
  const found = typeof value === "string" ? Date.parse(value) : NaN;
  return Number.isNaN(found) ? undefined : found;
}

const among = <T extends string>(value: unknown, all: readonly T[]): T | undefined => all.find((one) => one === value);

/** Only addresses a browser may open: a message from outside must not run a script. */
export function photosOf(value: unknown): string[] {
  const list = Array.isArray(value) ? value : value === undefined ? [] : [value];
  const found = list.map((one) => text(one) ?? text(object(one)["url"]) ?? text(object(one)["href"]));
  return found.filter((one): one is string => one !== undefined && (/^https?:\/\//i.test(one) || /^\/[^/\\]/.test(one)));
}

/** `twin.<kind>.<status>`. */
const typed = (type: string | undefined): { kind?: string; status?: string } => {
  const match = /^twin\.(.+)\.(\w+)$/.exec(type ?? "");
  return match ? { kind: match[1] as string, status: match[2] as string } : {};
};

/** Nothing where the message has no source, no id or no offset: it could be neither told apart nor put in order. */
export function parseEvent(value: unknown): LiveEvent | undefined {
  const outer = object(value);
  const data = object(outer["data"]);
  const [link, place] = [object(data["link"]), object(data["place"])];
  const [source, id, offset] = [text(outer["source"]), text(outer["id"]), number(outer["offset"])];
  if (source === undefined || id === undefined || offset === undefined) return undefined;
  const type = typed(text(outer["type"]));
  const name = text(data["case"]) ?? id;
  const event: LiveEvent = {
    key: `${source}\n${name}`,
    source,
    id,
    case: name,
    kind: text(data["kind"]) ?? type.kind ?? "other",
    status: among(data["status"] ?? type.status, STATUSES) ?? "observed",
    severity: among(data["severity"], SEVERITIES) ?? "info",
    title: text(data["title"]) ?? name,
    occurred: time(data["occurred"]) ?? time(outer["time"]) ?? 0,
    offset,
    method: text(link["method"]) ?? "none",
    confidence: number(link["confidence"]) ?? 0,
    photos: photosOf(data["photos"] ?? data["photo"]),
    rest: Object.fromEntries(Object.entries(data).filter(([key]) => !KNOWN.has(key))),
  };
  const optional = {
    recorded: time(outer["recordedtime"] ?? data["recorded"]),
    due: time(data["due"]),
    lon: number(link["lon"]) ?? number(place["lon"]),
    lat: number(link["lat"]) ?? number(place["lat"]),
    h: number(link["h"]) ?? number(place["h"]),
    geid: text(link["geid"]),
    distance: number(link["distance_m"]),
    address: text(place["address"]),
    value: number(data["value"]),
    unit: text(data["unit"]),
  };
  for (const [key, one] of Object.entries(optional)) if (one !== undefined) Object.assign(event, { [key]: one });
  return event;
}

/** The messages of an answer, whatever it calls its list. */
export function parseEvents(value: unknown): LiveEvent[] {
  const source = object(value);
  const list = Array.isArray(value) ? value : ["events", "items", "reports", "features"].map((key) => source[key]).find(Array.isArray);
  return (list ?? (source["source"] === undefined ? [] : [value])).map(parseEvent).filter((event) => event !== undefined);
}

export const isOpen = (event: LiveEvent): boolean => OPEN.has(event.status);

/** Vehicles and patrols: where they are is all they tell, again and again. */
export const isMoving = (event: LiveEvent): boolean => event.kind === "position" || event.kind === "patrol";

export const rank = (event: LiveEvent): number => SEVERITIES.indexOf(event.severity);

/** Two reports of one case: the state is the one of the later occurrence, and the later arrival where that is the same. */
export const overtakes = (a: LiveEvent, b: LiveEvent): boolean =>
  a.occurred > b.occurred || (a.occurred === b.occurred && a.offset >= b.offset);
