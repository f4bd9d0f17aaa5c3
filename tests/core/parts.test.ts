/** Parts of a config: unchecked until they are made. */
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { isPart, makePart, partFactory } from "../../core/parts.js";

describe("a factory of parts", () => {
  const schema = z.number().refine((width) => width !== 0, "has no width");
  const make = partFactory("model", "x", schema, (width) => {
    if (width < 0) throw new TypeError("a fault of the factory");
    return { name: "x", options: { width }, build: () => width };
  });

  it("returns kind, name and the options as they were written, right or wrong", () => {
    for (const options of [3, 0, -1, "text"] as number[]) {
      const part = make(options);
      expect(isPart(part)).toBe(true);
      expect(Object.keys(part)).toEqual(["kind", "name", "options"]);
      expect(JSON.parse(JSON.stringify(part))).toEqual({ kind: "model", name: "x", options });
    }
    expect(make().options).toEqual({});
    expect(Object.isFrozen(make())).toBe(true);
  });

  it("makes a part once, from checked options", () => {
    const part = make(3);
    expect(makePart(part).build()).toBe(3);
    expect(makePart(part)).toBe(makePart(part));
    expect(makePart({ ...part, options: 4 as never }).build()).toBe(4);
  });

  it("refuses wrong options when the part is made, again and again", () => {
    const part = make(0);
    for (const _ of [1, 2]) expect(() => makePart(part)).toThrow('Model "x": has no width, got 0.');
  });

  it("refuses a part with another name: it would train as what it is, and be recorded as another", () => {
    expect(() => makePart({ ...make(3), name: "y" })).toThrow('"x" cannot be renamed to "y"');
  });

  it("hides no fault of its own", () => {
    expect(() => makePart(make(-1))).toThrow(TypeError);
  });
});

it("a part written by hand is made already", () => {
  const model = { name: "mine", options: {}, build: () => 1 };
  expect(isPart(model)).toBe(false);
  expect(makePart(model)).toBe(model);
});

it.each([undefined, null, 7, "part", {}, { kind: "model", name: "x", options: {} }])("%j is no part", (value) => {
  expect(isPart(value)).toBe(false);
});
