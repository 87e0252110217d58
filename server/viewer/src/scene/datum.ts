/** What separates ellipsoidal heights from the project's own, learnt from the first building that is loaded. */

import type { Api } from "../api";
import type { CursorPlace } from "../ui/status";
import type { Place } from "./pointer";
import type { Tiles } from "./tiles";

export class Datum {
  /** Ellipsoidal height less elevation, metres. Over a district it changes by centimetres; the display shows decimetres. */
  private undulation?: number;
  private asked = false;

  constructor(
    private readonly api: Api,
    tiles: Tiles,
  ) {
    tiles.onLoad.push((content) => {
      if (this.asked || content.featuresLength === 0) return;
      const geid = content.getFeature(0).getProperty("geid") as unknown;
      if (typeof geid === "string") void this.learn(geid);
    });
  }

  levelled(place: Place): CursorPlace {
    const { height } = place;
    return this.undulation === undefined || height === undefined ? place : { ...place, elevation: height - this.undulation };
  }

  private async learn(geid: string): Promise<void> {
    this.asked = true;
    try {
      const { height, record } = await this.api.entity(geid);
      const base = record["base_m"];
      if (height !== undefined && typeof base === "number") this.undulation = height - base;
    } catch {
      // Without it heights are shown as ellipsoidal ones, and say so.
    }
  }
}
