import { describe, expect, it } from "vitest";
import { frame, frameBest, lookBeside, project, type FrameBox, type FrameView } from "../../src/framing";

const district: FrameBox = { west: -4900, south: -2400, east: 4900, north: 2400, top: 200 };
const view = (width: number, height: number, left = 270): FrameView => ({
  width,
  height,
  fovy: (38 * Math.PI) / 180,
  down: (36 * Math.PI) / 180,
  inset: { left, right: 60, top: 60, bottom: 40 },
});

describe("the whole district", () => {
  const windows: [number, number][] = [[1280, 720], [3840, 1080], [390, 844], [800, 1600], [2560, 1440]];
  const boxes: [string, FrameBox][] = [
    ["a long district", district],
    ["a tall thin one", { west: -200, south: -3000, east: 200, north: 3000, top: 80 }],
    ["a single building", { west: 10, south: 10, east: 40, north: 30, top: 60 }],
    ["one that is not about the origin", { west: 5000, south: 8000, east: 9000, north: 9000, top: 20 }],
  ];
  for (const [width, height] of windows)
    it.each(boxes)(`of %s fits a window of ${width} × ${height} beside its panels, and fills one direction`, (_, box) => {
      const window = view(width, height, width > 760 ? 270 : 10);
      const seen = project(box, window, frame(box, window));
      if (!seen) throw new Error("behind the camera");
      const { inset } = window;
      expect(seen.left).toBeGreaterThanOrEqual(inset.left - 1.5);
      expect(seen.right).toBeLessThanOrEqual(width - inset.right + 1.5);
      expect(seen.top).toBeGreaterThanOrEqual(inset.top - 1.5);
      expect(seen.bottom).toBeLessThanOrEqual(height - inset.bottom + 1.5);
      const filled = Math.max(
        (seen.right - seen.left) / (width - inset.left - inset.right),
        (seen.bottom - seen.top) / (height - inset.top - inset.bottom),
      );
      expect(filled).toBeGreaterThan(0.97);
    });

  it("is seen more steeply where that fills the window better", () => {
    const { down: _, ...window } = view(1280, 720);
    const long = frameBest(district, window, [0.5, 0.7, 0.9]);
    const deep = frameBest({ west: -2000, south: -4000, east: 2000, north: 4000, top: 100 }, window, [0.5, 0.7, 0.9]);
    expect(long.down).toBeGreaterThan(deep.down);
  });
});

describe("a thing flown to", () => {
  it.each([
    [1280, 720, { left: 270, right: 380, top: 60, bottom: 40 }],
    [390, 844, { left: 14, right: 60, top: 110, bottom: 450 }],
  ])("stands in the middle of what a window of %i × %i has free", (width, height, inset) => {
    const window = { ...view(width, height), inset, down: (50 * Math.PI) / 180 };
    const { right, ahead } = lookBeside(window, 400);
    const seen = project({ west: 0, east: 0, south: 0, north: 0, top: 0 }, window, { east: right, north: ahead, range: 400 });
    const middle = [(inset.left + width - inset.right) / 2, (inset.top + height - inset.bottom) / 2];
    // Perspective moves it a little; a tenth of the free part is near enough.
    expect(Math.abs((seen?.left ?? NaN) - (middle[0] as number))).toBeLessThan(0.1 * (width - inset.left - inset.right));
    expect(Math.abs((seen?.top ?? NaN) - (middle[1] as number))).toBeLessThan(0.1 * (height - inset.top - inset.bottom));
  });
});
