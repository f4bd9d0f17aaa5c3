/** Messages about options: one line, with what was expected, what it got, and the name that was meant. */

import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { TrainerError } from "../../core/errors.js";
import { parseOptions, show, suggestion } from "../../core/options.js";

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
    [new Float32Array(48), "Float32Array of 48 numbers"],
    [new DataView(new ArrayBuffer(3)), "DataView of 3 bytes"],
    [{ pixels: new Uint8Array(4) }, '{"pixels":"Uint8Array of 4 numbers"}'],
    [{ shape: [2, 3], dtype: "float32", dataId: {} }, "a tensor of [2,3]"],
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
  const said = (input: unknown): string => {
    try {
      parseOptions("plugin x", schema, input);
    } catch (error) {
      expect(error).toMatchObject({ code: "ERR_OPTION" });
      return (error as TrainerError).message;
    }
    return "";
  };

  it.each<[unknown, string]>([
    [{}, ""],
    [undefined, ""],
    [{ rate: 2 }, 'Plugin x: "rate" expected number to be <=1, got 2.'],
    [{ rate: "a" }, 'Plugin x: "rate" expected number, got "a".'],
    [
      { inner: { deep: 1.5, deeep: 2 } },
      'Plugin x: "inner.deep" expected int, got 1.5; unknown option "inner.deeep" (did you mean "deep"?).',
    ],
    [
      { inner: 3, other: 1 },
      'Plugin x: "inner" expected object, got 3; unknown option "other" (there are: rate, inner).',
    ],
    [7, "Plugin x: expected object, got 7."],
    [[], "Plugin x: expected object, got []."],
  ])("%j", (input, words) => expect(said(input)).toBe(words));

  it("that cannot be read are refused with the reason", () => {
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
