/** Alarms nobody has looked at yet: a bell with a number, a sound that can be switched off, a list kept by this browser. */

import { h, icon, ICONS } from "../dom";
import type { Words } from "../i18n";
import { isOpen, rank, type LiveEvent } from "./event";

const KEPT = "twin.acknowledged";
const MOST_KEPT = 500;
const EVERY_MS = 6000;

/** What wants to be acknowledged: open alarms from high on, and whatever else is critical. */
export const isAlarm = (event: LiveEvent): boolean => isOpen(event) && ((event.kind === "alarm" && rank(event) >= 3) || rank(event) === 4);

const idOf = (event: LiveEvent): string => `${event.key}\n${event.offset}`;

export class Alarms {
  readonly element: HTMLElement;
  onChange: () => void = () => undefined;
  private readonly done: Set<string>;
  private readonly number = h("b");
  private readonly bell: HTMLButtonElement;
  private readonly speaker: HTMLButtonElement;
  private pending: LiveEvent[] = [];
  private audio?: AudioContext;
  private sound = false;
  private played = 0;

  constructor(
    private readonly words: Words,
    private readonly choose: (event: LiveEvent) => void,
  ) {
    this.done = new Set(stored());
    this.bell = h("button", { class: "bell", type: "button", click: () => this.next() }, icon(ICONS.bell), this.number);
    this.speaker = h("button", { class: "icon speaker", type: "button", "aria-pressed": "false", click: () => this.toggle() }, icon(ICONS.mute));
    this.element = h("div", { class: "alarms" }, this.bell, this.speaker);
    words.bind(() => this.paint());
  }

  get waiting(): number {
    return this.pending.length;
  }

  isAcknowledged(event: LiveEvent): boolean {
    return this.done.has(idOf(event));
  }

  acknowledge(event: LiveEvent): void {
    this.done.add(idOf(event));
    localStorage.setItem(KEPT, JSON.stringify([...this.done].slice(-MOST_KEPT)));
    this.pending = this.pending.filter((one) => one.key !== event.key);
    this.paint();
    this.onChange();
  }

  /** The state has changed; `now` decides whether it is time to sound again. */
  look(events: Iterable<LiveEvent>, fresh: readonly LiveEvent[]): void {
    this.pending = [...events].filter((event) => isAlarm(event) && !this.isAcknowledged(event));
    if (fresh.some((event) => isAlarm(event) && !this.isAcknowledged(event))) this.ring();
    this.paint();
  }

  /** Until somebody has seen to it. */
  tick(now: number): void {
    if (this.pending.length > 0 && now - this.played > EVERY_MS) this.ring();
  }

  /** The longest waiting one. */
  private next(): void {
    const [event] = [...this.pending].sort((a, b) => rank(b) - rank(a) || a.occurred - b.occurred);
    if (event) this.choose(event);
  }

  private toggle(): void {
    this.sound = !this.sound;
    // Browsers let a page sound only after somebody touched it: this is the touch.
    if (this.sound) this.audio ??= new AudioContext();
    this.speaker.replaceChildren(icon(this.sound ? ICONS.sound : ICONS.mute));
    this.speaker.setAttribute("aria-pressed", String(this.sound));
    if (this.sound) this.ring();
  }

  /** Two soft tones, a third apart. */
  private ring(): void {
    this.played = Date.now();
    if (!this.sound || !this.audio) return;
    const { audio } = this;
    [659.3, 523.3].forEach((pitch, i) => {
      const [tone, volume] = [audio.createOscillator(), audio.createGain()];
      const at = audio.currentTime + i * 0.22;
      tone.frequency.value = pitch;
      volume.gain.setValueAtTime(0, at);
      volume.gain.linearRampToValueAtTime(0.16, at + 0.02);
      volume.gain.exponentialRampToValueAtTime(0.001, at + 0.5);
      tone.connect(volume).connect(audio.destination);
      tone.start(at);
      tone.stop(at + 0.55);
    });
  }

  private paint(): void {
    const { words } = this;
    this.number.textContent = String(this.pending.length);
    this.bell.classList.toggle("ringing", this.pending.length > 0);
    this.bell.disabled = this.pending.length === 0;
    this.bell.setAttribute("aria-label", `${words.say("liveAlarms")}: ${this.pending.length}`);
    this.bell.title = words.say("liveAlarms");
    this.speaker.title = words.say("liveSound");
    this.speaker.setAttribute("aria-label", words.say("liveSound"));
  }
}

function stored(): string[] {
  try {
    const found = JSON.parse(localStorage.getItem(KEPT) ?? "[]") as unknown;
    return Array.isArray(found) ? found.filter((one): one is string => typeof one === "string") : [];
  } catch {
    return [];
  }
}
