import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { overlay, type Picture, rowPng } from "../../../core/index.js";

const gray = (height: number, width: number, value: number): Picture => ({
  pixels: new Uint8Array(height * width * 3).fill(value),
  height,
  width,
});

describe("overlay", () => {
  it("goes from blue over green to red, half of it the picture", () => {
    const { pixels } = overlay(gray(1, 3, 100), [0, 0.5, 1]);
    const [cold, warm, hot] = [pixels.subarray(0, 3), pixels.subarray(3, 6), pixels.subarray(6, 9)];
    expect([...cold]).toEqual([50, 50, 114]);
    expect([...warm]).toEqual([114, 178, 114]);
    expect([...hot]).toEqual([114, 50, 50]);
    expect(overlay(gray(1, 3, 100), [0, 0.5, 1], 0).pixels).toEqual(gray(1, 3, 100).pixels);
    expect(() => overlay(gray(2, 2, 0), [0])).toThrow("does not cover a picture of 2 × 2");
  });

  it("puts pictures next to each other, enlarged by whole pixels", async () => {
    const png = await rowPng([gray(2, 3, 10), gray(2, 3, 200)], 5);
    const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
    expect([info.height, info.width, info.channels]).toEqual([6, 18, 3]);
    for (let y = 0; y < 6; y++) {
      for (let x = 0; x < 18; x++) expect(data[(y * 18 + x) * 3]).toBe(x < 9 ? 10 : 200);
    }
  });
});
