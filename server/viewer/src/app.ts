/** Puts the parts together: one release, one scene, one page. */

import { Cartesian2, Math as CesiumMath } from "@cesium/engine";
import { Address } from "./address";
import { messageOf, type Api } from "./api";
import { copyText } from "./clipboard";
import { h } from "./dom";
import { languageOf, type Words } from "./i18n";
import { listenForKeys } from "./keyboard";
import type { Overlay } from "./live/overlay";
import type { PropertyInfo, Release } from "./model";
import { Colouring, offered } from "./scene/colouring";
import { Datum } from "./scene/datum";
import { Flight } from "./scene/flight";
import { Ground } from "./scene/ground";
import { geidOf, Highlight } from "./scene/highlight";
import { drawOutline } from "./scene/outline";
import { Pointer } from "./scene/pointer";
import { castShadows } from "./scene/shadows";
import { Progress } from "./scene/progress";
import { buildingShader, Finish } from "./scene/shading";
import { Site } from "./scene/site";
import { Stage } from "./scene/stage";
import { Tiles } from "./scene/tiles";
import { labelPage } from "./page";
import { Selection } from "./selection";
import type { Settings } from "./settings";
import type { Twin } from "./twin";
import { Compass } from "./ui/compass";
import { SidePanel } from "./ui/legend";
import { Marker } from "./ui/marker";
import { Notices } from "./ui/notify";
import { Panel } from "./ui/panel";
import { LIMIT, SearchBox } from "./ui/search";
import { StatusLine } from "./ui/status";
import { topbar } from "./ui/topbar";
import { decodeView, type ViewState } from "./urlstate";

export class App {
  private readonly stage: Stage;
  private readonly site: Site;
  private readonly tiles: Tiles;
  private readonly datum: Datum;
  private readonly flight: Flight;
  private readonly selection: Selection;
  private readonly colouring: Colouring;
  private readonly highlight: Highlight;
  private readonly notices = new Notices();
  private readonly status: StatusLine;
  private readonly side: SidePanel;
  private readonly address: Address;
  private readonly pointer: Pointer;
  private readonly hidden: Set<string>;
  private readonly properties: PropertyInfo[];
  private readonly names: Map<string, string>;
  private readonly errors: string[] = [];
  private readonly progress: Progress;
  private overlay?: Overlay;

  constructor(
    private readonly root: HTMLElement,
    private readonly api: Api,
    private readonly release: Release,
    private readonly words: Words,
    private readonly settings: Settings,
  ) {
    const view = decodeView(location.hash);
    this.hidden = new Set(view.hidden);
    this.properties = offered(release.layers);
    this.names = new Map(release.layers.flatMap((layer) => layer.properties.map((p) => [p.id, p.name])));
    const map = h("div", { class: "map" });
    this.status = new StatusLine(words, release.verticalDatum);
    root.replaceChildren(map);
    this.stage = new Stage(map, this.status.credits, { low: settings.low });
    const { scene } = this.stage;
    this.site = Site.around(release.layers.map((layer) => layer.region).filter((region) => region !== undefined));
    this.stage.lightFrom(this.site.enuToEcef);
    this.tiles = new Tiles(this.stage);
    this.progress = new Progress(this.stage, this.tiles);
    this.datum = new Datum(api, this.tiles);
    this.flight = new Flight(this.stage, this.site);
    const redraw = (): void => this.stage.redraw();
    this.colouring = new Colouring(this.tiles, (property, classes) => {
      this.highlight.hover(undefined);
      this.side.show(property, classes);
      redraw();
    });
    this.highlight = new Highlight(
      this.tiles,
      redraw,
      (feature) => this.selection.found(feature),
      () => this.selection.lost(),
    );
    const marker = new Marker(scene);
    const panel = this.makePanel();
    this.selection = new Selection({
      api,
      words,
      highlight: this.highlight,
      flight: this.flight,
      marker,
      panel,
      changed: () => {
        this.address.push();
        this.overlay?.selected(this.selection.geid);
      },
      redraw,
      announce: (text) => this.notices.announce(text),
    });
    this.side = this.makeSide();
    this.address = new Address(
      () => this.view(),
      (state) => this.restore(state),
    );
    this.pointer = this.makePointer();
    this.dress(map, marker, panel);
    this.watch();
    new Ground(scene, this.site);
    drawOutline(scene, this.site, release.outline);
    if (view.camera) this.flight.restore(view.camera);
    else this.flight.home(false);
  }

  /** Loads the layers and publishes `window.twin`. */
  async open(): Promise<void> {
    const view = decodeView(location.hash);
    const ready = this.progress.firstComplete();
    window.twin = this.twin(ready);
    this.colourBy(view.colour, false);
    const { selected } = view;
    if (selected !== undefined) this.address.quietly(() => void this.selection.open(selected, view.camera === undefined));
    void this.goLive();
    const shader = buildingShader(this.stage.scene, this.site);
    await Promise.all(
      this.release.layers.map(async (layer) => {
        try {
          this.colouring.dress(await this.tiles.add(layer, shader, this.settings.screenSpaceError));
          this.tiles.show(layer.id, !this.hidden.has(layer.id));
        } catch (error) {
          this.complain(this.words.say("noTiles", { layer: layer.title, message: messageOf(error) }));
        }
      }),
    );
    this.progress.layersAsked();
    await ready;
  }

  /** The living twin is a part of its own, fetched where there is one. */
  private async goLive(): Promise<void> {
    if (this.release.live !== true) return;
    const { Overlay } = await import("./live/overlay");
    const { root, words, stage, site, tiles, highlight, selection, flight, notices } = this;
    this.overlay = new Overlay({ root, base: this.api.root, words, stage, site, tiles, highlight, selection, flight, notices });
  }

  private makePanel(): Panel {
    const { words } = this;
    return new Panel({
      words,
      nameOf: (id) => this.names.get(id),
      fly: () => this.selection.fly(),
      share: () => void this.copy(this.address.link(), words.say("shared")),
      copy: (text) => void this.copy(text, words.say("copied")),
      close: () => this.selection.clear(),
      follow: (geid) => void this.selection.open(geid),
    });
  }

  private makeSide(): SidePanel {
    const { scene } = this.stage;
    const finish = new Finish(scene);
    finish.enabled = !this.settings.low;
    const redraw = (): void => this.stage.redraw();
    return new SidePanel({
      words: this.words,
      layers: this.release.layers,
      hidden: this.hidden,
      properties: this.properties,
      toggleLayer: (id, on) => this.toggle(id, on),
      colourBy: (property) => this.colourBy(property?.id ?? "none"),
      switches: [
        {
          key: "edges",
          on: finish.enabled,
          set: (on) => {
            finish.enabled = on;
            redraw();
          },
        },
        {
          key: "shadows",
          on: false,
          set: (on) => {
            castShadows(scene, this.site, on);
            redraw();
          },
        },
      ],
    });
  }

  private makePointer(): Pointer {
    return new Pointer(this.stage, this.site, {
      draw: (place) => this.overlay?.drew(place) ?? false,
      object: (id) => this.overlay?.clicked(id) ?? false,
      click: (feature, place) => {
        if (feature) this.selection.pick(feature, place);
        else void this.selection.whatStandsAt(place);
      },
      hover: (feature) => this.highlight.hover(feature),
      move: (place) => this.status.showCursor(place && this.datum.levelled(place)),
    });
  }

  private dress(map: HTMLElement, marker: Marker, panel: Panel): void {
    const { words, flight } = this;
    const search = new SearchBox({
      words,
      find: (query, signal) => this.api.search(query, LIMIT, signal),
      choose: (entity) => this.selection.choose(entity),
      announce: (text) => this.notices.announce(text),
    });
    const bar = topbar(this.release, words, search.element, (language) => {
      words.language = language;
      this.address.replace();
    });
    bar.menu.addEventListener("click", () => {
      const open = document.body.classList.toggle("with-side");
      bar.menu.setAttribute("aria-expanded", String(open));
    });
    const zoom = (factor: number): void => flight.zoom(factor);
    const compass = new Compass(words, {
      north: () => flight.north(),
      tilt: () => flight.tilt(),
      home: () => flight.home(),
      zoomIn: () => zoom(0.6),
      zoomOut: () => zoom(1 / 0.6),
    });
    this.stage.scene.postRender.addEventListener(() => compass.turn(this.stage.scene.camera.heading));
    labelPage(words, this.release, this.stage.canvas);
    map.append(marker.element);
    this.root.append(bar.element, this.side.element, panel.element, compass.element, this.status.element, this.notices.element);
    listenForKeys({
      search: () => search.focus(),
      escape: () => {
        if (!this.overlay?.escape()) this.selection.clear();
      },
      home: () => flight.home(),
      north: () => flight.north(),
      tilt: () => flight.tilt(),
      zoom,
      pan: (right, ahead) => flight.pan(right, ahead),
      help: () => this.notices.tell(words.say("keysText")),
    });
  }

  private watch(): void {
    const { scene } = this.stage;
    scene.preUpdate.addEventListener(() => this.flight.keepAbove());
    scene.camera.moveEnd.addEventListener(() => this.address.replace());
    const scale = (): void => this.status.showScale(this.site.metresPerPixel(scene.camera, this.stage.canvas));
    scene.camera.changed.addEventListener(scale);
    scene.camera.percentageChanged = 0.01;
    scene.postRender.addEventListener(scale);
    scene.renderError.addEventListener((_scene: unknown, error: unknown) => this.complain(messageOf(error)));
    this.tiles.onError.push((message) => this.complain(this.words.say("tileFailed", { message })));
    scene.postRender.addEventListener(() => this.highlight.keep());
    this.progress.onChange = (pending) => this.status.showPending(pending);
    this.progress.onComplete = () => this.colouring.settle();
  }

  private colourBy(id: string | undefined, remember = true): void {
    const { properties } = this;
    // Where something is going on, the buildings keep quiet unless they are told otherwise.
    if (id === "none" || (id === undefined && this.release.live === true)) {
      this.side.plain();
      this.colouring.clear();
      if (remember) this.address.replace();
      return;
    }
    const property = properties.find((p) => p.id === id) ?? properties.find((p) => p.id === "height_m") ?? properties[0];
    if (!property) return;
    this.side.show(property, undefined);
    this.colouring.choose(property);
    if (remember) this.address.replace();
  }

  private toggle(id: string, on: boolean): void {
    if (on) this.hidden.delete(id);
    else this.hidden.add(id);
    this.tiles.show(id, on);
    this.address.replace();
  }

  private view(): ViewState {
    const selected = this.selection.geid;
    const colour = this.colouring.by;
    return {
      camera: this.flight.state(),
      ...(selected !== undefined && { selected }),
      ...(colour !== undefined ? { colour } : this.release.live !== true && { colour: "none" }),
      ...(this.hidden.size > 0 && { hidden: [...this.hidden] }),
      language: this.words.language,
    };
  }

  private restore(view: ViewState): void {
    this.words.language = languageOf(view.language, [this.words.language]);
    if (view.camera) this.flight.restore(view.camera);
    if (view.colour !== undefined && view.colour !== this.colouring.by) this.colourBy(view.colour, false);
    if (view.selected === undefined) this.selection.clear();
    else if (view.selected !== this.selection.geid) void this.selection.open(view.selected, false);
  }

  private async copy(text: string, done: string): Promise<void> {
    this.notices.tell((await copyText(text)) ? done : this.words.say("copyFailed"));
  }

  private complain(message: string): void {
    this.errors.push(message);
    this.notices.tell(message, "warning");
  }

  private twin(ready: Promise<void>): Twin {
    const { scene, canvas } = this.stage;
    return {
      viewer: { scene, camera: scene.camera, canvas },
      tilesets: this.tiles.tilesets,
      ready,
      select: (geid) => this.selection.open(geid),
      pick: (x, y) => {
        const feature = this.pointer.pick(new Cartesian2(x, y));
        return feature && geidOf(feature);
      },
      home: () => this.flight.home(false),
      overlay: () => this.overlay,
      state: () => ({
        release: this.release.id,
        project: this.release.name,
        language: this.words.language,
        colour: this.colouring.by,
        selected: this.selection.geid,
        highlighted: this.highlight.lit,
        tilesLoaded: this.tiles.loaded,
        pending: this.tiles.pending,
        camera: { ...this.flight.state(), heading: CesiumMath.toDegrees(scene.camera.heading) },
        errors: [...this.errors],
        live: this.overlay?.state(),
      }),
    };
  }
}
