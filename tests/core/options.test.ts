/** What is said of options: in one line, with what came and the name that was meant. */
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { TrainerError } from "../../core/errors.js";
import { deferRefusals, parseOptions, partFactory, refusalOf, show, suggestion } from "../../core/options.js";

describe("a value in a message", () => {
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  it.each<[unknown, string]>([
    [undefined, "nothing"],
    [null, "null"],
    [() => 1, "a function"],
    [Number.NaN, "NaN"],
    [-Infinity, "-Infinity"],
    [10n, "10"],
    ["text", '"text"'],
    [{ a: [1] }, '{"a":[1]}'],
    [Symbol("s"), "Symbol(s)"],
    [cycle, "an object that is not plain data"],
    ["x".repeat(58), `"${"x".repeat(58)}"`],
    ["x".repeat(59), `"${"x".repeat(56)}…`],
  ])("%s", (value, text) => expect(show(value)).toBe(text));
});

describe("a name that is not there", () => {
  it.each<[string, string[], string]>([
    ["alpha", [], ""],
    ["dept", ["stem", "depth"], ' (did you mean "depth"?)'],
    ["colour", ["depth"], " (there is: depth)"],
    ["colour", ["depth", "stem"], " (there are: depth, stem)"],
    ["LEARNING_RATE", ["epochs", "learningRate"], ' (did you mean "learningRate"?)'],
    // Of two letters one may be wrong, of nine three.
    ["ab", ["cb"], ' (did you mean "cb"?)'],
    ["ab", ["cd"], " (there is: cd)"],
    ["smoothxyz", ["smoothing"], ' (did you mean "smoothing"?)'],
    ["smootwxyz", ["smoothing"], " (there is: smoothing)"],
    ["abcd", ["abxy"], ' (did you mean "abxy"?)'],
    ["abcd", ["axyz"], " (there is: axyz)"],
  ])("%s among %j", (name, known, words) => expect(suggestion(name, known)).toBe(words));
});

describe("options", () => {
  const schema = z.strictObject({
    rate: z.number().max(1).default(0.5),
    inner: z.strictObject({ deep: z.int() }).optional(),
  });
  const said = (input: unknown, placeOf?: (key: string) => string): string => {
    try {
      parseOptions("plugin x", schema, input, placeOf);
    } catch (error) {
      expect(error).toMatchObject({ code: "ERR_OPTION" });
      return (error as TrainerError).message;
    }
    return "";
  };

  it.each<[unknown, string]>([
    [{}, ""],
    [undefined, ""],
    [{ rate: 2 }, 'Plugin x: "rate" Too big: expected number to be <=1, and 2 came.'],
    [{ rate: "a" }, 'Plugin x: "rate" expected number, and "a" came.'],
    [
      { inner: { deep: 1.5, deeep: 2 } },
      'Plugin x: "inner.deep" expected int, and 1.5 came; unknown option "inner.deeep" (did you mean "deep"?).',
    ],
    [
      { inner: 3, other: 1 },
      'Plugin x: "inner" expected object, and 3 came; unknown option "other" (there are: rate, inner).',
    ],
    [7, "Plugin x: expected object, and 7 came."],
    [[], "Plugin x: expected object, and [] came."],
  ])("%j", (input, words) => expect(said(input)).toBe(words));

  it("are told with the place of their keys", () => {
    const words = said({ rate: 2, inner: { deeep: 1 } }, (key) => ` (line of ${key})`);
    expect(words).toContain('"rate" (line of rate) Too big');
    expect(words).toContain('"inner.deep" (line of deep) expected number, and nothing came');
    expect(words).toContain('unknown option "inner.deeep" (line of deeep) (did you mean "deep"?)');
  });

  it("that cannot be read are told with the reason", () => {
    const cause = new Error("not today. Or tomorrow.");
    const input = Object.defineProperty({}, "rate", {
      enumerable: true,
      get() {
        throw cause;
      },
    });
    expect(said(input)).toBe("Plugin x cannot be read: not today. Or tomorrow.");
    expect(() => parseOptions("plugin x", schema, input)).toThrow(expect.objectContaining({ cause }));
  });
});

describe("a factory of parts", () => {
  const schema = z.number().refine((width) => width !== 0, "has no width");
  const make = partFactory("model", "x", schema, (width) => {
    if (width < 0) throw new TypeError("a fault of the factory");
    return { name: "x", options: { width }, build: () => width };
  });

  it("makes parts, and throws what is wrong", () => {
    expect(make(3).build()).toBe(3);
    expect(() => make(0)).toThrow("no width");
  });

  it("notes what is wrong while refusals are deferred, but no fault of its own", () => {
    const refusals: unknown[] = [];
    const stop = deferRefusals((refusal) => refusals.push(refusal));
    const [good, bad] = [make(3), make(0)];
    expect(() => make(-1)).toThrow(TypeError);
    stop();
    expect(refusals).toEqual([new TrainerError("ERR_OPTION", 'Model "x": has no width, and 0 came.')]);
    expect(Object.keys(bad)).toEqual(["name", "options", "build"]);
    expect(bad.build).toThrow("no width");
    expect(refusalOf(bad)).toBe(refusals[0]);
    expect([good, undefined, 7].map(refusalOf)).toEqual([undefined, undefined, undefined]);
    expect(() => make(0)).toThrow("no width");
  });
});
