/** One day of reports, to be played at any speed: what was the case at a moment, and what came between two moments. */

import { overtakes, rank, type LiveEvent } from "./event";

export const DAY_MS = 86_400_000;
const BINS = 96;

export class Day {
  /** `before`: reports of the days before, for the state in which the day begins. All in the order of occurrence. */
  constructor(
    readonly begin: number,
    private readonly before: readonly LiveEvent[],
    private readonly reports: readonly LiveEvent[],
  ) {}

  get count(): number {
    return this.reports.length;
  }

  get end(): number {
    return this.begin + DAY_MS;
  }

  /** The last report of every case by a moment, that one included. */
  stateAt(moment: number): LiveEvent[] {
    const last = new Map<string, LiveEvent>();
    for (const event of [...this.before, ...this.until(moment)]) {
      const other = last.get(event.key);
      if (!other || overtakes(event, other)) last.set(event.key, event);
    }
    return [...last.values()];
  }

  /** After one moment, up to and with another. */
  between(from: number, to: number): LiveEvent[] {
    return this.reports.slice(this.index(from), this.index(to));
  }

  /** How many reports in each quarter of an hour, the severe ones apart. */
  bins(): { time: number; calm: number; severe: number }[] {
    const width = DAY_MS / BINS;
    const bins = Array.from({ length: BINS }, (_, i) => ({ time: this.begin + i * width, calm: 0, severe: 0 }));
    for (const event of this.reports) {
      const bin = bins[Math.floor((event.occurred - this.begin) / width)];
      if (!bin || event.kind === "position" || event.kind === "patrol") continue;
      if (rank(event) >= 3) bin.severe += 1;
      else bin.calm += 1;
    }
    return bins;
  }

  private until(moment: number): readonly LiveEvent[] {
    return this.reports.slice(0, this.index(moment));
  }

  /** How many reports occurred up to a moment. */
  private index(moment: number): number {
    let [low, high] = [0, this.reports.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.reports[middle] as LiveEvent).occurred <= moment) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
