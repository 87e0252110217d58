/** The selected building: what the tile said at once, what the registry says a moment later, and its place on the map. */

import { Cartesian3, Cartographic, type Cesium3DTileFeature } from "@cesium/engine";
import { ApiError, isAbort, messageOf, type Api } from "./api";
import { groupGeid, metres, sameGeid } from "./format";
import type { Words } from "./i18n";
import type { Entity } from "./model";
import type { Flight } from "./scene/flight";
import { geidOf, type Highlight } from "./scene/highlight";
import { toDegrees } from "./scene/site";
import type { Marker } from "./ui/marker";
import type { Panel, PanelState } from "./ui/panel";

export interface SelectionParts {
  api: Api;
  words: Words;
  highlight: Highlight;
  flight: Flight;
  marker: Marker;
  panel: Panel;
  /** After the selected geid changed. */
  changed: () => void;
  redraw: () => void;
  /** Read out to those who do not see the panel open. */
  announce: (text: string) => void;
}

const MOST_ABOVE = 8;

/** The properties a tile holds of a feature, as plain values. */
export function propertiesOf(feature: Cesium3DTileFeature): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const id of feature.getPropertyIds()) {
    const value: unknown = feature.getProperty(id);
    if (value !== undefined && value !== null) found[id] = value;
  }
  return found;
}

export class Selection {
  private state?: PanelState;
  private request?: AbortController;
  /** Where a click fell: the marker's place until the registry has answered. */
  private clicked?: Cartesian3;
  private announced?: string;

  constructor(private readonly parts: SelectionParts) {
    parts.words.bind(() => this.mark());
  }

  get geid(): string | undefined {
    return this.state?.geid;
  }

  clear(): void {
    this.request?.abort();
    if (!this.state) return;
    delete this.state;
    delete this.clicked;
    this.parts.highlight.select(undefined);
    this.parts.panel.show(undefined);
    this.mark();
    this.parts.changed();
  }

  /** A feature under the pointer. */
  pick(feature: Cesium3DTileFeature, place?: { lon: number; lat: number; height?: number }): void {
    const geid = geidOf(feature);
    if (geid === undefined) return;
    this.clicked = place && Cartesian3.fromDegrees(place.lon, place.lat, place.height ?? 0);
    this.begin({ geid, tile: propertiesOf(feature), drawn: true });
    this.parts.highlight.select({ geid }, feature);
    void this.ask(geid, false);
  }

  /** An answer of the search or of `/resolve`; its tile may not be there. */
  choose(entity: Entity, fly = true): void {
    delete this.clicked;
    this.begin({ geid: entity.geid, entity, drawn: false });
    this.aim(entity);
    const flown = fly && this.parts.flight.entity(entity);
    void this.ask(entity.geid, fly && !flown);
  }

  /** A click beside everything drawn: what is registered there but not drawn, such as the outline of building parts. */
  async whatStandsAt(place: { lon: number; lat: number } | undefined): Promise<void> {
    this.clear();
    if (!place) return;
    const request = new AbortController();
    this.request = request;
    try {
      const [entity] = await this.parts.api.resolve(place.lon, place.lat, undefined, request.signal);
      if (entity && !request.signal.aborted) this.choose(entity, false);
    } catch {
      // The click hit nothing; a server that cannot say more is no reason to interrupt anybody.
    }
  }

  /** A geid or an alias alone, from a link or a test; resolves when the registry has answered. */
  async open(id: string, fly = true): Promise<void> {
    delete this.clicked;
    this.begin({ geid: id, drawn: false });
    this.parts.highlight.select({ geid: id });
    await this.ask(id, fly);
  }

  /** The feature turned up in a tile. */
  found(feature: Cesium3DTileFeature): void {
    const geid = geidOf(feature);
    if (!this.state || geid === undefined || !sameGeid(geid, this.state.geid)) return;
    this.update({ tile: propertiesOf(feature), drawn: true });
  }

  /** Its tile was thrown out; the panel keeps what is known. */
  lost(): void {
    this.update({ drawn: false });
  }

  fly(): void {
    if (this.state?.entity && this.parts.flight.entity(this.state.entity)) return;
    if (!this.clicked) return;
    const place = Cartographic.fromCartesian(this.clicked);
    if (!place) return;
    const [lon, lat] = [toDegrees(place.longitude), toDegrees(place.latitude)];
    this.parts.flight.entity({ geid: "", lon, lat, height: place.height, record: {} });
  }

  private begin(state: PanelState): void {
    this.request?.abort();
    this.state = state;
    this.parts.panel.show(state);
    this.mark();
    this.parts.changed();
  }

  private update(change: Partial<PanelState>): void {
    if (!this.state) return;
    this.state = { ...this.state, ...change };
    this.parts.panel.show(this.state);
    this.mark();
  }

  private aim(entity: Entity): void {
    const { geid, tile, row } = entity;
    this.parts.highlight.select({ geid, ...(tile !== undefined && { tile }), ...(row !== undefined && { row }) });
  }

  private async ask(id: string, fly: boolean): Promise<void> {
    const request = new AbortController();
    this.request = request;
    try {
      const entity = await this.parts.api.entity(id, request.signal);
      if (request.signal.aborted || !this.state) return;
      const renamed = !sameGeid(entity.geid, this.state.geid);
      delete this.state.problem;
      this.update({ entity, geid: entity.geid });
      this.aim(entity);
      if (renamed) this.parts.changed();
      if (fly) this.parts.flight.entity(entity);
      await this.climb(entity, request.signal);
    } catch (error) {
      if (isAbort(error) || request.signal.aborted) return;
      this.update({ problem: this.explain(error) });
    }
  }

  /** Asks for what the entity is part of, step by step; what cannot be had is left out. */
  private async climb(entity: Entity, signal: AbortSignal): Promise<void> {
    const above: Entity[] = [];
    let parent = text(entity.record["parent"]);
    while (parent !== undefined && above.length < MOST_ABOVE) {
      let next: Entity;
      try {
        next = await this.parts.api.entity(parent, signal);
      } catch (error) {
        if (isAbort(error)) throw error;
        break;
      }
      if (signal.aborted) return;
      above.push(next);
      parent = text(next.record["parent"]);
    }
    if (above.length > 0) this.update({ above });
  }

  private explain(error: unknown): string {
    const { words } = this.parts;
    if (error instanceof ApiError && error.failure === "not-found") return words.say("recordMissing");
    return words.say("recordFailed", { message: messageOf(error) });
  }

  private mark(): void {
    const { marker, words } = this.parts;
    const place = this.state && (topOf(this.state.entity) ?? this.clicked);
    if (!this.state || !place) {
      marker.show(undefined);
      this.parts.redraw();
      return;
    }
    const { entity, tile } = this.state;
    const name = entity?.name ?? entity?.address ?? text(tile?.["name"]) ?? words.say("unnamed");
    const height = entity?.heightM ?? (typeof tile?.["height_m"] === "number" ? tile["height_m"] : undefined);
    if (this.announced !== this.state.geid) {
      this.announced = this.state.geid;
      this.parts.announce(`${name}, ${groupGeid(this.state.geid)}`);
    }
    marker.show(place, name, height === undefined ? "" : `${words.say("height_m")} ${metres(height)}`);
    this.parts.redraw();
  }
}

const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);

function topOf(entity: Entity | undefined): Cartesian3 | undefined {
  if (entity?.lon === undefined || entity.lat === undefined) return undefined;
  return Cartesian3.fromDegrees(entity.lon, entity.lat, (entity.height ?? 0) + (entity.heightM ?? 0));
}
