/** What is the case right now: the last report of every case, and which of them changed. */

import { isOpen, overtakes, type LiveEvent } from "./event";
import { groupGeid } from "../format";

/** Cases that are over or only observed are kept up to this number, the latest of them. */
const KEPT = 20_000;

export interface Change {
  before?: LiveEvent;
  after?: LiveEvent;
}

export type Listener = (changes: readonly Change[], fresh: readonly LiveEvent[]) => void;

export class Book {
  readonly cases = new Map<string, LiveEvent>();
  private readonly byEntity = new Map<string, Set<string>>();
  private readonly listeners: Listener[] = [];

  /** Told after every batch. `fresh` are the reports that decided something; empty where everything was read anew. */
  listen(listener: Listener): void {
    this.listeners.push(listener);
  }

  /** Takes reports in; gives those that changed the state of their case. */
  take(events: readonly LiveEvent[]): LiveEvent[] {
    const changes = new Map<string, Change>();
    const fresh: LiveEvent[] = [];
    for (const event of events) {
      const before = this.cases.get(event.key);
      if (before && (before.offset === event.offset || !overtakes(event, before))) continue;
      this.put(before, event);
      const first = changes.get(event.key);
      changes.set(event.key, { ...(first ? first.before && { before: first.before } : before && { before }), after: event });
      fresh.push(event);
    }
    this.tell([...changes.values(), ...this.forget()], fresh);
    return fresh;
  }

  /** Replaces everything: what is not in the list is gone. */
  reset(events: readonly LiveEvent[]): void {
    const last = new Map<string, LiveEvent>();
    for (const event of events) {
      const other = last.get(event.key);
      if (!other || overtakes(event, other)) last.set(event.key, event);
    }
    const changes: Change[] = [];
    for (const [key, before] of [...this.cases]) {
      if (last.has(key)) continue;
      this.drop(before);
      changes.push({ before });
    }
    for (const after of last.values()) {
      const before = this.cases.get(after.key);
      if (before?.offset === after.offset) continue;
      this.put(before, after);
      changes.push({ ...(before && { before }), after });
    }
    this.tell(changes, []);
  }

  /** The cases of an entity, those still open first, then the latest. */
  of(geid: string): LiveEvent[] {
    const keys = this.byEntity.get(groupGeid(geid)) ?? [];
    const found = [...keys].map((key) => this.cases.get(key)).filter((event) => event !== undefined);
    return found.sort((a, b) => Number(isOpen(b)) - Number(isOpen(a)) || b.occurred - a.occurred);
  }

  private put(before: LiveEvent | undefined, after: LiveEvent): void {
    if (before) this.unlink(before);
    this.cases.delete(after.key);
    this.cases.set(after.key, after);
    if (after.geid === undefined) return;
    const geid = groupGeid(after.geid);
    const keys = this.byEntity.get(geid);
    if (keys) keys.add(after.key);
    else this.byEntity.set(geid, new Set([after.key]));
  }

  private drop(event: LiveEvent): void {
    this.unlink(event);
    this.cases.delete(event.key);
  }

  private unlink(event: LiveEvent): void {
    if (event.geid === undefined) return;
    const geid = groupGeid(event.geid);
    const keys = this.byEntity.get(geid);
    keys?.delete(event.key);
    if (keys?.size === 0) this.byEntity.delete(geid);
  }

  /** The oldest of what is over goes; what is open stays however much it is. */
  private forget(): Change[] {
    if (this.cases.size <= KEPT) return [];
    const over = [...this.cases.values()].filter((event) => !isOpen(event));
    const gone = over.slice(0, Math.max(0, over.length - KEPT / 2));
    for (const event of gone) this.drop(event);
    return gone.map((before) => ({ before }));
  }

  private tell(changes: readonly Change[], fresh: readonly LiveEvent[]): void {
    if (changes.length === 0) return;
    for (const listener of this.listeners) listener(changes, fresh);
  }
}
