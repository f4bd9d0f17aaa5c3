/** `trainer sweep`: its ranges and rounds, and a small search that is stopped, continued and repeated. */
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { rangeOf, roundsOf, sweepTrials } from "../../cli/sweep.js";
import { quickstart } from "../../presets/index.js";
import { readMetrics } from "../../run/metrics.js";
import { trainer, workplace } from "../support/run-cli.js";

const { base } = workplace();
const config = fileURLToPath(new URL("../support/micro.config.ts", import.meta.url));

describe("a range", () => {
  const at = (text: string): string[] => [0, 0.5, 0.999999].map((share) => rangeOf(text)!.at(share));

  it("is even over orders of magnitude, even, or a choice", () => {
    expect(at("learningRate=log(0.01,1)")).toEqual(["0.01", "0.1", "1"]);
    expect(at("x=uniform(-1,3)")).toEqual(["-1", "1", "3"]);
    expect(at("optimizer=choice(sgd, lion,muon)")).toEqual(["sgd", "lion", "muon"]);
    expect(rangeOf("learningRate=0.1")).toBeUndefined();
  });

  it("is refused where it is none", () => {
    expect(() => rangeOf("x=log(0,1)")).toThrow("--set x=log(0,1): expected log(a,b) with 0 < a < b, got (0,1).");
    expect(() => rangeOf("x=uniform(2,1)")).toThrow("expected uniform(a,b) with a < b, got (2,1)");
    expect(() => rangeOf("x=uniform(1)")).toThrow("expected uniform(a,b)");
  });
});

describe("trials", () => {
  it("are a function of seed, number and key: more trials or another key change none", () => {
    const rate = rangeOf("learningRate=log(0.01,1)")!;
    const size = rangeOf("batchSize=choice(8,16)")!;
    const few = sweepTrials(quickstart(), [rate], 3, 1).map(({ settings }) => settings[0]);
    const more = sweepTrials(quickstart(), [size, rate], 5, 1).map(({ settings }) => settings[1]);
    expect(more.slice(0, 3)).toEqual(few);
    expect(new Set(more).size).toBe(5);
    expect(sweepTrials(quickstart(), [rate], 3, 2)[0]!.settings[0]).not.toBe(few[0]);
    const [{ config: first, settings }] = sweepTrials(quickstart(), [rate], 2, 1) as [
      ReturnType<typeof sweepTrials>[number],
    ];
    expect(settings[0]).toBe(`learningRate=${first.learningRate}`);
  });

  it("train in rounds, each with a share of the trials and more epochs", () => {
    expect(roundsOf(9, 27, 3)).toEqual([
      { trials: 9, epochs: 3 },
      { trials: 3, epochs: 9 },
      { trials: 1, epochs: 27 },
    ]);
    expect(roundsOf(8, 4, 2).map(({ trials, epochs }) => [trials, epochs])).toEqual([
      [8, 1],
      [4, 2],
      [2, 4],
    ]);
    expect(roundsOf(5, 10)).toEqual([{ trials: 5, epochs: 10 }]);
    expect(roundsOf(5, 1, 3)).toEqual([{ trials: 5, epochs: 1 }]);
  });
});

describe("trainer sweep", () => {
  const out = join(base, "trials");
  const args = ["sweep", "--config", config, "--set", "learningRate=log(0.001,0.1)", "--trials", "3", "--halving", "2"];
  const run = (folder: string) => trainer(...args, "--out", folder, "--quiet");

  it("pauses all trials, finishes the better half, and gives the same table again and after a kill", async () => {
    const first = await run(out);
    expect(first.stderr).toBe("");
    expect(first.code).toBe(0);
    const epochs = [1, 2, 3].map(
      (trial) =>
        readMetrics(join(out, `trial-${trial}`, "metrics.jsonl")).lines.filter(({ event }) => event === "epoch:end")
          .length,
    );
    expect(epochs.toSorted()).toEqual([1, 2, 2]);
    expect(first.stdout).toMatch(/^best: --set learningRate=0\.\d+$/m);
    expect((await run(out)).stdout).toBe(first.stdout);

    const killed = readdirSync(out).filter((name) => name.startsWith("trial-"))[epochs.indexOf(2)]!;
    rmSync(join(out, killed), { recursive: true });
    expect((await run(out)).stdout).toBe(first.stdout);
  });

  it("searches at a given time for each trial", async () => {
    const timed = args.slice(0, -2).with(-1, "2");
    const { code, stdout, stderr } = await trainer(
      ...timed,
      "--max-time",
      "0.5s",
      "--out",
      join(base, "timed"),
      "--json",
    );
    expect({ code, stderr }).toMatchObject({ code: 0 });
    for (const { epochs, top1 } of JSON.parse(stdout) as { epochs: number; top1: number }[]) {
      expect(Number.isInteger(epochs)).toBe(true);
      expect(top1).toBeGreaterThanOrEqual(0);
    }
  });

  it("needs a range", async () => {
    const { code, stderr } = await trainer("sweep", "--config", config, "--set", "learningRate=0.1");
    expect(code).toBe(2);
    expect(stderr).toContain('Expected a range to search, such as --set "learningRate=log(0.01,1)", got none.');
  });
});
