/** The chart of accuracy over compute: CIFAR-100's presets of results/runs.csv, and others' figures beside them. */
import { mean } from "../core/statistics.js";
import type { RunRow } from "./results.js";

/** A figure of another project's network, measured by a script of bench/. Accuracy in per cent, of one view. */
export interface Peer {
  readonly name: string;
  readonly pflop: number;
  readonly top1: number;
  readonly command: string;
}

/** A preset's runs. Accuracy in per cent: the mean over seeds in one view and in the preset's own views. */
export interface Point {
  readonly name: string;
  readonly pflop: number;
  readonly oneView: number;
  readonly views: number;
}

/** The runs of each preset at its own number of epochs, the largest, and apart from them those that were shorter. */
export function byEpochs(rows: readonly RunRow[]): Map<string, RunRow[]> {
  const own = (preset: string): number =>
    Math.max(...rows.filter((row) => row.preset === preset).map(({ epochs }) => Number(epochs)));
  const nameOf = ({ preset, epochs }: RunRow): string =>
    Number(epochs) === own(preset) ? preset : `${preset}, ${epochs} epochs`;
  return new Map(rows.map(nameOf).map((name) => [name, rows.filter((row) => nameOf(row) === name)]));
}

/** The points of CIFAR-100's presets, the cheapest first, of runs whose figures are all there. */
export function pointsOf(all: readonly RunRow[]): Point[] {
  const rows = all.filter(
    ({ preset, pflop, test_top1, test_top1_one_view }) =>
      preset.startsWith("cifar100-") && pflop && test_top1 && test_top1_one_view,
  );
  const average = (runs: readonly RunRow[], column: keyof RunRow): number =>
    mean(runs.map((run) => Number(run[column])));
  return [...byEpochs(rows)]
    .map(([name, runs]) => ({
      name,
      pflop: average(runs, "pflop"),
      oneView: average(runs, "test_top1_one_view"),
      views: average(runs, "test_top1"),
    }))
    .sort((a, b) => a.pflop - b.pflop);
}

const size = { width: 760, height: 380, left: 72, right: 40, top: 24, bottom: 52 };
const ink = { text: "#1f2328", faint: "#d8dee4", one: "#0b61a4", views: "#8a3ffc", peer: "#57606a" };
/** Points of accuracy that the labels under a point take. */
const labelRoom = 2.5;
const ticks = [0.2, 0.35, 0.5, 1, 2, 3];

/** An SVG chart: PFLOP of training on a logarithmic axis, top-1 on the test set upwards. */
export function budgetChart(points: readonly Point[], peers: readonly Peer[]): string {
  const costs = [...points, ...peers].map(({ pflop }) => pflop);
  const tops = [...points.flatMap(({ oneView, views }) => [oneView, views]), ...peers.map(({ top1 }) => top1)];
  const [low, high] = [Math.floor((Math.min(...tops) - labelRoom) / 5) * 5, Math.ceil(Math.max(...tops) / 5) * 5];
  const [first, last] = [Math.log(Math.min(...costs) * 0.85), Math.log(Math.max(...costs) * 1.25)];
  const round = (value: number): number => Math.round(10 * value) / 10;
  const x = (pflop: number): number =>
    round(size.left + ((Math.log(pflop) - first) / (last - first)) * (size.width - size.left - size.right));
  const y = (top1: number): number =>
    round(size.height - size.bottom - ((top1 - low) / (high - low)) * (size.height - size.top - size.bottom));
  const text = (at: readonly [number, number], words: string, more = ""): string =>
    `<text x="${at[0]}" y="${at[1]}"${more}>${words}</text>`;
  const label = (left: number, top: number, words: string, colour: string): string =>
    text(
      [left, top],
      words,
      ` text-anchor="middle" fill="${colour}" stroke="#ffffff" stroke-width="4" paint-order="stroke"`,
    );
  const line = (of: "oneView" | "views", more: string): string =>
    `<polyline points="${points.map((point) => `${x(point.pflop)},${y(point[of])}`).join(" ")}" fill="none" stroke-width="2"${more}/>`;
  const levels = Array.from({ length: (high - low) / 5 + 1 }, (_, at) => low + 5 * at);
  const shown = ticks.filter((tick) => Math.log(tick) >= first && Math.log(tick) <= last);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${size.width}" height="${size.height}" viewBox="0 0 ${size.width} ${size.height}" role="img" aria-label="Test accuracy of CIFAR-100's presets over the compute of their training">`,
    '<rect width="100%" height="100%" rx="8" fill="#ffffff"/>',
    `<g font-family="system-ui, sans-serif" font-size="13" fill="${ink.text}">`,
    ...levels.map(
      (level) =>
        `<line x1="${size.left}" x2="${size.width - size.right}" y1="${y(level)}" y2="${y(level)}" stroke="${ink.faint}"/>` +
        text([size.left - 8, y(level) + 4], `${level} %`, ' text-anchor="end"'),
    ),
    ...shown.map((tick) => text([x(tick), size.height - size.bottom + 20], String(tick), ' text-anchor="middle"')),
    text(
      [(size.width + size.left - size.right) / 2, size.height - 10],
      "PFLOP of training (6 × multiply-adds × images)",
      ' text-anchor="middle"',
    ),
    line("oneView", ` stroke="${ink.one}"`),
    line("views", ` stroke="${ink.views}" stroke-dasharray="6 4"`),
    ...points.flatMap(({ name, pflop, oneView, views }) => [
      ...(views === oneView
        ? []
        : [
            `<circle cx="${x(pflop)}" cy="${y(views)}" r="4" fill="#ffffff" stroke="${ink.views}" stroke-width="2"/>`,
            label(x(pflop), y(views) - 10, `${views.toFixed(1)} %`, ink.views),
          ]),
      `<circle cx="${x(pflop)}" cy="${y(oneView)}" r="4.5" fill="${ink.one}"/>`,
      label(x(pflop), y(oneView) + 22, name.replace("cifar100-", ""), ink.text),
      label(x(pflop), y(oneView) + 38, `${oneView.toFixed(1)} %`, ink.one),
    ]),
    ...peers.flatMap(({ name, pflop, top1 }) => [
      `<rect x="${x(pflop) - 4}" y="${y(top1) - 4}" width="8" height="8" fill="${ink.peer}"/>`,
      text([x(pflop) + 10, y(top1) + 4], `${name}: ${top1.toFixed(1)} %`, ` fill="${ink.peer}"`),
    ]),
    text([size.left + 12, size.top + 12], "● one view", ` fill="${ink.one}"`),
    text([size.left + 12, size.top + 30], "○ the preset's views", ` fill="${ink.views}"`),
    "</g>",
    "</svg>",
    "",
  ].join("\n");
}
