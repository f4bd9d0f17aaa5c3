/** R15: 25 odd names for the working directory, the run's folder, the data and its classes: a run, and on with it. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { readMetrics } from "../../run/metrics.js";
import { miniCifar100 } from "../support/mini-cifar.js";
import { oddNames } from "../support/odd-names.js";
import { trainer, workplace } from "../support/run-cli.js";

const { base, inside } = workplace();
afterAll(() => process.chdir(inside));
const files = miniCifar100();
/** The 25 names are the first classes' too; a line holds no line break. */
const classes = [
  ...oddNames.map((name, index) => (/[\r\n]/.test(name) ? `line ${index}` : name)),
  ...files["fine_label_names.txt"]!.toString().split("\n").slice(oddNames.length),
].join("\n");

it.each(oddNames.map((name) => [JSON.stringify(name).slice(0, 20), name]))("%s", async (_, name) => {
  const here = join(base, `at ${name}`.slice(0, 255), name);
  mkdirSync(join(here, name), { recursive: true });
  process.chdir(here);
  for (const [file, content] of Object.entries({ ...files, "fine_label_names.txt": classes })) {
    writeFileSync(join(name, file), content);
  }
  const run = `./${name}/${name}`;
  const small = [
    "--limit-train",
    "12",
    "--limit-test",
    "4",
    "--batch-size",
    "6",
    "--holdout",
    "0",
    "--backend",
    "wasm",
  ];
  const first = await trainer(
    "--preset",
    "cifar100-small",
    "--epochs",
    "2",
    "--max-steps",
    "2",
    "--checkpoint-every",
    "1",
    "--data",
    `./${name}`,
    "--out",
    run,
    ...small,
  ); // prettier-ignore
  expect(first.stderr).not.toContain("trainer: ");
  expect(first.code).toBe(0);
  const second = await trainer("--resume", run, "--max-steps", "4", "--json");
  expect(second.code).toBe(0);
  expect(
    second.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).event),
  ).toContain("fit:resume");

  const { lines, problem } = readMetrics(join(here, run, "metrics.jsonl"));
  expect(problem).toBeUndefined();
  expect(lines.flatMap(({ event, step }) => (event === "step" ? [step] : []))).toEqual([1, 2, 3, 4]);
  const record = JSON.parse(readFileSync(join(here, run, "config.resolved.json"), "utf8"));
  expect(record.data.options.path).toBe(join(here, name));
  expect(existsSync(join(here, run, "weights.safetensors"))).toBe(true);
  const evaluated = await trainer("evaluate", run, "--json");
  expect(evaluated.code).toBe(0);
});

it("a path longer than the system takes is refused in one message", async () => {
  process.chdir(inside);
  const out = `${"long/".repeat(1000)}run`;
  const { code, stderr } = await trainer("--preset", "quickstart", "--out", out);
  expect(code).toBe(73);
  expect(stderr).toMatch(/cannot be created: ENAMETOOLONG/);
  expect(stderr.trim().split("\n")).toHaveLength(1);
  expect(existsSync("long"), "nothing is left").toBe(false);
});
