/**
 * Keeps the book in step with the server: the state once, then every report after it. A broken connection is taken up
 * where it broke; a gap the server cannot fill is told by `resync` and closed by reading the state again.
 */

import { parseEvents, type LiveEvent } from "./event";
import { readStream, StreamRefused, type Message } from "./sse";

/** `closed`: not begun or stopped; `stale`: what is shown may be out of date. */
export type FeedState = "closed" | "connecting" | "live" | "stale";

/** Reports are handed over in bunches: a burst costs one repaint. */
const BUNCH_MS = 200;
/** The server says something every 15 s; a connection silent for this long is dead. */
const SILENCE_MS = 40_000;
const MOST_CASES = 20_000;
const PAUSE_MS = { least: 500, most: 20_000 };

export interface FeedOptions {
  /** Everything stands below this address. */
  root: URL;
  snapshot: (events: LiveEvent[]) => void;
  reports: (events: LiveEvent[]) => void;
  changed: (state: FeedState) => void;
  fetch?: (url: string, init?: RequestInit) => Promise<Response>;
  random?: () => number;
}

const offsetOf = (position: string): number => Number(position.slice(position.lastIndexOf("-") + 1));
const epochOf = (position: string): string => position.slice(0, position.lastIndexOf("-"));

export class Feed {
  state: FeedState = "closed";
  /** When something last came from the server, milliseconds since 1970. */
  heard = 0;
  /** `epoch-offset` of the last report that was taken in. */
  position?: string;
  /** How often the stream was taken up again, for tests and the curious. */
  resumed = 0;
  private waiting: LiveEvent[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;
  private watch: ReturnType<typeof setTimeout> | undefined;
  private connection?: AbortController;
  private readonly stopped = new AbortController();
  private pause = PAUSE_MS.least;
  private resyncing = false;
  private skip: (() => void) | undefined;
  private readonly fetch: NonNullable<FeedOptions["fetch"]>;

  constructor(private readonly options: FeedOptions) {
    this.fetch = options.fetch ?? ((url, init) => window.fetch(url, init));
  }

  /** Runs until `stop`. */
  async run(): Promise<void> {
    this.become("connecting");
    while (!this.stopped.signal.aborted) {
      try {
        if (this.position === undefined) await this.readState();
        await this.follow();
        // The server ends every stream after some minutes, in good order: no reason for alarm.
      } catch (error) {
        if (this.stopped.signal.aborted) break;
        if (this.resyncing) {
          this.resyncing = false;
          continue;
        }
        // A position the server no longer knows, or a stream it does not give: begin from the state.
        if (error instanceof StreamRefused && error.status < 500 && error.status !== 429) delete this.position;
        this.become("stale");
      }
      if (!this.stopped.signal.aborted) await this.rest();
    }
    this.become("closed");
  }

  stop(): void {
    this.stopped.abort();
    this.connection?.abort();
    this.skip?.();
    clearTimeout(this.timer);
    clearTimeout(this.watch);
  }

  /** Does not wait any longer: the network has come back, or somebody looks again. */
  hurry(): void {
    this.pause = PAUSE_MS.least;
    this.skip?.();
  }

  private async readState(): Promise<void> {
    const connection = this.connect();
    const url = new URL("events/state", this.options.root);
    url.searchParams.set("limit", String(MOST_CASES));
    const response = await this.fetch(url.href, {
      headers: { accept: "application/json" },
      signal: connection.signal,
      cache: "no-store",
    });
    if (!response.ok) throw new StreamRefused(response.status);
    const document = (await response.json()) as { position?: unknown };
    this.alive();
    clearTimeout(this.timer);
    this.timer = undefined;
    this.waiting = [];
    const { position } = document;
    if (typeof position !== "string") throw new Error("the state has no position");
    this.position = position;
    this.options.snapshot(parseEvents(document));
  }

  private async follow(): Promise<void> {
    const connection = this.connect();
    const url = new URL("events/stream", this.options.root);
    const begin = this.position;
    if (begin !== undefined) url.searchParams.set("last_event_id", begin);
    await readStream(this.fetch, url, {
      signal: connection.signal,
      ...(begin !== undefined && { lastEventId: begin }),
      alive: () => {
        this.alive();
        this.pause = PAUSE_MS.least;
        if (this.state === "stale") this.resumed += 1;
        this.become("live");
      },
      take: (message) => this.take(message),
    });
  }

  private take(message: Message): void {
    if (message.event === "resync") {
      delete this.position;
      this.resyncing = true;
      this.connection?.abort();
      return;
    }
    if (message.id !== undefined && message.id !== "" && this.position !== undefined) {
      if (epochOf(message.id) === epochOf(this.position) && offsetOf(message.id) <= offsetOf(this.position)) return;
      this.position = message.id;
    }
    if (message.event !== "report" && message.event !== "state" && message.event !== "message") return;
    try {
      this.waiting.push(...parseEvents(JSON.parse(message.data)));
    } catch {
      // One message that is no JSON must not stop those behind it.
      return;
    }
    this.timer ??= setTimeout(() => this.hand(), BUNCH_MS);
  }

  private hand(): void {
    this.timer = undefined;
    const events = this.waiting;
    this.waiting = [];
    if (events.length > 0) this.options.reports(events);
  }

  private connect(): AbortController {
    this.connection?.abort();
    this.connection = new AbortController();
    this.guard();
    return this.connection;
  }

  private alive(): void {
    this.heard = Date.now();
    this.guard();
  }

  private guard(): void {
    clearTimeout(this.watch);
    this.watch = setTimeout(() => this.connection?.abort(), SILENCE_MS);
  }

  /** Longer after every failure, and never all clients at the same moment. */
  private async rest(): Promise<void> {
    clearTimeout(this.watch);
    const wait = this.pause * (0.5 + (this.options.random ?? Math.random)());
    this.pause = Math.min(this.pause * 1.7, PAUSE_MS.most);
    await new Promise<void>((done) => {
      this.skip = done;
      setTimeout(done, wait);
    });
    this.skip = undefined;
  }

  private become(state: FeedState): void {
    if (state === this.state || (this.stopped.signal.aborted && state !== "closed")) return;
    this.state = state;
    this.options.changed(state);
  }
}
