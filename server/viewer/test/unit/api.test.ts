import { describe, expect, it } from "vitest";
import { Api, ApiError } from "../../src/api";

const root = new URL("https://host.example/x/twin/");

function api(answer: (url: string, init?: RequestInit) => Promise<Response> | Response): Api {
  return new Api(root, (url, init) => Promise.resolve(answer(url, init)));
}
const json = (value: unknown, status = 200): Response => new Response(JSON.stringify(value), { status });
const failureOf = async (promise: Promise<unknown>): Promise<ApiError> => {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ApiError)) throw new Error(`expected an ApiError, got ${String(error)}`);
  return error;
};

describe("the server's endpoints", () => {
  it("are asked under the prefix the viewer is served from, and nowhere else", async () => {
    const asked: string[] = [];
    const all = api((url) => {
      asked.push(url);
      return json(url.includes("/entities/") ? { geid: "a" } : { items: [] });
    });
    await all.search("天山路 1&2", 8);
    await all.entity("a/../b?c");
    await all.resolve(121.4, 31.2, 5);
    await all.release();
    expect(asked).toEqual([
      "https://host.example/x/twin/entities?q=%E5%A4%A9%E5%B1%B1%E8%B7%AF+1%262&limit=8",
      "https://host.example/x/twin/entities/a%2F..%2Fb%3Fc",
      "https://host.example/x/twin/resolve?lon=121.40000000&lat=31.20000000&h=5.00",
      "https://host.example/x/twin/release",
    ]);
  });

  it("say what a problem document says", async () => {
    const error = await failureOf(api(() => json({ title: "Bad", detail: "limit must be at most 100" }, 400)).search("x", 999));
    expect([error.failure, error.message, error.status]).toEqual(["refused", "limit must be at most 100", 400]);
  });

  it.each([
    [404, "not-found"],
    [410, "not-found"],
    [422, "refused"],
    [429, "refused"],
    [500, "broken"],
    [503, "broken"],
  ])("turn status %i into %s, also when the body is no JSON", async (status, failure) => {
    const error = await failureOf(api(() => new Response("<html>", { status, statusText: "Oh" })).entity("a"));
    expect([error.failure, error.message]).toEqual([failure, `${status} Oh`]);
  });

  it("call a network that fails offline", async () => {
    const error = await failureOf(api(() => Promise.reject(new TypeError("Failed to fetch"))).release());
    expect(error.failure).toBe("offline");
  });

  it("call an answer that is no JSON broken", async () => {
    expect((await failureOf(api(() => new Response("hello")).release())).failure).toBe("broken");
    expect((await failureOf(api(() => json({ nothing: true })).entity("a"))).failure).toBe("broken");
  });

  it("let an abort through as an abort", async () => {
    const controller = new AbortController();
    const aborted = api(() => {
      controller.abort();
      return Promise.reject(controller.signal.reason as Error);
    }).search("x", 8, controller.signal);
    await expect(aborted).rejects.toMatchObject({ name: "AbortError" });
  });
});
