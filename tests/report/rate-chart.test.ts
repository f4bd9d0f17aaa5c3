/** The SVG of a range test: well-formed, inside its frame, and safe whatever a run is called. */
import sharp from "sharp";
import { expect, it } from "vitest";
import { type RatePoint, rateAt } from "../../core/interpret/rate-range.js";
import { rateChartSvg, roundNumbers } from "../../report/rate-chart.js";

const points = (steps: number): RatePoint[] =>
  Array.from({ length: steps }, (_, step) => ({
    rate: rateAt(step, steps, 1e-4, 1),
    loss: step === steps - 1 ? Number.NaN : 2 - step / steps + (step % 3) / 10,
  }));

it("draws each finite loss, the smoothed curve, the decades and the suggested rates", () => {
  const svg = rateChartSvg(points(41), "quickstart", { steepest: 0.02, safe: 0.1 });
  expect(svg.match(/<circle /g)).toHaveLength(40);
  for (const decade of ["0.0001", "0.001", "0.01", "0.1", "1"]) expect(svg).toContain(`>${decade}</text>`);
  expect(svg).toContain(">steepest 0.02</text>");
  expect(svg).toContain(">safe 0.1</text>");
  const line = /<polyline points="([^"]+)"/
    .exec(svg)![1]!
    .split(" ")
    .map((pair) => pair.split(",").map(Number));
  expect(line).toHaveLength(40);
  expect(line[0]![0]).toBe(64);
  for (const [x, y] of line) {
    expect(x).toBeGreaterThanOrEqual(64);
    expect(x).toBeLessThanOrEqual(704);
    expect(y).toBeGreaterThanOrEqual(40);
    expect(y).toBeLessThanOrEqual(364);
  }
});

it("has a vertical axis of round numbers", () => {
  const numbers = (low: number, high: number): number[] =>
    roundNumbers(low, high).map((each) => Number(each.toFixed(9)));
  expect(numbers(1.2, 3.51)).toEqual([1.5, 2, 2.5, 3, 3.5]);
  expect(numbers(0, 10)).toEqual([0, 2, 4, 6, 8, 10]);
  expect(numbers(0.011, 0.029)).toEqual([0.015, 0.02, 0.025]);
  const svg = rateChartSvg(points(41), "quickstart");
  expect(svg).toContain(">1.5</text>");
});

it("leaves out a rate beside the chart, and escapes the title", async () => {
  const svg = rateChartSvg(points(12), "<script>&", { steepest: 0.01, safe: 50 });
  expect(svg).not.toContain("safe 50");
  expect(svg).not.toContain("<script");
  const { width, height } = await sharp(Buffer.from(svg))
    .png()
    .toBuffer({ resolveWithObject: true })
    .then(({ info }) => info);
  expect([width, height]).toEqual([720, 420]);
});

it("draws a curve of one point, and one that only diverges", async () => {
  for (const losses of [[2], [2, 9, Number.POSITIVE_INFINITY]]) {
    const svg = rateChartSvg(
      losses.map((loss, at) => ({ rate: 10 ** at, loss })),
      "short",
    );
    expect(svg).not.toContain("NaN");
    await sharp(Buffer.from(svg)).png().toBuffer();
  }
});
