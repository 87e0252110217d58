/** Puts the living twin over the map: stream → book → map, list, card and numbers. */

import { Cartesian3 } from "@cesium/engine";
import { h, reducedMotion } from "../dom";
import { groupGeid } from "../format";
import type { Words } from "../i18n";
import type { Flight } from "../scene/flight";
import type { Highlight } from "../scene/highlight";
import type { Site } from "../scene/site";
import type { Stage } from "../scene/stage";
import type { Tiles } from "../scene/tiles";
import type { Selection } from "../selection";
import type { Notices } from "../ui/notify";
import { Alarms } from "./alarms";
import { LiveApi } from "./api";
import { Book } from "./book";
import { isMoving, type LiveEvent } from "./event";
import { Feed } from "./feed";
import { EVERYTHING } from "./filter";
import { Markers } from "./markers";
import { Movers } from "./movers";
import { OnMap } from "./onmap";
import { EntityPaint } from "./paint";
import { Pings } from "./pings";
import { Scenery } from "./scenery";
import { Tools } from "./tools";
import { Card, type Near } from "./ui/card";
import { KeyForm } from "./ui/keyform";
import { EventList } from "./ui/list";
import { Strip, tally } from "./ui/strip";

const BREATH_MS = 1700;
/** Steps of what breathes and moves; a tenth of a second is smooth enough from five metres. */
const STEP_MS = { high: 80, low: 250 };
/** Lists and numbers are painted at most so often. */
const PAINT_MS = 500;

export interface OverlayParts {
  root: HTMLElement;
  /** Addresses stand below it. */
  base: URL;
  words: Words;
  stage: Stage;
  site: Site;
  tiles: Tiles;
  highlight: Highlight;
  selection: Selection;
  flight: Flight;
  notices: Notices;
}

/** What the page tells of the overlay to scripts and tests. */
export interface LiveState {
  connection: string;
  position: string | undefined;
  resumed: number;
  cases: number;
  markers: number;
  movers: number;
  lit: number;
  chosen: string | undefined;
  following: string | undefined;
  replay: number | undefined;
}

export class Overlay {
  readonly book = new Book();
  readonly api: LiveApi;
  readonly scenery: Scenery;
  readonly markers: Markers;
  readonly movers: Movers;
  readonly paint: EntityPaint;
  readonly onMap: OnMap;
  readonly feed: Feed;
  readonly list: EventList;
  readonly card: Card;
  readonly strip: Strip;
  readonly alarms: Alarms;
  private readonly tools: Tools;
  private readonly keyForm: KeyForm;
  private readonly pings: Pings;
  /** Of the live state while a replay is on the map. */
  private held: Book | undefined;
  private moment: number | undefined;
  private stale = true;
  private ticks = 0;

  constructor(readonly parts: OverlayParts) {
    const { words, stage, site } = parts;
    this.api = new LiveApi(parts.base);
    this.scenery = new Scenery(stage, site);
    this.markers = new Markers(this.scenery);
    this.movers = new Movers(this.scenery);
    this.pings = new Pings(this.scenery);
    this.paint = new EntityPaint(
      parts.tiles,
      () => stage.redraw(),
      (feature) => parts.highlight.styled(feature),
      (feature) => parts.highlight.holds(feature),
    );
    parts.highlight.tint = (feature) => this.paint.colourOf(feature);
    const { scenery, markers, movers, paint, pings } = this;
    this.onMap = new OnMap(this.book, { scenery, markers, movers, paint, pings }, { ...EVERYTHING }, () => this.now());
    this.alarms = new Alarms(words, (event) => this.choose(event));
    this.list = new EventList({
      words,
      now: () => this.now(),
      choose: (event) => this.choose(event),
      changed: (wanted) => this.onMap.filter(wanted),
    });
    this.card = this.makeCard();
    this.strip = new Strip(words, (wanted) => this.list.want(wanted), this.alarms.element);
    this.tools = new Tools(this);
    this.keyForm = new KeyForm(words, (key) => {
      this.api.useKey(key);
      this.feed.hurry();
    });
    this.api.onRefused = () => this.keyForm.show(true);
    this.feed = this.makeFeed();
    this.dress();
    this.run();
  }

  /** The moment that is shown: now, or that of a replay. */
  now(): number {
    return this.moment ?? Date.now();
  }

  state(): LiveState {
    return {
      connection: this.feed.state,
      position: this.feed.position,
      resumed: this.feed.resumed,
      cases: this.book.cases.size,
      markers: this.markers.size,
      movers: this.movers.size,
      lit: this.paint.lit,
      chosen: this.card.key,
      following: this.movers.following,
      replay: this.moment,
    };
  }

  /** Shows an event and its entity; the camera stays where it is. */
  choose(event: LiveEvent): void {
    this.mark(event.key);
    const { selection } = this.parts;
    if (event.geid === undefined) selection.clear();
    else if (selection.geid === undefined || groupGeid(selection.geid) !== groupGeid(event.geid)) void selection.open(event.geid, false);
    this.card.show(event);
  }

  close(): void {
    this.card.show(undefined);
    this.mark(undefined);
  }

  fly(event: LiveEvent): void {
    const { lon, lat } = event;
    if (lon === undefined || lat === undefined) return;
    this.parts.flight.entity({ geid: "", lon, lat, height: event.h ?? this.parts.site.ground, record: {} });
  }

  /** A click on a marker; true if it was one. */
  clicked(id: unknown): boolean {
    const spot = this.markers.spot(id);
    if (spot?.event) this.choose(spot.event);
    else if (spot) this.parts.flight.nearer(spot.place, 0.4);
    else {
      const mover = typeof id === "string" ? this.book.cases.get(id) : undefined;
      if (!mover || !isMoving(mover)) return false;
      this.choose(mover);
    }
    return true;
  }

  /** A click on the map while something is being drawn; true if it was taken. */
  drew(place: { lon: number; lat: number } | undefined): boolean {
    return this.tools.took(place);
  }

  /** Another entity was selected by hand: the card of an event elsewhere goes. */
  selected(geid: string | undefined): void {
    const { key } = this.card;
    const event = key === undefined ? undefined : this.book.cases.get(key);
    if (!event || geid === undefined || event.geid === undefined) return;
    if (groupGeid(event.geid) !== groupGeid(geid)) this.close();
  }

  /** Escape: the innermost thing first; true if there was one. */
  escape(): boolean {
    if (this.tools.escape()) return true;
    if (this.card.key === undefined) return false;
    this.close();
    this.parts.selection.clear();
    return true;
  }

  /** Shows another state than the live one, at its moment; nothing leads back. */
  replay(moment: number | undefined, events: readonly LiveEvent[] | undefined, speed = 1): void {
    const begins = moment !== undefined && this.moment === undefined;
    if (begins) {
      this.held = new Book();
      this.held.reset([...this.book.cases.values()]);
    }
    const ends = moment === undefined && this.moment !== undefined;
    this.moment = moment;
    this.movers.speed = moment === undefined ? 1 : speed;
    this.strip.replay(moment);
    if (ends) {
      this.book.reset([...(this.held?.cases.values() ?? [])]);
      this.held = undefined;
    } else if (events) this.book.reset(events);
    this.repaint();
  }

  /** Reports of a replay that come one after the other. */
  advance(moment: number, events: readonly LiveEvent[], speed: number): void {
    this.moment = moment;
    this.movers.speed = speed;
    this.book.take(events);
    this.strip.replay(moment);
  }

  near(event: LiveEvent): Near[] {
    const place = this.scenery.place(event);
    if (!place) return [];
    const found: Near[] = [];
    for (const other of this.book.cases.values()) {
      if (!isMoving(other) || other.key === event.key) continue;
      const there = this.movers.place(other.key);
      if (there) found.push({ event: other, metres: Cartesian3.distance(place, there) });
    }
    return found.sort((a, b) => a.metres - b.metres);
  }

  private makeFeed(): Feed {
    const take = (events: LiveEvent[]): void => {
      const fresh = (this.held ?? this.book).take(events);
      // A replay is on the map: alarms are live all the same.
      if (this.held && fresh.length > 0) this.alarms.look(this.held.cases.values(), fresh);
    };
    return new Feed({
      root: this.parts.base,
      snapshot: (events) => {
        this.keyForm.show(false);
        (this.held ?? this.book).reset(events);
      },
      reports: take,
      changed: () => this.strip.connection(this.feed.state, this.feed.heard),
      fetch: this.api.fetch,
    });
  }

  private makeCard(): Card {
    const { words, selection } = this.parts;
    return new Card({
      words,
      now: () => this.now(),
      history: (event) => this.api.case(event.source, event.case),
      near: (event) => this.near(event),
      others: (event) => (event.geid === undefined ? [] : this.book.of(event.geid).filter((other) => other.key !== event.key && !isMoving(other))),
      acknowledged: (event) => this.alarms.isAcknowledged(event),
      acknowledge: (event) => this.alarms.acknowledge(event),
      fly: (event) => this.fly(this.book.cases.get(event.key) ?? event),
      follow: (event) => {
        const on = this.movers.following !== event.key;
        if (on) this.fly(event);
        this.movers.follow(on ? event.key : undefined);
      },
      following: () => this.movers.following,
      entity: (geid) => {
        this.close();
        void selection.open(geid, false);
      },
      choose: (event) => this.choose(event),
      close: () => {
        this.close();
        selection.clear();
      },
    });
  }

  private dress(): void {
    const { root, stage, words } = this.parts;
    document.body.classList.add("live");
    stage.canvas.parentElement?.append(this.pings.element);
    const left = h("div", { class: "live-left" }, this.list.element);
    root.append(this.strip.element, left, this.card.element, this.tools.element, ...this.tools.windows, this.keyForm.element);
    words.bind(() => left.setAttribute("aria-label", words.say("liveEvents")));
    this.movers.onFollow = () => this.card.repaint();
    this.alarms.onChange = () => this.card.repaint();
    this.book.listen((changes, fresh) => {
      this.stale = true;
      if (!this.held) this.alarms.look(this.book.cases.values(), fresh);
      const { key } = this.card;
      for (const { after } of changes) if (after && after.key === key) this.card.show(after);
    });
    window.addEventListener("online", () => this.feed.hurry());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.feed.hurry());
  }

  private run(): void {
    const low = this.parts.stage.options.low;
    setInterval(() => this.step(), low ? STEP_MS.low : STEP_MS.high);
    setInterval(() => this.tick(), PAINT_MS);
    void this.feed.run();
  }

  private step(): void {
    const now = performance.now();
    this.movers.step(now, this.now());
    if (this.parts.stage.options.low || reducedMotion() || document.hidden) return;
    // Every second step: what breathes slowly needs no more.
    this.ticks += 1;
    if (this.ticks % 2 === 1) return;
    const wave = 0.5 - 0.5 * Math.cos((2 * Math.PI * (now % BREATH_MS)) / BREATH_MS);
    const markers = this.markers.pulse(wave);
    if (this.paint.pulse(wave) || markers) this.scenery.redraw();
  }

  private tick(): void {
    this.strip.tick(Date.now());
    this.alarms.tick(Date.now());
    if (this.stale) this.repaint();
    else this.list.tick();
    this.tools.tick();
  }

  private repaint(): void {
    this.stale = false;
    this.list.show([...this.book.cases.values()].filter((event) => !isMoving(event)));
    this.strip.count(tally(this.book.cases.values(), this.now()));
    this.tools.changed();
  }

  private mark(key: string | undefined): void {
    this.markers.choose(key);
    this.movers.choose(key);
    this.list.choose(key);
  }
}
