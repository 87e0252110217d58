/** Times and spans of events as people say them. */

import type { Words } from "../i18n";
import { isOpen, type LiveEvent } from "./event";

const pad = (value: number): string => String(value).padStart(2, "0");

/** 24-hour clock of this machine. */
export function clock(time: number, seconds = false): string {
  const date = new Date(time);
  const minutes = `${pad(date.getHours())}:${pad(date.getMinutes())}`;
  return seconds ? `${minutes}:${pad(date.getSeconds())}` : minutes;
}

export function day(time: number): string {
  const date = new Date(time);
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
}

export const moment = (time: number, now: number): string => (day(time) === day(now) ? clock(time, true) : `${day(time)} ${clock(time)}`);

/** One unit, rounded down: 45 s, 12 min, 3 h, 5 d. */
export function span(words: Words, ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return words.say("liveSeconds", { count: seconds });
  if (seconds < 3600) return words.say("liveMinutes", { count: Math.floor(seconds / 60) });
  if (seconds < 86_400) return words.say("liveHours", { count: Math.floor(seconds / 3600) });
  return words.say("liveDays", { count: Math.floor(seconds / 86_400) });
}

export function ago(words: Words, time: number, now: number): string {
  return now - time < 10_000 ? words.say("liveNow") : words.say("liveAgo", { time: span(words, now - time) });
}

export const isLate = (event: LiveEvent, now: number): boolean => event.due !== undefined && event.due < now && isOpen(event);

export function dueText(words: Words, event: LiveEvent, now: number): string {
  if (event.due === undefined || !isOpen(event)) return "";
  return event.due < now
    ? words.say("liveLate", { time: span(words, now - event.due) })
    : words.say("liveDueIn", { time: span(words, event.due - now) });
}

/** Where, in words: the address, else how it is tied. */
export const whereText = (words: Words, event: LiveEvent): string =>
  event.address ?? (event.geid === undefined ? words.say("liveNotLinked") : (text(event.rest["name"]) ?? text(event.rest["place_name"]) ?? event.case));

const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);
