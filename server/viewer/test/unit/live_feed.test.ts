import { afterEach, describe, expect, it, vi } from "vitest";
import type { LiveEvent } from "../../src/live/event";
import { Feed, type FeedState } from "../../src/live/feed";
import { MessageReader, type Message } from "../../src/live/sse";

const read = (...chunks: string[]): Message[] => {
  const reader = new MessageReader();
  return chunks.flatMap((chunk) => [...reader.read(chunk)]);
};

describe("server-sent events", () => {
  const text = "retry: 1500\nid: e-1\nevent: report\ndata: {\"a\":1}\n\n: beat\n\ndata: x\ndata: y\n\nid: e-2\n\n";
  const expected = [
    { id: "e-1", event: "report", data: '{"a":1}' },
    { event: "message", data: "x\ny" },
    { id: "e-2", event: "message", data: "" },
  ];

  it.each(["\n", "\r", "\r\n"])("are the same with lines that end in %j, cut anywhere", (end) => {
    const whole = text.replaceAll("\n", end);
    for (let cut = 0; cut <= whole.length; cut++) expect(read(whole.slice(0, cut), whole.slice(cut), end === "\r" ? "\n" : "")).toEqual(expected);
    expect(read(...whole, "\n")).toEqual(expected);
  });

  it("may begin with a byte order mark, and an id with a NUL is none", () => {
    expect(read("\ufeffdata: x\n\n")).toEqual([{ event: "message", data: "x" }]);
    expect(read("id: a\0b\ndata: x\n\n")).toEqual([{ event: "message", data: "x" }]);
  });
});

/** A server in the page: a log, a state and streams that can be cut. */
class Server {
  log: { offset: number; name: string; status: string }[] = [];
  epoch = "e";
  readonly asked: string[] = [];
  down = false;
  private readonly streams = new Set<ReadableStreamDefaultController<Uint8Array>>();

  add(name: string, status = "created"): void {
    const row = { offset: this.log.length + 1, name, status };
    this.log.push(row);
    for (const stream of this.streams) stream.enqueue(this.frame(row));
  }

  say(text: string): void {
    for (const stream of this.streams) stream.enqueue(new TextEncoder().encode(text));
  }

  cut(calmly = false): void {
    for (const stream of this.streams) calmly ? stream.close() : stream.error(new TypeError("network"));
    this.streams.clear();
  }

  readonly fetch = async (address: string, init?: RequestInit): Promise<Response> => {
    const url = new URL(address);
    this.asked.push(url.pathname + (url.searchParams.get("last_event_id") ?? ""));
    if (this.down) throw new TypeError("network");
    if (url.pathname === "/events/state") {
      const latest = new Map(this.log.map((row) => [row.name, row]));
      return Response.json({ position: `${this.epoch}-${this.log.length}`, events: [...latest.values()].map((row) => this.message(row)) });
    }
    const last = url.searchParams.get("last_event_id") as string;
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        controller.enqueue(new TextEncoder().encode(`id: ${last}\nevent: state\ndata: {}\n\n`));
        if (!last.startsWith(`${this.epoch}-`)) controller.enqueue(new TextEncoder().encode(`event: resync\ndata: {}\n\n`));
        else for (const row of this.log.slice(Number(last.split("-")[1]))) controller.enqueue(this.frame(row));
        this.streams.add(controller);
        init?.signal?.addEventListener("abort", () => {
          if (this.streams.delete(controller)) controller.error(new DOMException("aborted", "AbortError"));
        });
      },
    });
    return new Response(stream);
  };

  private message(row: { offset: number; name: string; status: string }): object {
    return { source: "s", id: `m${row.offset}`, type: `twin.work_order.${row.status}`, offset: row.offset, time: new Date(row.offset * 1000).toISOString(), data: { case: row.name } };
  }

  private frame(row: { offset: number; name: string; status: string }): Uint8Array {
    return new TextEncoder().encode(`id: ${this.epoch}-${row.offset}\nevent: report\ndata: ${JSON.stringify(this.message(row))}\n\n`);
  }
}

function listening(server: Server): { feed: Feed; got: number[]; states: FeedState[]; snapshots: number[] } {
  const got: number[] = [];
  const states: FeedState[] = [];
  const snapshots: number[] = [];
  const feed = new Feed({
    root: new URL("http://here/"),
    snapshot: (events: LiveEvent[]) => snapshots.push(events.length),
    reports: (events) => got.push(...events.map((event) => event.offset)),
    changed: (state) => states.push(state),
    fetch: server.fetch,
    random: () => 0.5,
  });
  void feed.run();
  return { feed, got, states, snapshots };
}

describe("the feed", () => {
  afterEach(() => vi.useRealTimers());
  const soon = (ms = 900): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

  it("takes the state once and every report after it exactly once, however often the connection breaks", async () => {
    vi.useFakeTimers();
    const server = new Server();
    server.add("before");
    const { feed, got, states, snapshots } = listening(server);
    await soon();
    expect(snapshots).toEqual([1]);
    for (let round = 0; round < 12; round++) {
      server.add(`a${round}`);
      await soon(round % 3 === 0 ? 5 : 300);
      server.cut();
      server.add(`b${round}`);
      await soon(20_000);
    }
    expect(got).toEqual(Array.from({ length: 24 }, (_, i) => i + 2));
    expect(snapshots).toEqual([1]);
    expect(feed.resumed).toBe(12);
    expect(states.slice(0, 4)).toEqual(["connecting", "live", "stale", "live"]);
    feed.stop();
  });

  it("is stale while the server is away, and asks ever more seldom", async () => {
    vi.useFakeTimers();
    const server = new Server();
    const { feed } = listening(server);
    await soon();
    server.down = true;
    server.cut();
    await soon(60_000);
    expect(feed.state).toBe("stale");
    const asked = server.asked.length;
    await soon(60_000);
    expect(server.asked.length - asked).toBeLessThan(6);
    server.down = false;
    server.add("later");
    feed.hurry();
    await soon();
    expect(feed.state).toBe("live");
    feed.stop();
  });

  it("gives no alarm where the server ends the stream in good order", async () => {
    vi.useFakeTimers();
    const server = new Server();
    const { feed, got, states } = listening(server);
    await soon();
    server.cut(true);
    server.add("x");
    await soon(3000);
    expect([got, states]).toEqual([[1], ["connecting", "live"]]);
    feed.stop();
  });

  it("reads the state anew where the position means nothing any more", async () => {
    vi.useFakeTimers();
    const server = new Server();
    server.add("old");
    const { feed, snapshots, got } = listening(server);
    await soon();
    server.cut();
    server.epoch = "f";
    server.log = [];
    server.add("new");
    server.add("newer");
    await soon(20_000);
    expect(snapshots).toEqual([1, 2]);
    server.add("newest");
    await soon();
    expect(got).toEqual([3]);
    feed.stop();
  });

  it("finds out that a connection died without a word", async () => {
    vi.useFakeTimers();
    const server = new Server();
    const { feed, states } = listening(server);
    await soon();
    for (let i = 0; i < 5; i++) {
      await soon(15_000);
      server.say(": beat\n\n");
    }
    expect(states).toEqual(["connecting", "live"]);
    await soon(45_000);
    expect(states).toContain("stale");
    await soon(5000);
    expect(feed.state).toBe("live");
    feed.stop();
  });

  it("goes on behind a message that is no JSON", async () => {
    vi.useFakeTimers();
    const server = new Server();
    const { feed, got } = listening(server);
    await soon();
    server.say("event: report\ndata: {oops\n\n");
    server.add("x");
    await soon();
    expect(got).toEqual([1]);
    feed.stop();
  });
});
