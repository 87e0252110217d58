/** The server's endpoints as functions; every failure becomes one `ApiError` a person can read. */

import { parseEntities, parseEntity, parseRelease, type Entity, type Release } from "./model";

export type ApiFailure = "offline" | "not-found" | "refused" | "broken";

export class ApiError extends Error {
  constructor(
    readonly failure: ApiFailure,
    message: string,
    readonly status?: number,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

type Fetch = (url: string, init?: RequestInit) => Promise<Response>;

export class Api {
  constructor(
    readonly root: URL,
    private readonly fetch: Fetch = (url, init) => window.fetch(url, init),
  ) {}

  async release(): Promise<Release> {
    return parseRelease(await this.get("release"), this.root);
  }

  async search(query: string, limit: number, signal?: AbortSignal): Promise<Entity[]> {
    return parseEntities(await this.get("entities", { q: query, limit: String(limit) }, signal));
  }

  async entity(id: string, signal?: AbortSignal): Promise<Entity> {
    const entity = parseEntity(await this.get(`entities/${encodeURIComponent(id)}`, {}, signal));
    if (!entity) throw new ApiError("broken", `the server's answer about ${id} has no geid`);
    return entity;
  }

  async resolve(lon: number, lat: number, h: number | undefined, signal?: AbortSignal): Promise<Entity[]> {
    const query: Record<string, string> = { lon: lon.toFixed(8), lat: lat.toFixed(8) };
    if (h !== undefined) query["h"] = h.toFixed(2);
    return parseEntities(await this.get("resolve", query, signal));
  }

  private async get(path: string, query: Record<string, string> = {}, signal?: AbortSignal): Promise<unknown> {
    const url = new URL(path, this.root);
    for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
    const response = await this.request(url, signal);
    if (!response.ok) throw await failure(response);
    try {
      return (await response.json()) as unknown;
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new ApiError("broken", "the answer is not JSON", response.status);
    }
  }

  private async request(url: URL, signal?: AbortSignal): Promise<Response> {
    try {
      return await this.fetch(url.href, { headers: { accept: "application/json" }, ...(signal && { signal }) });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new ApiError("offline", error instanceof Error ? error.message : String(error));
    }
  }
}

/** RFC 9457 problem details where the server sends them, else the bare status. */
async function failure(response: Response): Promise<ApiError> {
  const kind: ApiFailure =
    response.status === 404 || response.status === 410 ? "not-found" : response.status < 500 ? "refused" : "broken";
  let message = `${response.status} ${response.statusText}`.trim();
  try {
    const problem = (await response.json()) as { detail?: unknown; title?: unknown };
    const said = [problem.detail, problem.title].find((part) => typeof part === "string" && part !== "");
    if (said !== undefined) message = said as string;
  } catch {
    // Not every proxy speaks problem+json; the status line stands.
  }
  return new ApiError(kind, message, response.status);
}

export const isAbort = (error: unknown): boolean => error instanceof Error && error.name === "AbortError";

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
