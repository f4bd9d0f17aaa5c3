/** The long batteries run rarely; what they lean on is looked at in every run. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, test } from "vitest";
import { type Figures, figures } from "../presets/figures.js";
import { ablationTable, armsIn, effectsIn } from "../scripts/ablations.js";
import { budgetChart, byEpochs, pointsOf } from "../scripts/budget-chart.js";
import { type AblationRow, ablationColumns, accuracyOf, type RunRow, runColumns } from "../scripts/results.js";
import { formatRows, merged, parseRows } from "../scripts/tables.js";

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
  const row = (preset: string, seed: string, top1: string, commit = "abc"): RunRow => ({
    ...(Object.fromEntries(runColumns.map((column) => [column, ""])) as RunRow),
    ...{ preset, seed, commit, test_top1: top1 },
  });

  it("keeps one line for a preset, seed and commit, in order, and reads what it writes", () => {
    const rows = merged(
      [row("b", "1", "3.00"), row("a", "10", "1.00")],
      [row("a", "2", "2.00"), row("b", "1", "4.00")],
      ["preset", "commit", "seed"],
    );
    expect(rows.map(({ preset, seed, test_top1 }) => [preset, seed, test_top1])).toEqual([
      ["a", "2", "2.00"],
      ["a", "10", "1.00"],
      ["b", "1", "4.00"],
    ]);
    expect(parseRows(formatRows(rows, runColumns), runColumns)).toEqual(rows);
  });

  it("takes the sample deviation, as Python's statistics.stdev", () => {
    const rows = [row("a", "3", "69.10"), row("a", "1", "70.20"), row("a", "2", "69.90")];
    expect(accuracyOf(rows)).toEqual({ mean: 69.7, deviation: 0.6, seeds: [1, 2, 3] }); // stdev 0.5686
    expect(accuracyOf([row("a", "1", "70.26")])).toEqual({ mean: 70.3, deviation: 0, seeds: [1] });
  });

  it("every preset in results/runs.csv has the accuracy of its runs", () => {
    const file = join(import.meta.dirname, "../results/runs.csv");
    const rows = parseRows(readFileSync(file, "utf8"), runColumns);
    for (const [name, runs] of byEpochs(rows)) {
      if (name.endsWith(" epochs")) continue; // shorter than the preset is
      expect((figures as Record<string, Figures>)[name]!.top1, name).toEqual(accuracyOf(runs));
    }
  });
});

describe("the chart of accuracy over compute", () => {
  const row = (preset: string, pflop: string, oneView: string, views: string, epochs = "10"): RunRow => ({
    ...(Object.fromEntries(runColumns.map((column) => [column, ""])) as RunRow),
    ...{ preset, pflop, epochs, test_top1_one_view: oneView, test_top1: views },
  });
  const rows = [
    row("cifar100-b", "1.0", "74", "76"),
    row("cifar100-b", "0.5", "70", "71", "5"),
    row("cifar100-a", "0.2", "60", "61"),
    row("cifar100-a", "0.2", "62", "65"),
    row("cifar100-a", "0.2", "", "64"), // a figure that was not measured counts nowhere
    row("transfer", "0.006", "93", "93"),
  ];

  it("has a point for each preset of CIFAR-100 and number of epochs, the mean of its runs, the cheapest first", () => {
    expect(pointsOf(rows)).toEqual([
      { name: "cifar100-a", pflop: 0.2, oneView: 61, views: 63 },
      { name: "cifar100-b, 5 epochs", pflop: 0.5, oneView: 70, views: 71 },
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

describe("the tables of ablations", () => {
  const row = (arm: string, seed: string, top1: string, seconds = "120"): AblationRow => ({
    ...(Object.fromEntries(ablationColumns.map((column) => [column, ""])) as AblationRow),
    ...{ ablation: "a", arm, seed, seconds, validation_top1: top1 },
  });
  const about = { on: "`small`, 4 epochs", command: "trainer ablate", arms: { "lr-0.1": { title: "rate 0.1" } } };
  const rows = [
    ...["60", "62", "61"].map((top1, at) => row("baseline", String(at + 1), top1)),
    ...["58", "60", "59"].map((top1, at) => row("without-whitening", String(at + 1), top1, "180")),
    ...["61", "62", "61"].map((top1, at) => row("lr-0.1", String(at + 1), top1)),
    ...["61", "63", "62"].map((top1, at) => row("with-cutmix", String(at + 1), top1)),
    row("with-cutmix", "4", "99"), // a seed that not all arms have
  ];

  it("compares arms over the seeds that all have, with the intervals of trainer ablate", () => {
    const table = ablationTable(armsIn(rows, about), about);
    // numpy and scipy: residual deviation 0.28868 points, t.ppf(1 - 0.025 / 3, 6) = 3.28746, so a margin of 0.77486
    expect(table).toContain("| baseline | 61.0 ± 1.0 | | | 2.0 |");
    expect(table).toContain("| without `whitening` | 59.0 ± 1.0 | −2.0 ± 0.8 | worse | 3.0 |");
    expect(table).toContain("| rate 0.1 | 61.3 ± 0.6 | +0.3 ± 0.8 | no difference shown | 2.0 |");
    expect(table).toContain("over 3 seeds");
    expect(table).toContain("all 3 arms at once. Repeat it with `trainer ablate`.");
  });

  it("gives each plugin's card what adding it brings", () => {
    expect([...effectsIn(armsIn(rows, about), about)]).toEqual([
      ["whitening", "+2.0 ± 0.8 points of top-1 (95 % interval) on `small`, 4 epochs: better."],
      ["cutmix", "+1.0 ± 0.8 points of top-1 (95 % interval) on `small`, 4 epochs: better."],
    ]);
  });

  it("of one seed claim no interval, and no result", () => {
    const arms = armsIn(
      rows.filter(({ seed }) => seed === "1"),
      about,
    );
    expect(ablationTable(arms, about)).toContain("| with `cutmix` | 61.0 | +1.0 | | 2.0 |");
    expect(effectsIn(arms, about).get("whitening")).toBe(
      "+2.0 points of top-1 on `small`, 4 epochs, 1 seed, so without an interval.",
    );
  });

  it("need a seed that the baseline and every arm have", () => {
    expect(() => armsIn([row("baseline", "1", "60"), row("with-ema", "2", "61")])).toThrow("has no seed that");
  });
});
