import { describe, expect, it } from "vitest";
import { dictionariesForTests as dictionaries, fill, isKey, languageOf, Words } from "../../src/i18n";

const places = (text: string): string[] => [...text.matchAll(/\{(\w+)\}/g)].map((m) => m[1] as string).sort();

describe("the dictionaries", () => {
  it("have the same keys, none empty", () => {
    expect(Object.keys(dictionaries.zh).sort()).toEqual(Object.keys(dictionaries.en).sort());
    for (const words of Object.values(dictionaries)) for (const text of Object.values(words)) expect(text.trim()).not.toBe("");
  });

  it("have the same places to fill in", () => {
    for (const [key, text] of Object.entries(dictionaries.en))
      expect([key, places(dictionaries.zh[key as keyof typeof dictionaries.zh])]).toEqual([key, places(text)]);
  });

  it("are written in their own language", () => {
    const hasWords = (text: string): boolean => /\p{L}/u.test(text.replace(/\{\w+\}/g, ""));
    for (const [key, text] of Object.entries(dictionaries.zh).filter(([, t]) => hasWords(t))) expect([key, /[\u4e00-\u9fff]/.test(text)]).toEqual([key, true]);
    for (const [key, text] of Object.entries(dictionaries.en)) expect([key, /[\u4e00-\u9fff]/.test(text)]).toEqual([key, false]);
  });
});

describe("the language", () => {
  it.each([
    ["zh", ["en-GB"], "zh"],
    ["en", ["zh-CN"], "en"],
    [undefined, ["zh-Hans-CN", "en"], "zh"],
    [undefined, ["fr-FR", "zh-TW"], "zh"],
    [undefined, ["de"], "en"],
    ["xx", ["zh-CN"], "zh"],
    [undefined, [], "en"],
  ])("asked for %s in a browser of %s is %s", (wish, browser, expected) => {
    expect(languageOf(wish, browser)).toBe(expected);
  });

  it("repaints what is bound when it changes, and only then", () => {
    const words = new Words("en");
    const seen: string[] = [];
    words.bind(() => seen.push(words.say("search")));
    words.language = "en";
    words.language = "zh";
    expect(seen).toEqual([dictionaries.en.search, dictionaries.zh.search]);
  });

  it("fills values in without reading them as templates", () => {
    expect(fill("{a} {b} {c}", { a: "{b}", b: 2 })).toBe("{b} 2 {c}");
  });

  it("does not take an inherited member for a word", () => {
    expect(isKey("toString")).toBe(false);
    expect(new Words("en").label("constructor", "Erbauer")).toBe("Erbauer");
  });
});
