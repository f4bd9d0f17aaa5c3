/** `--resume` from the command line: interrupted and gone on with, a run ends with the bits of one that was not. */
import { createHash } from "node:crypto";
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { system } from "../../core/files.js";
import { toCheckedJson } from "../../run/checked-json.js";
import { readMetrics } from "../../run/metrics.js";
import { type Ran, trainer, workplace } from "../support/run-cli.js";

const { inside } = workplace();
const config = join(import.meta.dirname, "../support/micro.config.ts");
const fit = (out: string, ...more: string[]): Promise<Ran> =>
  trainer("--config", config, "--out", out, "--epochs", "3", "--checkpoint-every", "2", "--json", ...more);
const hashOf = (run: string): string =>
  createHash("sha256")
    .update(readFileSync(join(inside, run, "weights.safetensors")))
    .digest("hex");
/** What the metrics say, wall clock apart. */
const metricsOf = (run: string): unknown[] => {
  const { lines, problem } = readMetrics(join(inside, run, "metrics.jsonl"));
  expect(problem).toBeUndefined();
  return lines.map(({ seconds: _, imagesPerSecond: __, ...line }) => line).filter(({ event }) => event !== "warning");
};
/** Path -> time of the last change, and bytes. */
const filesOf = (run: string): unknown[] =>
  readdirSync(join(inside, run), { recursive: true, withFileTypes: true })
    .filter((each) => each.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
    .map((path) => [path, statSync(path).mtimeMs, createHash("sha256").update(readFileSync(path)).digest("hex")]);
const checkpointsOf = (run: string): string[] => readdirSync(join(inside, run, "checkpoints")).sort();
const copy = (from: string, to: string): void => cpSync(join(inside, from), join(inside, to), { recursive: true });

beforeAll(async () => {
  expect((await fit("whole")).code).toBe(0);
  // 4 steps an epoch; stopped in the middle of the second.
  expect((await fit("part", "--max-steps", "6")).code).toBe(0);
});

describe("--resume RUN", () => {
  it("goes on to the same bits and the same metrics, each step once", async () => {
    copy("part", "named");
    const newest = join(inside, "named", "checkpoints", checkpointsOf("named").at(-1)!, "state.safetensors");
    const reading = vi.spyOn(system, "readFileSync");
    const { code, stderr, stdout } = await trainer("--resume", "named", "--max-steps", "1000", "--json");
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(reading.mock.calls.filter(([path]) => path === newest)).toHaveLength(1); // it may be large
    reading.mockRestore();
    expect(stdout).toMatch(/"event":"fit:resume".*"step":6/);
    expect(hashOf("named")).toBe(hashOf("whole"));
    expect(metricsOf("named")).toEqual(metricsOf("whole"));
    expect(existsSync(join(inside, "named", "run.lock"))).toBe(false);
  });

  it("goes on so also where the last checkpoint is the one of the stop, and the interrupted epoch was summed up", async () => {
    expect((await fit("odd", "--max-steps", "5")).code).toBe(0);
    expect((await trainer("--resume", "odd", "--max-steps", "1000")).code).toBe(0);
    expect(hashOf("odd")).toBe(hashOf("whole"));
    expect(metricsOf("odd")).toEqual(metricsOf("whole"));
  });

  it.each([
    ["whole", "epochs", "--epochs N"],
    ["part", "max steps", "--max-steps N"],
  ])("of a run that has ended does nothing, and says what would (%s)", async (run, reason, longer) => {
    copy(run, `ended-${run}`);
    const before = filesOf(`ended-${run}`);
    expect(await trainer("--resume", `ended-${run}`)).toEqual({
      code: 0,
      stdout: "",
      stderr:
        `This run has ended (${reason}); nothing to do. To train on: trainer --resume ended-${run} ${longer}. ` +
        `To write its page again: trainer report ended-${run}\n`,
    });
    expect(filesOf(`ended-${run}`)).toEqual(before);
    const { stdout } = await trainer("--resume", `ended-${run}`, "--json", "--quiet");
    expect(stdout.split("\n")).toEqual([expect.stringMatching(/^\{"event":"fit:end",.*"test":/), ""]);
  });

  it.each([
    ["summary.json", "is lost", (path: string) => rmSync(path)],
    ["summary.json", "is cut", (path: string) => truncateSync(path, 9)],
    ["weights.safetensors", "is damaged", (path: string) => truncateSync(path, 900)],
    [
      "summary.json",
      "is of the same steps, trained before",
      (path: string) => {
        const { checksum: _, ...summary } = JSON.parse(readFileSync(path, "utf8"));
        writeFileSync(path, toCheckedJson({ ...summary, seconds: summary.seconds + 1 }));
      },
    ],
  ])("of a run at its end whose %s %s evaluates again and writes it", async (file, _, damage) => {
    copy("whole", "again");
    damage(join(inside, "again", file));
    const { code, stderr } = await trainer("--resume", "again");
    expect(code, stderr).toBe(0);
    expect(hashOf("again")).toBe(hashOf("whole"));
    expect(metricsOf("again")).toEqual(metricsOf("whole"));
    expect(JSON.parse(readFileSync(join(inside, "again", "summary.json"), "utf8"))).toMatchObject({ test: {} });
    rmSync(join(inside, "again"), { recursive: true });
  });

  it("extends a finished run", async () => {
    copy("whole", "longer");
    expect((await trainer("--resume", "longer", "--epochs", "4")).code).toBe(0);
    const { epochs, steps } = JSON.parse(readFileSync(join(inside, "longer", "summary.json"), "utf8"));
    expect({ epochs, steps }).toEqual({ epochs: 4, steps: 16 });
  });

  it("refuses a config that would not continue it, shows what differs, and resumes where that is allowed", async () => {
    copy("part", "changed");
    const refused = await trainer("--resume", "changed", "--learning-rate", "0.01", "--seed", "9");
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/learningRate: 0.05 -> 0.01\n +seed: 1 -> 9/);
    expect(refused.stderr).toContain("--allow-change learningRate --allow-change seed");
    const allowed = ["--allow-change", "learningRate", "--learning-rate", "0.01", "--max-steps", "7"];
    expect((await trainer("--resume", "changed", ...allowed)).code).toBe(0);
  });

  it("resumes a run of a version that had fewer options, with one warning of what cannot be checked", async () => {
    copy("part", "older");
    const file = join(inside, "older", "config.resolved.json");
    const record = JSON.parse(readFileSync(file, "utf8"));
    const added = ["seed", "evaluateEvery", "precision", "hookTimeout", "checksum", "dataset", "configs"];
    for (const field of added) delete record[field];
    delete record.model.options.zeroInitResidual;
    delete record.optimizer.options.nesterov;
    delete record.plugins.find(({ name }: { name: string }) => name === "early-stopping").options.minDelta;
    delete record.environment.threads;
    writeFileSync(file, JSON.stringify(record));
    const resumed = await trainer("--resume", "older", "--max-steps", "7");
    expect(resumed).toMatchObject({ code: 0 });
    expect(resumed.stderr.match(/warning: .*/g)).toEqual([
      "warning: The run comes from an earlier version of fitloop: no checksum in config.resolved.json, so damage there " +
        "goes unnoticed; no fingerprint of the data, so a change of images goes unnoticed.",
    ]);
    expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject({ dataset: {}, configs: [expect.any(String)] });
    writeFileSync(file, JSON.stringify(record));
    const refused = await trainer("--resume", "older", "--seed", "9");
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining("  seed: 1 -> 9\nRestore") });
  });

  it("refuses another backend, says what else has changed around it, and resumes where that is allowed", async () => {
    copy("part", "moved");
    const file = join(inside, "moved", "config.resolved.json");
    const record = JSON.parse(readFileSync(file, "utf8"));
    const { checksum: _, ...fields } = record;
    const { backend, node } = record.environment;
    const elsewhere = (environment: object): void =>
      writeFileSync(file, toCheckedJson({ ...fields, environment: { ...record.environment, ...environment } }));
    elsewhere({ backend: "abacus" });
    const before = checkpointsOf("moved");
    const refused = await trainer("--resume", "moved", "--max-steps", "7");
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain(`made on abacus, and would now resume on ${backend}`);
    expect(refused.stderr).toContain("--allow-change backend");
    expect(checkpointsOf("moved")).toEqual(before);
    elsewhere({ backend: "abacus", node: "1.0.0" });
    const allowed = await trainer("--resume", "moved", "--max-steps", "7", "--allow-change", "backend", "--json");
    expect(allowed).toMatchObject({ code: 0 });
    expect(allowed.stdout).toContain(`another environment (backend abacus -> ${backend}, node 1.0.0 -> ${node})`);
  });

  it("keeps what was said up to the old end where it extends a run", async () => {
    copy("whole", "prefix");
    expect((await trainer("--resume", "prefix", "--epochs", "5")).code).toBe(0);
    const steps = (run: string): unknown[] =>
      metricsOf(run).filter((line) => (line as { event: string }).event === "step");
    expect(steps("prefix").slice(0, 12)).toEqual(steps("whole"));
    expect(steps("prefix")).toHaveLength(20);
  });

  it("refuses a damaged checkpoint, and says which older one is whole", async () => {
    copy("part", "damaged");
    const [older, newest] = checkpointsOf("damaged").slice(-2) as [string, string];
    truncateSync(join(inside, "damaged", "checkpoints", newest, "state.safetensors"), 1000);
    const before = checkpointsOf("damaged");
    const refused = await trainer("--resume", "damaged");
    expect(refused.code).toBe(74);
    expect(refused.stderr).toContain(newest);
    expect(refused.stderr).toContain(`--resume ${join(inside, "damaged", "checkpoints", older)}`);
    expect(checkpointsOf("damaged")).toEqual(before);
    const named = await trainer("--resume", join("damaged", "checkpoints", newest));
    expect(named.code).toBe(74);
    const on = await trainer("--resume", join("damaged", "checkpoints", older), "--max-steps", "1000");
    expect(on.code).toBe(0);
    expect(hashOf("damaged")).toBe(hashOf("whole"));
    expect(metricsOf("damaged")).toEqual(metricsOf("whole"));
  });

  it.each([
    ["nowhere", /is not a run: it has no/],
    [".", /is not a run: it has no/],
  ])("of what is no run is one message (%s)", async (path, text) => {
    const { code, stderr } = await trainer("--resume", path);
    expect(code).toBe(65);
    expect(stderr).toMatch(text);
  });

  it("beside --out is one place too many", async () => {
    expect(await trainer("--resume", "part", "--out", "elsewhere")).toMatchObject({ code: 2 });
    expect(existsSync(join(inside, "elsewhere"))).toBe(false);
  });
});

describe("--resume alone", () => {
  it("begins where there is no run, and passes over what is damaged, saying so", async () => {
    const first = await fit("looped", "--resume", "--max-steps", "6");
    expect(first).toMatchObject({ code: 0 });
    const newest = checkpointsOf("looped").at(-1)!;
    writeFileSync(join(inside, "looped", "checkpoints", newest, "meta.json"), "{}");
    const second = await fit("looped", "--resume");
    expect(second.code).toBe(0);
    expect(second.stdout.match(new RegExp(`"event":"warning".*${newest}.*skipped`, "g"))).toHaveLength(1);
    expect(hashOf("looped")).toBe(hashOf("whole"));
    expect(metricsOf("looped")).toEqual(metricsOf("whole"));
  });

  it("takes the newest run of the config's name", async () => {
    copy("part", "runs/micro-3");
    copy("whole", "runs/micro-2");
    const { code } = await trainer("--config", config, "--epochs", "3", "--resume");
    expect(code).toBe(0);
    expect(hashOf("runs/micro-3")).toBe(hashOf("whole"));
  });

  it("begins again where a run was killed before its first checkpoint", async () => {
    copy("part", "bare");
    rmSync(join(inside, "bare", "checkpoints"), { recursive: true });
    const { code, stdout } = await fit("bare", "--resume");
    expect(code).toBe(0);
    expect(stdout).toContain("no checkpoint yet: it starts from the beginning");
    expect(hashOf("bare")).toBe(hashOf("whole"));
    expect(metricsOf("bare")).toEqual(metricsOf("whole"));
  });
});

describe("a run's folder", () => {
  it("keeps the last two checkpoints and those of the best epoch", () => {
    const kept = checkpointsOf("whole");
    expect(kept.length).toBeGreaterThanOrEqual(2);
    expect(kept.length).toBeLessThanOrEqual(4);
    expect(kept.at(-1)).toMatch(/^step-00000012/);
  });

  it("holds no code: a run with plugins of its own wants its config back, unchanged", async () => {
    const own = join(import.meta.dirname, `own-${process.pid}.config.ts`); // where "fitloop" is found
    onTestFinished(() => rmSync(own, { force: true }));
    const text = readFileSync(config, "utf8")
      .replaceAll('name: "micro"', 'name: "own"')
      .replace('MICRO = ""', 'MICRO = "own"');
    writeFileSync(own, text);
    expect((await trainer("--config", own, "--out", "own", "--max-steps", "5")).code).toBe(0);
    writeFileSync(own, `${text}\n// changed`);
    const refused = await trainer("--resume", "own");
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/parts of its own config \(plugin "foreign"\).*has changed since/);
    expect((await trainer("--resume", "own", "--allow-change", "config")).code).toBe(0);
    rmSync(own);
    expect((await trainer("--resume", "own")).stderr).toContain("does not exist any more");
  });
});

it("what a process was killed over while it wrote it is gone after the next start", async () => {
  copy("part", "unfinished");
  for (const name of [".tmp-77-weights.safetensors", ".tmp-78-summary.json"])
    writeFileSync(join(inside, "unfinished", name), "{");
  writeFileSync(join(inside, "unfinished", ".tmp-mine"), "{");
  expect((await trainer("--resume", "unfinished")).code).toBe(0);
  expect(readdirSync(join(inside, "unfinished")).filter((name) => name.startsWith(".tmp"))).toEqual([".tmp-mine"]);
});

describe("a record and a checkpoint", () => {
  const changed = (run: string, change: (text: string) => string): void => {
    const file = join(inside, run, "config.resolved.json");
    writeFileSync(file, change(readFileSync(file, "utf8")));
  };

  it.each<[string, string, string]>([
    ["the rate", '"learningRate": 0.05', '"learningRate": 0.07'],
    ["the seed", '"seed": 1,', '"seed": 3,'],
    ["the batch size", '"batchSize": 8', '"batchSize": 9'],
    ["an option", '"momentum": 0.9', '"momentum": 0.8'],
    ["the epochs", '"epochs": 3', '"epochs": 7'],
    ["the backend", '"backend": "tensorflow",', '"backend": "abacus",'],
  ])("refuse a resume where one valid value was changed by hand: %s", async (_, from, to) => {
    copy("part", "edited");
    changed("edited", (text) => {
      expect(text).toContain(from);
      return text.replace(from, to);
    });
    const { code, stderr } = await trainer("--resume", "edited", "--max-steps", "7");
    expect(code).toBe(65);
    expect(stderr).toMatch(/config\.resolved\.json is damaged, was changed .*expected the checksum/);
    rmSync(join(inside, "edited"), { recursive: true });
  });

  it("refuse a resume where they are of two runs", async () => {
    copy("part", "mixed");
    expect((await fit("other", "--max-steps", "1", "--learning-rate", "0.01")).code).toBe(0);
    writeFileSync(
      join(inside, "mixed", "config.resolved.json"),
      readFileSync(join(inside, "other", "config.resolved.json")),
    );
    const { code, stderr } = await trainer("--resume", "mixed", "--max-steps", "7");
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /The checkpoint is of another run than config\.resolved\.json: expected a config of the hash \w{16}, got \w{16}/,
    );
  });

  it("go together after a change that was allowed, an older checkpoint too", async () => {
    copy("part", "allowed");
    const older = checkpointsOf("allowed")[0]!;
    const change = ["--allow-change", "learningRate", "--learning-rate", "0.01"];
    expect(await trainer("--resume", "allowed", "--max-steps", "8", "--quiet", ...change)).toMatchObject({ code: 0 });
    expect(await trainer("--resume", "allowed", "--max-steps", "9", "--quiet")).toMatchObject({ code: 0 });
    copy("part", "back");
    const changedRun = readFileSync(join(inside, "allowed", "config.resolved.json"));
    writeFileSync(join(inside, "back", "config.resolved.json"), changedRun);
    expect(await trainer("--resume", join("back", "checkpoints", older), "--quiet")).toMatchObject({ code: 0 });
  });
});
