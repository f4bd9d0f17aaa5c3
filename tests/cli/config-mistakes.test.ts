/**
 * R26 and R27 from the command line: every key of the schema misspelt in a config of the user's: code 2, the file, the
 * right name, and nothing written.
 */
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { configSchema } from "../../core/config/config.js";
import { configPlaces } from "../../core/config/load.js";
import { miniCifar100 } from "../support/mini-cifar.js";
import { type Ran, trainer, workplace } from "../support/run-cli.js";

const { base, inside } = workplace();
const configs = join(base, "configs");
mkdirSync(configs);
writeFileSync(join(configs, "package.json"), '{ "type": "module" }');
let count = 0;

/** Runs a config with these lines in it, from the fifth on. */
async function runWith(...lines: string[]): Promise<Ran & { file: string }> {
  const file = join(configs, `config-${count++}.mjs`);
  const text = [
    "export default {",
    '  data: { name: "none", options: {}, load() { throw new Error("loaded"); } },',
    '  model: { name: "none", options: {}, build() {} },',
    "  // Not these: epoch: 1, learning_rate: 1",
    ...lines.map((line) => `  ${line},`),
    "};",
  ];
  writeFileSync(file, `${text.join("\n")}\n`);
  return { ...(await trainer("--config", file)), file };
}

afterEach(() => expect(readdirSync(inside), "nothing is written").toEqual([]));

const slips: Record<string, (key: string) => string> = {
  "a letter lost": (key) => key.slice(0, -2) + key.slice(-1),
  "a letter too many": (key) => `${key}q`,
  "two letters swapped": (key) => key.replace(/(.)(.)$/, "$2$1"),
  "another case": (key) => key.charAt(0).toUpperCase() + key.slice(1),
  snake_case: (key) => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
};
const known = Object.keys(configSchema.shape);
const places: [string, (key: string) => string, readonly string[]][] = [
  ["", (key) => `${key}: 1`, known],
  ["onDivergence.", (key) => `onDivergence: { ${key}: 1 }`, ["skip", "rollback", "factor"]],
];

describe.each(Object.entries(slips))("%s", (_, slip) => {
  it.each(places)("in a key of the config's %s", async (depth, write, keys) => {
    for (const key of keys) {
      const mistake = slip(key);
      if (keys.includes(mistake)) continue;
      const { code, stderr, stdout, file } = await runWith("epochs: 1", "learningRate: 0.1", write(mistake));
      expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
      expect(stderr).toContain(
        `trainer: In ${file}: The config: unknown option "${depth}${mistake}" (did you mean "${key}"?)`,
      );
    }
  });
});

it("a wrong value is named, and all of them at once", async () => {
  const { code, stderr, file } = await runWith(
    'epochs: "three"',
    "learningRate: -1,\n  sed: 1",
    '...Object.fromEntries([["hold" + "out", 2]])',
  );
  expect(code).toBe(2);
  expect(stderr.trim().split("\n").at(-1)).toBe(
    `trainer: In ${file}: The config: "learningRate" expected number to be >0, got -1; ` +
      '"epochs" expected number, got "three"; "holdout" expected number to be <1, got 2; ' +
      'unknown option "sed" (did you mean "seed"?).',
  );
  expect(stderr).not.toMatch(/^\s+at /m);
});

it("no config is run that lies with the data or in a run", async () => {
  const text = 'globalThis.planted = true;\nthrow new Error("planted");\n';
  const plant = (folder: string): void => {
    mkdirSync(folder, { recursive: true });
    for (const place of configPlaces) writeFileSync(join(folder, place), text);
  };
  const data = join(base, "data");
  plant(data);
  for (const [name, content] of Object.entries(miniCifar100())) writeFileSync(join(data, name), content);
  const run = join(base, "run");
  const small = ["--limit-train", "20", "--limit-test", "10", "--max-steps", "1", "--batch-size", "4"];
  const trained = await trainer("--preset", "cifar100-small", "--data", data, "--out", run, ...small);
  expect(trained).toMatchObject({ code: 0 });
  for (const folder of [run, join(run, "checkpoints")]) plant(folder);
  expect(await trainer("data", "verify", "--data", data)).toMatchObject({ code: 0 });
  expect(await trainer("evaluate", run, "--data", data)).toMatchObject({ code: 0 });
  expect(await trainer("--resume", run, "--data", data)).toMatchObject({ code: 0 });
  expect("planted" in globalThis).toBe(false);

  process.chdir(run);
  const { code, stderr } = await trainer();
  process.chdir(inside);
  expect(code).toBe(2);
  expect(stderr).toContain("is in the folder of a run");
  expect("planted" in globalThis).toBe(false);
});
