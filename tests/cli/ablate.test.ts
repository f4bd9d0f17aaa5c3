/** `trainer ablate`: its arms, and a small ablation that is stopped, continued and repeated. */
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { armsOf, folderNames, trialsOf } from "../../cli/ablate.js";
import { quickstart } from "../../presets/index.js";
import { trainer, workplace } from "../support/run-cli.js";

const { base } = workplace();
const config = fileURLToPath(new URL("../support/micro.config.ts", import.meta.url));

describe("arms", () => {
  const names = (arms: string[]): string[] => [...armsOf(quickstart(), arms).keys()];

  it("add a plugin, leave one out, or set a value; the baseline comes first", () => {
    const own = quickstart().plugins!.map(({ name }) => name);
    const arms = armsOf(quickstart(), ["ema", own[0]!, "learningRate=0.2", "optimizer=muon"]);
    expect([...arms.keys()]).toEqual([
      "baseline",
      "with ema",
      `without ${own[0]}`,
      "learningRate=0.2",
      "optimizer=muon",
    ]);
    expect(arms.get("with ema")!.plugins!.map(({ name }) => name)).toEqual([...own, "ema"]);
    expect(arms.get(`without ${own[0]}`)!.plugins!.map(({ name }) => name)).toEqual(own.slice(1));
    expect(arms.get("learningRate=0.2")!.learningRate).toBe(0.2);
    expect(arms.get("optimizer=muon")!.optimizer!.name).toBe("muon");
  });

  it("may be several changes together", () => {
    const [, both, options] = [...armsOf(quickstart(), ["ema+one-cycle+epochs=2", "mixup+plugins.mixup.alpha=0.4"])];
    expect(both![0]).toBe("with ema + without one-cycle + epochs=2");
    expect(both![1].epochs).toBe(2);
    expect(both![1].plugins!.map(({ name }) => name)).toEqual(["random-crop-flip", "label-smoothing", "ema"]);
    expect(options![1].plugins!.at(-1)).toMatchObject({ name: "mixup", options: { alpha: 0.4 } });
    expect(names(["learningRate=1e+1"])).toEqual(["baseline", "learningRate=1e+1"]);
  });

  it("are refused where there is no such plugin or optimizer, or one twice", () => {
    expect(() => names(["cutmixx"])).toThrow('Unknown plugin "cutmixx" (did you mean "cutmix"?)');
    expect(() => names(["optimizer=moun"])).toThrow('Unknown optimizer "moun"');
    expect(() => names(["ema", "ema"])).toThrow('--arms: "with ema" is there twice. Remove one of them.');
  });

  it("run seed by seed, each in a folder that any file system takes", () => {
    const trials = trialsOf(armsOf(quickstart(), ["model.width=4"]), 2);
    expect(trials.map(({ name }) => name)).toEqual(["baseline-1", "model.width=4-1", "baseline-2", "model.width=4-2"]);
    expect(trials.map((trial) => trial.config.seed)).toEqual([1, 1, 2, 2]);
  });

  it("have a folder each, however long their names are", () => {
    const long = `model.width=4 + ${"plugins.cutmix.alpha=0.5 + ".repeat(12)}learningRate=0.1`;
    const arms = ["learningRate=1e+1", "learningRate=1e-1", long, `${long}5`];
    const names = [...folderNames(arms).values()];
    expect(new Set(names).size).toBe(4);
    for (const name of names) expect(name).toMatch(/^[\w.=-]{1,160}$/);
    expect(folderNames(["learningRate=1e-1"])).toEqual(new Map([["learningRate=1e-1", "learningRate=1e-1"]]));
  });
});

describe("trainer ablate", () => {
  const out = join(base, "arms");
  const args = [
    "ablate",
    "--config",
    config,
    "--arms",
    "l2,learningRate=0.001",
    "--seeds",
    "2",
    "--out",
    out,
    "--quiet",
  ];
  const figures = (stdout: string): string[] => stdout.split("\n").map((line) => line.replace(/ +\S+$/, "")); // but seconds

  it("trains every arm with every seed, writes a page, and gives the same table again without training", async () => {
    const first = await trainer(...args);
    expect(first.stderr).toBe("");
    expect(first.code).toBe(0);
    expect(first.stdout).toMatch(/^learningRate=0\.001 +[\d.]+ ± [\d.]+ +[+-][\d.]+ ± [\d.]+ /m);
    expect(first.stdout).toContain("intervals that hold at 95 % for all 2 arms at once (Bonferroni)");
    expect(readdirSync(out).filter((name) => /-[12]$/.test(name))).toHaveLength(6);
    expect(readFileSync(join(out, "compare.html"), "utf8")).toContain("Differences from the baseline");
    const again = await trainer(...args);
    expect(again.stdout).toBe(first.stdout);

    // As after a kill: one run has lost its end, another has not begun.
    rmSync(join(out, "learningRate=0.001-1", "summary.json"));
    rmSync(join(out, "with-l2-2"), { recursive: true });
    const continued = await trainer(...args);
    expect(figures(continued.stdout)).toEqual(figures(first.stdout));
    expect(existsSync(join(out, "learningRate=0.001-1", "summary.json"))).toBe(true);
  });

  it("refuses runs of another config in its folder, and a config without validation", async () => {
    const other = await trainer(...args, "--epochs", "1");
    expect(other.code).toBe(2);
    expect(other.stderr).toMatch(/^trainer: Run "baseline-1": .*epochs/s);
    const blind = await trainer(...args.with(-2, join(base, "blind")), "--holdout", "0", "--without", "early-stopping");
    expect(blind.code).toBe(2);
    expect(blind.stderr).toContain(
      "has no validation images, and the test set is not for choosing. Give --holdout 0.1",
    );
  });
});
