/** The endpoints of the living twin; a key, where the server wants one, goes with every question. */

import { ApiError } from "../api";
import { parseEvents, type LiveEvent } from "./event";

const KEY = "twin.key";
const PAGE = 2000;
const MOST_PAGES = 100;
/** Reports of one day that are read at most. */
export const MOST = 20_000;

export class LiveApi {
  /** Told when the server refuses for want of a key. */
  onRefused: () => void = () => undefined;
  private key = sessionStorage.getItem(KEY) ?? undefined;

  constructor(readonly root: URL) {}

  useKey(key: string): void {
    this.key = key;
    sessionStorage.setItem(KEY, key);
  }

  readonly fetch = async (url: string, init: RequestInit = {}): Promise<Response> => {
    const headers = new Headers(init.headers);
    if (this.key !== undefined) headers.set("authorization", `Bearer ${this.key}`);
    const response = await window.fetch(url, { ...init, headers });
    if (response.status === 401) this.onRefused();
    return response;
  };

  /** Every report of a case, the first one first. */
  async case(source: string, name: string): Promise<LiveEvent[]> {
    const found = await this.pages("events", { source, case: name }, 500);
    return found.sort((a, b) => a.occurred - b.occurred || a.offset - b.offset);
  }

  /** What occurred in a span of time, in the order of occurrence. */
  async between(begin: number, end: number, signal: AbortSignal): Promise<LiveEvent[]> {
    const datetime = `${new Date(begin).toISOString()}/${new Date(end - 1).toISOString()}`;
    const found = await this.pages("events", { datetime }, MOST, signal);
    return found.sort((a, b) => a.occurred - b.occurred || a.offset - b.offset);
  }

  /** What was the case at a moment, as it was known then. */
  async stateAt(time: number, signal: AbortSignal): Promise<LiveEvent[]> {
    return parseEvents(await this.get(this.url("events/state", { "as-of": new Date(time).toISOString(), open: "true" }), signal));
  }

  async json(path: string, query: Record<string, string> = {}, signal?: AbortSignal): Promise<unknown> {
    return this.get(this.url(path, query), signal);
  }

  /** A list to its end, or to as many as wanted. */
  async pages(path: string, query: Record<string, string>, most: number, signal?: AbortSignal): Promise<LiveEvent[]> {
    const found: LiveEvent[] = [];
    let url: URL | undefined = this.url(path, { ...query, limit: String(Math.min(PAGE, most)) });
    // A page may be empty and still have a next one.
    for (let pages = 0; url && found.length < most && pages < MOST_PAGES; pages++) {
      const page: unknown = await this.get(url, signal);
      found.push(...parseEvents(page));
      url = this.next(page, url);
    }
    return found.slice(0, most);
  }

  private next(page: unknown, from: URL): URL | undefined {
    const links = (page as { links?: unknown }).links;
    const next = Array.isArray(links) ? (links as { rel?: string; href?: string }[]).find((link) => link.rel === "next") : undefined;
    return next?.href === undefined ? undefined : new URL(next.href, from);
  }

  private url(path: string, query: Record<string, string>): URL {
    const url = new URL(path, this.root);
    for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
    return url;
  }

  private async get(url: URL, signal?: AbortSignal): Promise<unknown> {
    const response = await this.fetch(url.href, { headers: { accept: "application/json" }, ...(signal && { signal }) });
    if (response.ok) return (await response.json()) as unknown;
    let message = `${response.status} ${response.statusText}`.trim();
    try {
      const problem = (await response.json()) as { detail?: unknown };
      if (typeof problem.detail === "string") message = problem.detail;
    } catch {
      // Not every proxy speaks problem+json; the status line stands.
    }
    throw new ApiError(response.status === 404 ? "not-found" : "refused", message, response.status);
  }
}
