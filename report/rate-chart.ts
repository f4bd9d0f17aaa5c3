/** The curve of a learning rate range test as an SVG image. */
import { short } from "../core/format.js";
import { escapeText } from "../core/html.js";
import { type RatePoint, type RateSuggestion, smoothed } from "../core/interpret/rate-range.js";

const [width, height] = [720, 420];
const frame = { left: 64, right: 16, top: 40, bottom: 56 };
const [plotWidth, plotHeight] = [width - frame.left - frame.right, height - frame.top - frame.bottom];

/**
 * Draws every loss as a dot, the smoothed loss as a line, and the suggested rates as vertical lines. The rate has a
 * logarithmic axis. Losses above 1.5 times the first smoothed one are cut off: the fall is what matters.
 *
 * @param title such as the name of the run
 */
export function rateChartSvg(points: readonly RatePoint[], title: string, suggestion?: RateSuggestion): string {
  const curve = smoothed(points.map(({ loss }) => loss));
  const finite = [...curve, ...points.map(({ loss }) => loss)].filter(Number.isFinite);
  const [low, high] = rangeOf(finite, 1.5 * curve[0]!);
  const [first, last] = [Math.log10(points[0]!.rate), Math.log10(points.at(-1)!.rate)];
  const x = (rate: number): number => frame.left + (plotWidth * (Math.log10(rate) - first)) / (last - first || 1);
  const y = (loss: number): number =>
    frame.top + (plotHeight * (high - Math.min(Math.max(loss, low), high))) / (high - low);
  const at = (rate: number, loss: number): string => `${x(rate).toFixed(1)},${y(loss).toFixed(1)}`;

  const decades = Array.from(
    { length: Math.floor(last) - Math.ceil(first) + 1 },
    (_, place) => Math.ceil(first) + place,
  );
  const vertical = decades.map((decade) => {
    const place = x(10 ** decade).toFixed(1);
    return (
      `<line class="grid" x1="${place}" x2="${place}" y1="${frame.top}" y2="${frame.top + plotHeight}"/>` +
      `<text x="${place}" y="${frame.top + plotHeight + 18}" text-anchor="middle">${short(10 ** decade)}</text>`
    );
  });
  const horizontal = roundNumbers(low, high).map((loss) => {
    const place = y(loss);
    return (
      `<line class="grid" x1="${frame.left}" x2="${width - frame.right}" y1="${place.toFixed(1)}" y2="${place.toFixed(1)}"/>` +
      `<text x="${frame.left - 8}" y="${(place + 4).toFixed(1)}" text-anchor="end">${short(loss)}</text>`
    );
  });
  const dots = points
    .filter(({ loss }) => Number.isFinite(loss))
    .map(({ rate, loss }) => `<circle cx="${x(rate).toFixed(1)}" cy="${y(loss).toFixed(1)}" r="1.6"/>`);
  const line = points.flatMap(({ rate }, place) => (Number.isFinite(curve[place]) ? [at(rate, curve[place]!)] : []));
  const marks = Object.entries(suggestion ?? {})
    .filter(([, rate]) => Math.log10(rate) >= first && Math.log10(rate) <= last)
    .map(([name, rate], row) => {
      const place = x(rate).toFixed(1);
      return (
        `<line class="${name}" x1="${place}" x2="${place}" y1="${frame.top}" y2="${frame.top + plotHeight}"/>` +
        `<text class="${name}" x="${(x(rate) + 5).toFixed(1)}" y="${frame.top + 14 + 16 * row}">${name} ${short(rate)}</text>`
      );
    });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>${escapeText(title)}: loss over the learning rate</title>
<style>
text { font: 12px system-ui, sans-serif; fill: #333 }
.title { font-size: 14px; font-weight: 600 }
.grid { stroke: #e3e3e3 }
circle { fill: #9db7d5; fill-opacity: 0.7 }
polyline { fill: none; stroke: #1f5fa8; stroke-width: 2 }
line.steepest { stroke: #b3590b; stroke-dasharray: 4 3 } text.steepest { fill: #b3590b }
line.safe { stroke: #1b7a3d } text.safe { fill: #1b7a3d }
text.steepest, text.safe { paint-order: stroke; stroke: white; stroke-width: 4px }
</style>
<rect width="100%" height="100%" fill="white"/>
<text class="title" x="${frame.left}" y="22">${escapeText(title)}</text>
${vertical.join("\n")}
${horizontal.join("\n")}
<g>${dots.join("")}</g>
<polyline points="${line.join(" ")}"/>
${marks.join("\n")}
<text x="${frame.left + plotWidth / 2}" y="${height - 12}" text-anchor="middle">learning rate (logarithmic)</text>
<text transform="translate(16 ${frame.top + plotHeight / 2}) rotate(-90)" text-anchor="middle">training loss</text>
</svg>
`;
}

/** Multiples of 1, 2 or 5 times a power of ten between two numbers, about five of them. */
export function roundNumbers(low: number, high: number): number[] {
  const least = (high - low) / 6;
  const power = 10 ** Math.floor(Math.log10(least));
  const step = power * [1, 2, 5, 10].find((digit) => digit * power >= least)!;
  const [first, last] = [Math.ceil(low / step), Math.floor(high / step)];
  return Array.from({ length: last - first + 1 }, (_, place) => (first + place) * step);
}

/** The lowest and the highest number up to `limit`, with a margin of 5 %. */
function rangeOf(numbers: readonly number[], limit: number): [low: number, high: number] {
  const low = Math.min(...numbers);
  const high = Math.max(low, Math.min(limit, Math.max(...numbers)));
  const margin = 0.05 * (high - low) || 1;
  return [low - margin, high + margin];
}
