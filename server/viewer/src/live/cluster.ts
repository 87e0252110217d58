/**
 * Events bunched by distance: a quadtree over the district whose nodes know how many events they hold and how severe
 * these are. What is near is cut fine and what is far is cut coarse, in one walk from the top.
 */

export interface Item {
  key: string;
  /** Metres east and north of the district's middle. */
  x: number;
  y: number;
  /** 0 to 4, info to critical. */
  rank: number;
}

export interface Node {
  /** The same as long as the square is the same. */
  readonly id: string;
  readonly level: number;
  /** Middle and half side of the square, metres. */
  readonly cx: number;
  readonly cy: number;
  readonly half: number;
  count: number;
  /** How many of each rank. */
  readonly ranks: number[];
  sumX: number;
  sumY: number;
  children: (Node | undefined)[];
  /** Of a leaf. */
  items: Map<string, Item> | undefined;
}

const DEEPEST = 14;
const FULL = 8;

const makeNode = (id: string, level: number, cx: number, cy: number, half: number): Node => ({
  id,
  level,
  cx,
  cy,
  half,
  count: 0,
  ranks: [0, 0, 0, 0, 0],
  sumX: 0,
  sumY: 0,
  children: [],
  items: new Map(),
});

export class ClusterTree {
  readonly root: Node;
  private readonly items = new Map<string, Item>();

  /** `half`: half the side of the square that holds the district, metres; what lies outside counts to its rim. */
  constructor(half: number) {
    this.root = makeNode("r", 0, 0, 0, half);
  }

  get size(): number {
    return this.items.size;
  }

  get(key: string): Item | undefined {
    return this.items.get(key);
  }

  /** Adds, or moves what is there under the same key. */
  put(item: Item): void {
    this.remove(item.key);
    this.items.set(item.key, item);
    this.insert(this.root, item);
  }

  remove(key: string): boolean {
    const item = this.items.get(key);
    if (!item) return false;
    this.items.delete(key);
    let node: Node | undefined = this.root;
    while (node) {
      count(node, item, -1);
      if (node.items) {
        node.items.delete(key);
        break;
      }
      const at: number = quadrant(node, item);
      const child: Node | undefined = node.children[at];
      if (child?.count === 1) {
        node.children[at] = undefined;
        break;
      }
      node = child;
    }
    return true;
  }

  clear(): void {
    this.items.clear();
    Object.assign(this.root, { count: 0, ranks: [0, 0, 0, 0, 0], sumX: 0, sumY: 0, children: [], items: new Map() });
  }

  /** The nodes to draw: those `fine` refuses are cut further, down to the single event. */
  cut(fine: (node: Node) => boolean, draw: (node: Node) => void, single: (item: Item, node: Node) => void): void {
    const stack: Node[] = this.root.count > 0 ? [this.root] : [];
    for (let node = stack.pop(); node; node = stack.pop()) {
      const ready = fine(node);
      if (node.items) {
        if (!ready || node.count === 1) for (const item of node.items.values()) single(item, node);
        else draw(node);
      } else if (ready) {
        draw(node);
      } else {
        for (const child of node.children) if (child && child.count > 0) stack.push(child);
      }
    }
  }

  /** Everything below a node. */
  below(node: Node): Item[] {
    if (node.items) return [...node.items.values()];
    return node.children.flatMap((child) => (child ? this.below(child) : []));
  }

  private insert(from: Node, item: Item): void {
    let node = from;
    for (;;) {
      count(node, item, 1);
      if (node.items) {
        node.items.set(item.key, item);
        if (node.items.size > FULL && node.level < DEEPEST) this.split(node);
        return;
      }
      node = this.child(node, item);
    }
  }

  private split(node: Node): void {
    const items = node.items ?? new Map<string, Item>();
    node.items = undefined;
    for (const item of items.values()) this.insert(this.child(node, item), item);
  }

  private child(node: Node, item: Item): Node {
    const at = quadrant(node, item);
    const found = node.children[at];
    if (found) return found;
    const half = node.half / 2;
    const made = makeNode(`${node.id}${at}`, node.level + 1, node.cx + (at & 1 ? half : -half), node.cy + (at & 2 ? half : -half), half);
    node.children[at] = made;
    return made;
  }
}

const quadrant = (node: Node, item: Item): number => (item.x >= node.cx ? 1 : 0) | (item.y >= node.cy ? 2 : 0);

function count(node: Node, item: Item, by: 1 | -1): void {
  node.count += by;
  node.sumX += by * item.x;
  node.sumY += by * item.y;
  node.ranks[item.rank] = (node.ranks[item.rank] ?? 0) + by;
}

/** The most severe of what a node holds. */
export const worst = (node: Node): number => node.ranks.findLastIndex((n) => n > 0);
