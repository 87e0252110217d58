/**
 * Server-sent events over `fetch`: unlike `EventSource` it sees the heartbeats, so a connection that died without a word
 * is found out, and it says itself when and where to go on.
 */

export interface Message {
  id?: string;
  event: string;
  data: string;
}

/** Takes text as it comes and gives whole messages (HTML Living Standard, 9.2.6). */
export class MessageReader {
  /** Milliseconds, as the server wishes; undefined until it says so. */
  retry?: number;
  private rest = "";
  private lines: string[] = [];
  private started = false;

  *read(chunk: string): Generator<Message> {
    if (!this.started && chunk !== "") {
      this.started = true;
      if (chunk.startsWith("\ufeff")) chunk = chunk.slice(1);
    }
    this.rest += chunk;
    // A lone CR at the end may be half of a CRLF: it waits for what follows.
    const end = this.rest.endsWith("\r") ? this.rest.length - 1 : this.rest.length;
    const parts = this.rest.slice(0, end).split(/\r\n|\n|\r/);
    this.rest = (parts.pop() ?? "") + this.rest.slice(end);
    for (const line of parts) {
      if (line !== "") {
        this.lines.push(line);
        continue;
      }
      const message = this.message();
      if (message) yield message;
    }
  }

  private message(): Message | undefined {
    const message: Message = { event: "message", data: "" };
    const data: string[] = [];
    for (const line of this.lines) {
      if (line.startsWith(":")) continue;
      const colon = line.indexOf(":");
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (field === "data") data.push(value);
      else if (field === "event") message.event = value || "message";
      else if (field === "id" && !value.includes("\0")) message.id = value;
      else if (field === "retry" && /^\d+$/.test(value)) this.retry = Number(value);
    }
    this.lines = [];
    message.data = data.join("\n");
    return data.length > 0 || message.id !== undefined ? message : undefined;
  }
}

export interface StreamOptions {
  signal: AbortSignal;
  /** Of the last message that was taken in. */
  lastEventId?: string;
  /** Something arrived, be it a heartbeat. */
  alive: () => void;
  take: (message: Message) => void;
}

export class StreamRefused extends Error {
  constructor(readonly status: number) {
    super(`the stream was refused: ${status}`);
  }
}

type Fetch = (url: string, init?: RequestInit) => Promise<Response>;

/** Reads until the server ends the stream; throws where the connection breaks. Gives the wish for a pause, if any. */
export async function readStream(fetch: Fetch, url: URL, options: StreamOptions): Promise<number | undefined> {
  const headers: Record<string, string> = { accept: "text/event-stream" };
  if (options.lastEventId !== undefined) headers["last-event-id"] = options.lastEventId;
  const response = await fetch(url.href, { headers, signal: options.signal, cache: "no-store" });
  if (!response.ok || !response.body) throw new StreamRefused(response.status);
  options.alive();
  const reader = response.body.getReader();
  const [decoder, messages] = [new TextDecoder(), new MessageReader()];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return messages.retry;
    options.alive();
    for (const message of messages.read(decoder.decode(value, { stream: true }))) options.take(message);
  }
}
