import { describe, expect, it } from "vitest";
import { countLabel } from "../../src/live/badges";
import { ClusterTree, worst, type Item, type Node } from "../../src/live/cluster";
import { bearing, progress } from "../../src/live/movers";

function random(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 1103515245 + 12345) & 0x7fffffff) / 0x7fffffff;
}

const cutAt = (tree: ClusterTree, size: number): { bunches: Node[]; singles: Item[] } => {
  const [bunches, singles]: [Node[], Item[]] = [[], []];
  tree.cut((node) => node.half * 2 <= size, (node) => bunches.push(node), (item) => singles.push(item));
  return { bunches, singles };
};

describe("the tree of events", () => {
  const next = random(11);
  const items = Array.from({ length: 3000 }, (_, i): Item => ({ key: `k${i}`, x: (next() - 0.5) * 5000, y: (next() - 0.5) * 5000, rank: Math.floor(next() * 5) }));

  it.each([5000, 900, 120, 10, 0])("cut at %d m holds every event exactly once", (size) => {
    const tree = new ClusterTree(2600);
    for (const item of items) tree.put(item);
    const { bunches, singles } = cutAt(tree, size);
    const keys = [...bunches.flatMap((node) => tree.below(node)), ...singles].map((item) => item.key);
    expect(keys.sort()).toEqual(items.map((item) => item.key).sort());
    if (size === 0) expect(singles).toHaveLength(items.length);
  });

  it("knows of every node how many, how severe and where, after moves and removals", () => {
    const tree = new ClusterTree(2600);
    const live = new Map<string, Item>();
    for (let step = 0; step < 12_000; step++) {
      const item = items[Math.floor(next() * items.length)] as Item;
      if (next() < 0.35) {
        expect(tree.remove(item.key)).toBe(live.delete(item.key));
      } else {
        const moved = { ...item, x: (next() - 0.5) * 9000, y: (next() - 0.5) * 9000, rank: Math.floor(next() * 5) };
        live.set(item.key, moved);
        tree.put(moved);
      }
    }
    expect(tree.size).toBe(live.size);
    const { bunches, singles } = cutAt(tree, 700);
    const found = new Map([...singles, ...bunches.flatMap((node) => tree.below(node))].map((item) => [item.key, item]));
    expect(found).toEqual(live);
    for (const node of [tree.root, ...bunches]) {
      const below = tree.below(node);
      expect(node.count).toBe(below.length);
      expect(node.sumX / node.count).toBeCloseTo(below.reduce((sum, item) => sum + item.x, 0) / below.length, 6);
      if (below.length > 0) expect(worst(node)).toBe(Math.max(...below.map((item) => item.rank)));
    }
  });

  it("does not fall for ever where a hundred events stand on one spot", () => {
    const tree = new ClusterTree(1000);
    for (let i = 0; i < 100; i++) tree.put({ key: `k${i}`, x: 3, y: 4, rank: 0 });
    const { bunches, singles } = cutAt(tree, 50);
    expect([...bunches, ...singles]).toHaveLength(1);
    expect(tree.below(tree.root)).toHaveLength(100);
    for (let i = 0; i < 100; i++) tree.remove(`k${i}`);
    expect([tree.size, tree.root.count]).toEqual([0, 0]);
  });
});

describe("the number on a bunch", () => {
  it.each([[7, "7"], [99, "99"], [128, "120+"], [999, "990+"], [1000, "1k"], [1349, "1.3k"], [52_000, "52k"]])("%d is %s", (count, text) => expect(countLabel(count)).toBe(text));
});

describe("what moves", () => {
  it("turns to where it goes, and not while it stands", () => {
    expect(bearing(0, 10)).toBeCloseTo(0);
    expect(bearing(10, 0)).toBeCloseTo(-Math.PI / 2);
    expect(bearing(-10, 0)).toBeCloseTo(Math.PI / 2);
    expect(bearing(0.1, 0.1)).toBeUndefined();
  });

  it("is on its way between two fixes and never beyond", () => {
    expect([progress(100, 50, 90), progress(100, 50, 125), progress(100, 50, 400), progress(100, 0, 100)]).toEqual([0, 0.5, 1, 1]);
  });
});
