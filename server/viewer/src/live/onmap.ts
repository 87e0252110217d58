/** The book on the map: markers, moving objects and the colours of entities follow every change and every filter. */

import { isMoving, isOpen, rank, type LiveEvent } from "./event";
import type { Book, Change } from "./book";
import { isCurrent, matches, type Wanted } from "./filter";
import { COLOURS } from "./look";
import type { Markers } from "./markers";
import type { Movers } from "./movers";
import type { EntityPaint } from "./paint";
import { stateOf } from "./paint";
import type { Pings } from "./pings";
import type { Scenery } from "./scenery";

export interface Drawn {
  scenery: Scenery;
  markers: Markers;
  movers: Movers;
  paint: EntityPaint;
  pings: Pings;
}

export class OnMap {
  private wanted: Wanted;

  constructor(
    private readonly book: Book,
    private readonly drawn: Drawn,
    wanted: Wanted,
    private readonly now: () => number,
  ) {
    this.wanted = wanted;
    book.listen((changes, fresh) => {
      this.follow(changes);
      this.greet(fresh);
    });
  }

  /** Everything is looked at again under another filter. */
  filter(wanted: Wanted): void {
    this.wanted = wanted;
    this.follow([...this.book.cases.values()].map((event) => ({ before: event, after: event })));
  }

  /** Standing on the map, moving objects aside. */
  shows(event: LiveEvent): boolean {
    return isCurrent(event) && matches(event, this.wanted, this.now());
  }

  private follow(changes: readonly Change[]): void {
    const { markers, movers } = this.drawn;
    const touched = new Set<string>();
    for (const { before, after } of changes) {
      for (const one of [before, after]) if (one?.geid !== undefined) touched.add(one.geid);
      const key = (after ?? before)?.key;
      if (key === undefined) continue;
      if (after && isMoving(after)) movers.put(after);
      else if (!after && before && isMoving(before)) movers.remove(key);
      else if (after && this.shows(after)) markers.put(after);
      else markers.remove(key);
    }
    for (const geid of touched) this.drawn.paint.set(geid, this.stateAt(geid));
  }

  private stateAt(geid: string): number | undefined {
    return stateOf(this.book.of(geid).filter((event) => !isMoving(event) && this.shows(event)));
  }

  private greet(fresh: readonly LiveEvent[]): void {
    const { scenery, pings } = this.drawn;
    for (const event of fresh) {
      if (rank(event) < 3 || !isOpen(event) || !this.shows(event)) continue;
      const place = scenery.place(event);
      if (place) pings.add(place, COLOURS[event.severity]);
    }
  }
}
