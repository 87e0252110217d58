import { describe, expect, it } from "vitest";
import { isOpen, parseEvent, parseEvents, photosOf } from "../../src/live/event";

const message = {
  specversion: "1.0",
  id: "m1",
  source: "urn:grid",
  type: "twin.work_order.created",
  time: "2026-11-22T08:00:00Z",
  offset: 7,
  recordedtime: "2026-11-22T08:00:01Z",
  subject: "7k3m-z9q2-4hdx-p1w8",
  data: {
    case: "WO-1",
    title: "井盖缺失",
    severity: "high",
    status: "created",
    occurred: "2026-11-22T07:59:00Z",
    due: "2026-11-22T12:00:00Z",
    place: { address: "愚园路 1 号", lon: 121.4, lat: 31.2, accuracy_m: 5 },
    link: { geid: "7k3m-z9q2-4hdx-p1w8", method: "address", confidence: 0.9, distance_m: 3.5, lon: 121.41, lat: 31.21, h: 12 },
    photos: ["https://example.org/1.jpg"],
    street: "江苏路街道",
  },
};

describe("a message", () => {
  it("is read with its case, its times and its link", () => {
    expect(parseEvent(message)).toEqual({
      key: "urn:grid\nWO-1",
      source: "urn:grid",
      id: "m1",
      case: "WO-1",
      kind: "work_order",
      status: "created",
      severity: "high",
      title: "井盖缺失",
      occurred: Date.UTC(2026, 10, 22, 7, 59),
      recorded: Date.UTC(2026, 10, 22, 8, 0, 1),
      due: Date.UTC(2026, 10, 22, 12),
      offset: 7,
      lon: 121.41,
      lat: 31.21,
      h: 12,
      geid: "7k3m-z9q2-4hdx-p1w8",
      method: "address",
      confidence: 0.9,
      distance: 3.5,
      address: "愚园路 1 号",
      photos: ["https://example.org/1.jpg"],
      rest: { street: "江苏路街道" },
    });
  });

  it("without a case is about itself, and stands where it says where nothing was found", () => {
    const { case: _case, link: _link, ...data } = message.data;
    const event = parseEvent({ ...message, data });
    expect(event).toMatchObject({ case: "m1", lon: 121.4, lat: 31.2, method: "none", confidence: 0 });
    expect(event?.geid).toBeUndefined();
  });

  it.each([{ source: undefined }, { id: "" }, { offset: undefined }, { offset: "x" }])("that cannot be told apart or put in order is none: %j", (change) => {
    expect(parseEvent({ ...message, ...change })).toBeUndefined();
  });

  it("may come with its offset as text, as extension attributes do", () => {
    expect(parseEvent({ ...message, offset: "7" })?.offset).toBe(7);
  });

  it("keeps a kind nobody knows and does not believe a severity nobody knows", () => {
    expect(parseEvent({ ...message, type: "twin.drone.flight.observed", data: { ...message.data, status: undefined, severity: "apocalyptic" } })).toMatchObject({
      kind: "drone.flight",
      status: "observed",
      severity: "info",
    });
  });

  it("links no photo that would run a script", () => {
    expect(photosOf(["https://a.example/1.jpg", "javascript:alert(1)", "//evil.example/x", "/files/2.jpg", { url: "http://b.example/3" }, 5, "data:text/html,x"])).toEqual([
      "https://a.example/1.jpg",
      "/files/2.jpg",
      "http://b.example/3",
    ]);
  });

  it.each([["events"], ["items"], ["features"]])("is found in a list called %s, and what is no message is left out", (name) => {
    expect(parseEvents({ [name]: [message, null, 3, {}] }).map((event) => event.id)).toEqual(["m1"]);
  });

  it("alone is a list of one", () => expect(parseEvents(message)).toHaveLength(1));

  it.each([
    ["created", true],
    ["reopened", true],
    ["handled", true],
    ["closed", false],
    ["observed", false],
  ])("that is %s is open: %s", (status, open) => {
    expect(isOpen(parseEvent({ ...message, data: { ...message.data, status } })!)).toBe(open);
  });
});
