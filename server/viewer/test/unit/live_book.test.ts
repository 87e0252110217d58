import { describe, expect, it } from "vitest";
import { Book, type Change } from "../../src/live/book";
import { isOpen, type LiveEvent } from "../../src/live/event";
import { byTime, EVERYTHING, matches } from "../../src/live/filter";
import { tally } from "../../src/live/ui/strip";

const event = (offset: number, change: Partial<LiveEvent> = {}): LiveEvent => {
  const name = change.case ?? "A";
  return {
    key: `s\n${name}`,
    source: "s",
    id: `m${offset}`,
    case: name,
    kind: "work_order",
    status: "created",
    severity: "medium",
    title: name,
    occurred: offset * 1000,
    offset,
    method: "none",
    confidence: 0,
    photos: [],
    rest: {},
    ...change,
  };
};

const shuffled = <T>(list: readonly T[], seed: number): T[] => {
  const found = [...list];
  let state = seed;
  for (let i = found.length - 1; i > 0; i--) {
    state = (state * 1103515245 + 12345) & 0x7fffffff;
    const j = state % (i + 1);
    [found[i], found[j]] = [found[j] as T, found[i] as T];
  }
  return found;
};

describe("the book", () => {
  it("holds the latest report of a case, however often and in whatever order they come", () => {
    const life = ["created", "accepted", "dispatched", "handled", "closed"] as const;
    const reports = ["A", "B", "C"].flatMap((name, c) => life.slice(0, 3 + c).map((status, i) => event(10 * c + i + 1, { case: name, status, geid: `g${i}` })));
    const expected = { A: "dispatched", B: "handled", C: "closed" };
    for (let seed = 1; seed < 40; seed++) {
      const book = new Book();
      for (const one of shuffled([...reports, ...reports], seed)) book.take([one]);
      expect(Object.fromEntries([...book.cases.values()].map((e) => [e.case, e.status]).sort())).toEqual(expected);
      expect(["g0", "g1", "g2", "g3", "g4"].flatMap((geid) => book.of(geid)).map((e) => e.case).sort()).toEqual(["A", "B", "C"]);
    }
  });

  it("tells each change once, and nothing of a report it has", () => {
    const told: Change[][] = [];
    const book = new Book();
    book.listen((changes) => told.push([...changes]));
    book.take([event(1), event(2, { status: "accepted" })]);
    expect(told).toEqual([[{ after: event(2, { status: "accepted" }) }]]);
    expect(book.take([event(1), event(2, { status: "accepted" })])).toEqual([]);
    expect(told).toHaveLength(1);
  });

  it("lets a late report into nothing: the state stays that of the later occurrence", () => {
    const book = new Book();
    book.take([event(5, { status: "closed" })]);
    expect(book.take([event(6, { status: "dispatched", occurred: 1000 })])).toEqual([]);
    expect(book.cases.get("s\nA")?.status).toBe("closed");
  });

  it("read anew tells what is gone, what is new and what has changed, and nothing else", () => {
    const book = new Book();
    book.take([event(1, { case: "A" }), event(2, { case: "B", geid: "g" }), event(3, { case: "C" })]);
    let told: readonly Change[] = [];
    book.listen((changes) => (told = changes));
    book.reset([event(1, { case: "A" }), event(4, { case: "C", status: "closed" }), event(5, { case: "D" })]);
    expect(told.map(({ before, after }) => [before?.case, after?.case])).toEqual([
      ["B", undefined],
      ["C", "C"],
      [undefined, "D"],
    ]);
    expect(book.of("g")).toEqual([]);
  });

  it("forgets the oldest of what is over and never what is open", () => {
    const book = new Book();
    const many = Array.from({ length: 20_500 }, (_, i) => event(i + 1, { case: `c${i}`, status: i < 300 ? "created" : "closed" }));
    book.take(many);
    const left = [...book.cases.values()];
    expect(left.filter(isOpen)).toHaveLength(300);
    expect(left.length).toBeLessThanOrEqual(20_000);
    expect(book.cases.has("s\nc20499")).toBe(true);
  });
});

describe("the filter", () => {
  const now = 10_000_000;
  const all = [
    event(1, { case: "open" }),
    event(2, { case: "closed", status: "closed" }),
    event(3, { case: "late", due: 1000, severity: "high" }),
    event(4, { case: "water", kind: "observation", status: "observed", severity: "info" }),
    event(5, { case: "flood", kind: "observation", status: "observed", severity: "critical", geid: "g", address: "苏州河 江苏路" }),
  ];
  const found = (change: object): string[] => all.filter((one) => matches(one, { ...EVERYTHING, ...change }, now)).sort(byTime).map((one) => one.case);

  it.each([
    ["what wants something done", {}, ["flood", "late", "open"]],
    ["one state", { status: "closed" }, ["closed"]],
    ["a severity and above", { severity: 3 }, ["flood", "late"]],
    ["what is overdue", { overdue: true }, ["late"]],
    ["what is tied to nothing", { unlinked: true }, ["late", "open"]],
    ["a kind", { kind: "observation" }, ["flood"]],
    ["all the words", { text: "江苏路  苏州河" }, ["flood"]],
    ["words nobody said", { text: "江苏路 黄浦江" }, []],
  ])("shows %s", (_name, change, expected) => expect(found(change)).toEqual(expected));

  it("shows every state where none is asked for", () => {
    const { status: _status, ...rest } = EVERYTHING;
    expect(all.filter((one) => matches(one, rest, now))).toHaveLength(all.length);
  });

  it("is counted the way it is shown", () => {
    expect(tally(all, now)).toEqual({ open: 2, severe: 1, overdue: 1, unlinked: 2, moving: 0 });
  });
});
