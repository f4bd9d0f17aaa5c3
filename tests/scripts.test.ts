/** The long batteries run rarely; what they lean on is looked at in every run. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, test } from "vitest";
import { type Figures, figures } from "../presets/figures.js";
import { budgetChart, pointsOf } from "../scripts/budget-chart.js";
import { accuracyOf, columns, formatRows, merged, parseRows, type ResultRow } from "../scripts/results.js";

test("every line that `npm run sabotage` breaks still stands where its list says", () => {
  const script = join(import.meta.dirname, "../scripts/sabotage.mjs");
  expect(spawnSync(process.execPath, [script, "--check"], { encoding: "utf8" })).toMatchObject({
    status: 0,
    stderr: "",
  });
});

test.each([
  ["npm pack", ["pack", "--dry-run", "--ignore-scripts=false"], false],
  ["npm run pack", ["run", "prepack"], true],
])("%s gets past the check of what is packed: %j, %j", (_, words, passes) => {
  const { status, stderr } = spawnSync("npm", words, { cwd: join(import.meta.dirname, ".."), encoding: "utf8" });
  expect(status === 0, stderr).toBe(passes);
  expect(stderr.includes("Use npm run pack instead.")).toBe(!passes);
});

describe("npm run results", () => {
  const row = (preset: string, seed: string, top1: string, commit = "abc"): ResultRow => ({
    ...(Object.fromEntries(columns.map((column) => [column, ""])) as ResultRow),
    ...{ preset, seed, commit, test_top1: top1 },
  });

  it("keeps one line for a preset, seed and commit, in order, and reads what it writes", () => {
    const rows = merged(
      [row("b", "1", "3.00"), row("a", "10", "1.00")],
      [row("a", "2", "2.00"), row("b", "1", "4.00")],
    );
    expect(rows.map(({ preset, seed, test_top1 }) => [preset, seed, test_top1])).toEqual([
      ["a", "2", "2.00"],
      ["a", "10", "1.00"],
      ["b", "1", "4.00"],
    ]);
    expect(parseRows(formatRows(rows))).toEqual(rows);
  });

  it("takes the sample deviation, as Python's statistics.stdev", () => {
    const rows = [row("a", "3", "69.10"), row("a", "1", "70.20"), row("a", "2", "69.90")];
    expect(accuracyOf(rows)).toEqual({ mean: 69.7, deviation: 0.6, seeds: [1, 2, 3] }); // stdev 0.5686
    expect(accuracyOf([row("a", "1", "70.26")])).toEqual({ mean: 70.3, deviation: 0, seeds: [1] });
  });

  it("every preset in results/runs.csv has the accuracy of its runs", () => {
    const file = join(import.meta.dirname, "../results/runs.csv");
    const rows = parseRows(readFileSync(file, "utf8"));
    for (const preset of new Set(rows.map((each) => each.preset))) {
      const { top1 } = (figures as Record<string, Figures>)[preset]!;
      expect(top1, preset).toEqual(accuracyOf(rows.filter((each) => each.preset === preset)));
    }
  });
});

describe("the chart of accuracy over compute", () => {
  const row = (preset: string, pflop: string, oneView: string, views: string): ResultRow => ({
    ...(Object.fromEntries(columns.map((column) => [column, ""])) as ResultRow),
    ...{ preset, pflop, test_top1_one_view: oneView, test_top1: views },
  });
  const rows = [
    row("cifar100-b", "1.0", "74", "76"),
    row("cifar100-a", "0.2", "60", "61"),
    row("cifar100-a", "0.2", "62", "65"),
    row("cifar100-a", "0.2", "", "64"), // a figure that was not measured counts nowhere
    row("transfer", "0.006", "93", "93"),
  ];

  it("has a point for each preset of CIFAR-100, the mean of its runs, the cheapest first", () => {
    expect(pointsOf(rows)).toEqual([
      { name: "cifar100-a", pflop: 0.2, oneView: 61, views: 63 },
      { name: "cifar100-b", pflop: 1, oneView: 74, views: 76 },
    ]);
  });

  it("draws more compute further right, and more accuracy higher", () => {
    const svg = budgetChart(pointsOf(rows), [{ name: "Peer", pflop: 0.5, top1: 70, command: "" }]);
    const [one, views] = [...svg.matchAll(/<polyline points="([^"]+)"/g)].map(([, points]) =>
      points!.split(" ").map((point) => point.split(",").map(Number)),
    );
    expect(one![1]![0]).toBeGreaterThan(one![0]![0]!);
    expect(one![1]![1]).toBeLessThan(one![0]![1]!);
    expect(views!.map(([x]) => x)).toEqual(one!.map(([x]) => x));
    expect(views![0]![1]).toBeLessThan(one![0]![1]!);
    expect(svg).toContain(">a</text>");
    expect(svg).toContain("Peer: 70.0 %");
  });
});
