/** JSON that loses no number, and JSON that comes back as it was. */
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromExactJson, toExactJson, toJson } from "../../run/json.js";

const back = (value: unknown): unknown => fromExactJson(toExactJson(value, "meta"));

describe("JSON for people", () => {
  it("keeps what is not a number as text", () => {
    const value = {
      loss: Number.NaN,
      deep: [{ top: Number.POSITIVE_INFINITY }],
      low: Number.NEGATIVE_INFINITY,
      none: undefined,
      zero: 0,
    };
    expect(toJson(value)).toBe('{"loss":"NaN","deep":[{"top":"Infinity"}],"low":"-Infinity","zero":0}');
  });

  it("has line breaks where an indent is given", () => {
    expect(toJson({ loss: Number.NaN }, 2)).toBe('{\n  "loss": "NaN"\n}');
  });
});

describe("exact JSON", () => {
  it("brings back any plain data", () => {
    const text = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("#", "##", "#NaN", "NaN", "#-0"));
    const { plain } = fc.letrec((tie) => ({
      plain: fc.oneof(
        { depthSize: "small" },
        fc.constant(null),
        fc.boolean(),
        fc.double(),
        fc.constantFrom(NaN, Infinity, -Infinity, -0, 5e-324, 2 ** 53 + 2),
        text,
        fc.array(tie("plain")),
        fc.dictionary(fc.oneof(text, fc.constantFrom("__proto__", "constructor", "toJSON")), tie("plain")),
      ),
    }));
    fc.assert(
      fc.property(plain, (value) => isDeepStrictEqual(back(value), plainPrototypes(value))),
      { numRuns: 500 },
    );
  });

  it("takes a property that is undefined for one that is not there", () => {
    expect(toExactJson({ a: undefined, b: 1 }, "meta")).toBe(toExactJson({ b: 1 }, "meta"));
  });

  it("does not change the prototype of anything", () => {
    const value = back(JSON.parse('{"__proto__": {"polluted": true}}')) as object;
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(Object.keys(value)).toEqual(["__proto__"]);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  it.each<[string, unknown, string]>([
    ["nothing", undefined, "meta has type undefined"],
    ["nothing in a list", { a: [1, undefined] }, "meta.a[1] has type undefined"],
    ["a hole", { a: new Array(2) }, "meta.a[0] has type undefined"],
    ["a function", { toJSON: () => 1 }, "meta.toJSON has type function"],
    ["a big integer", [{ n: 1n }], "meta[0].n has type bigint"],
    ["a symbol", { s: Symbol("s") }, "meta.s has type symbol"],
    ["a date", { when: new Date() }, "meta.when has type Date"],
    ["a map", { m: new Map() }, "meta.m has type Map"],
    ["typed numbers", { m: new Float32Array(1) }, "meta.m has type Float32Array"],
    ["a boxed number", { n: new Number(1) }, "meta.n has type Number"],
    ["an object of no class", { x: Object.create(Object.create(null) as object) as object }, "meta.x has type object"],
    ["an instance", { x: new (class Mine {})() }, "meta.x has type Mine"],
  ])("refuses %s", (_, value, message) => {
    expect(() => toExactJson(value, "meta")).toThrow(expect.objectContaining({ code: "ERR_INTERNAL" }));
    expect(() => toExactJson(value, "meta")).toThrow(message);
  });
});

/** `fc.dictionary` also makes objects without a prototype; what comes back has the usual one. */
function plainPrototypes(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plainPrototypes);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plainPrototypes(item)]));
}
