/** Classes as conditions of the 3D Tiles styling language: first match wins. */

import type { Classes } from "./ramp";

export type Condition = [string, string];

const colour = (css: string): string => `color('${css}')`;

/** Cesium keeps backslashes as they are, so nothing is escaped; ramp.ts lets no value through that has both quotes. */
const quoted = (value: string): string => (value.includes("'") ? `"${value}"` : `'${value}'`);

/** `Number(…)` because comparing a missing value throws in CesiumJS, and NaN matches nothing. */
export function conditions(property: string, classes: Classes): Condition[] {
  const variable = /^\w+$/.test(property) ? `\${${property}}` : `\${feature[${quoted(property)}]}`;
  const missing: Condition = ["true", colour(classes.missing)];
  if (classes.kind === "number") {
    const limits = [...classes.classes].reverse().map((c): Condition => {
      const value = `Number(${variable})`;
      const test = c.from !== undefined ? `${value} >= ${c.from}` : c.to !== undefined ? `${value} < ${c.to}` : `!isNaN(${value})`;
      return [test, colour(c.colour)];
    });
    // `Number(null)` is 0, which would pass for a value.
    return [[`${variable} === null`, colour(classes.missing)], ...limits, missing];
  }
  const tests = classes.classes.map((c): Condition => [`String(${variable}) === ${quoted(c.value)}`, colour(c.colour)]);
  if (classes.other === undefined) return [...tests, missing];
  const none = `${variable} === undefined || ${variable} === null || ${variable} === ''`;
  return [[none, colour(classes.missing)], ...tests, ["true", colour(classes.other)]];
}
