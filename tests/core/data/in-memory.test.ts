import { describe, expect, it } from "vitest";

import { memorySplit } from "../../../core/data/in-memory.js";

const part = (name: string, first: number, count: number) => ({
  name,
  pixels: Uint8Array.from({ length: count * 3 }, (_, at) => first + Math.floor(at / 3)),
  labels: Uint16Array.from({ length: count }, (_, at) => first + at),
});

describe("memorySplit", () => {
  const split = memorySplit([part("a", 0, 3), part("empty", 3, 0), part("b", 3, 4)], 1, 1);

  it("puts parts one after another", async () => {
    expect(split.length).toBe(7);
    expect([...split.labels]).toEqual([0, 1, 2, 3, 4, 5, 6]);
    const images = await split.read([6, 0, 3, 2]);
    expect(images.map(({ pixels }) => pixels[0])).toEqual([6, 0, 3, 2]);
    expect([2, 3, 6].map(split.describe)).toEqual(["a#2", "b#0", "b#3"]);
  });

  it("refuses places outside and pixels that do not fit the labels", () => {
    for (const place of [-1, 7, 1.5, NaN]) {
      expect(() => split.read([place])).toThrow(`expected an index below 7, got ${place}`);
    }
    expect(() => memorySplit([{ ...part("c", 0, 2), pixels: new Uint8Array(5) }], 1, 1)).toThrow(
      "c: 5 bytes of pixels, expected 6",
    );
  });
});
