import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { type Image, overlay, rowPng } from "../../../core/index.js";
import { enlarged, heatColours } from "../../../core/interpret/overlay.js";

const gray = (height: number, width: number, value: number): Image => ({
  pixels: new Uint8Array(height * width * 3).fill(value),
  height,
  width,
});

describe("overlay", () => {
  it("is half the image, half a colour whose lightness rises evenly", () => {
    const steps = Array.from({ length: 11 }, (_, at) => at / 10);
    const { pixels } = overlay(gray(1, 11, 100), steps);
    const colours = steps.map((_, at) => [...pixels.subarray(3 * at, 3 * at + 3)].map((byte) => 2 * byte - 100));
    const [cold, hot] = [colours[0]!, colours.at(-1)!];
    expect(cold[2], "violet: blue is largest").toBe(Math.max(...cold));
    expect(hot[2], "yellow: blue is smallest").toBe(Math.min(...hot));
    // CIELAB's lightness, computed apart from the space that the colours are made in.
    const lightness = colours.map((rgb) => {
      const [red, green, blue] = rgb.map((byte) =>
        byte <= 10 ? byte / 255 / 12.92 : ((byte / 255 + 0.055) / 1.055) ** 2.4,
      );
      const y = 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
      return 116 * Math.cbrt(y) - 16;
    });
    const rises = lightness.slice(1).map((each, at) => each - lightness[at]!);
    expect(Math.min(...rises)).toBeGreaterThan(4);
    expect(Math.max(...rises)).toBeLessThan(10);
    expect(overlay(gray(1, 3, 100), [0, 0.5, 1], 0).pixels).toEqual(gray(1, 3, 100).pixels);
    expect(() => overlay(gray(2, 2, 0), [0])).toThrow("does not cover");
  });

  it("takes what lies outside [0, 1] for the nearest end, and tells its colours for a legend", () => {
    const [low, high] = [overlay(gray(1, 2, 0), [0, 1], 1).pixels, overlay(gray(1, 2, 0), [-3, 7], 1).pixels];
    expect(high).toEqual(low);
    expect(heatColours).toHaveLength(9);
    expect(heatColours[0]).toBe(`#${Buffer.from(low.subarray(0, 3)).toString("hex")}`);
    expect(heatColours.at(-1)).toBe(`#${Buffer.from(low.subarray(3, 6)).toString("hex")}`);
  });

  it("enlarges a map between its centres, and keeps its ends", () => {
    const size = { height: 2, width: 4 };
    expect([...enlarged([0, 1], [1, 2], size)]).toEqual([0, 0.25, 0.75, 1, 0, 0.25, 0.75, 1]);
    expect([...enlarged([0, 1, 2, 3], [2, 2], { height: 2, width: 2 })]).toEqual([0, 1, 2, 3]);
    expect([...enlarged([5], [1, 1], size)]).toEqual(Array(8).fill(5));
  });

  it("puts images next to each other, enlarged by whole pixels", async () => {
    const png = await rowPng([gray(2, 3, 10), gray(2, 3, 200)], 5);
    const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
    expect([info.height, info.width, info.channels]).toEqual([6, 18, 3]);
    for (let y = 0; y < 6; y++) {
      for (let x = 0; x < 18; x++) expect(data[(y * 18 + x) * 3]).toBe(x < 9 ? 10 : 200);
    }
  });
});
