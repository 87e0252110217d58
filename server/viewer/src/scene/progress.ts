/** Tells what is still to come, and when a view is complete: nothing left to load over several frames. */

import type { Stage } from "./stage";
import type { Tiles } from "./tiles";

const STEADY_FRAMES = 3;

export class Progress {
  /** −1 while no layer is open, 0 when the view is complete. */
  onChange: (pending: number) => void = () => undefined;
  onComplete: () => void = () => undefined;
  private steady = 0;
  private asked = false;

  constructor(
    private readonly stage: Stage,
    private readonly tiles: Tiles,
  ) {
    stage.scene.postRender.addEventListener(() => this.count());
  }

  /** Resolves with the first complete view; draws until then, for nothing else might ask for frames. */
  firstComplete(): Promise<void> {
    return new Promise((resolve) => {
      const remove = this.stage.scene.postRender.addEventListener(() => {
        if (this.steady <= STEADY_FRAMES) {
          this.stage.redraw();
          return;
        }
        remove();
        resolve();
      });
    });
  }

  /** Every layer has been opened or has failed; a page without any layer is complete as well. */
  layersAsked(): void {
    this.asked = true;
    this.stage.redraw();
  }

  private count(): void {
    const done = this.asked && this.tiles.loaded;
    this.steady = done ? this.steady + 1 : 0;
    this.onChange(done ? 0 : this.tiles.tilesets.size === 0 ? -1 : Math.max(1, this.tiles.pending));
    if (this.steady === STEADY_FRAMES) this.onComplete();
    else if (done && this.steady < STEADY_FRAMES) this.stage.redraw();
  }
}
