/** Which events the list and the map show. */

import { isMoving, isOpen, rank, type LiveEvent } from "./event";
import { isLate } from "./spoken";

export interface Wanted {
  kind?: string;
  /** `open`: whatever is not over. */
  status?: string;
  /** Least rank. */
  severity: number;
  text: string;
  overdue: boolean;
  unlinked: boolean;
}

export const EVERYTHING: Wanted = { severity: 0, text: "", overdue: false, unlinked: false, status: "open" };

export function matches(event: LiveEvent, wanted: Wanted, now: number): boolean {
  if (wanted.kind !== undefined && event.kind !== wanted.kind) return false;
  if (wanted.status === "open" ? !isCurrent(event) : wanted.status !== undefined && event.status !== wanted.status) return false;
  if (rank(event) < wanted.severity) return false;
  if (wanted.overdue && !isLate(event, now)) return false;
  if (wanted.unlinked && event.geid !== undefined) return false;
  return hasWords(event, wanted.text);
}

/** What stands on the map: cases that are open, and measurements that say something is wrong. */
export const isCurrent = (event: LiveEvent): boolean => isOpen(event) || (event.status === "observed" && !isMoving(event) && rank(event) >= 2);

function hasWords(event: LiveEvent, text: string): boolean {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return true;
  const hay = [event.title, event.address, event.case, event.geid, event.source].join("\n").toLowerCase();
  return words.every((word) => hay.includes(word));
}

/** The most pressing first, then the latest. */
export const byUrgency = (a: LiveEvent, b: LiveEvent): number =>
  Number(isOpen(b)) - Number(isOpen(a)) || rank(b) - rank(a) || b.occurred - a.occurred || b.offset - a.offset;

export const byTime = (a: LiveEvent, b: LiveEvent): number => b.occurred - a.occurred || b.offset - a.offset;
