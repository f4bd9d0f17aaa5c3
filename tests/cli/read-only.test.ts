/** R14: where nothing can be written, that is said before any data is read, and nothing is left. */
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Ran, trainer, workplace } from "../support/run-cli.js";

const { base, inside } = workplace();
for (const folder of [base, inside]) chmodSync(folder, 0o755);
const config = join(base, "config.mjs");
writeFileSync(join(base, "package.json"), '{ "type": "module" }');
writeFileSync(
  config,
  `export default {
    name: "closed", learningRate: 0.1, epochs: 1,
    data: { name: "none", options: {}, load({ log }) { log("data is read"); throw new Error("there is none"); } },
    model: { name: "none", options: {}, build() {} },
  };`,
);
let count = 0;
/** A folder that may only be read. */
function closed(): string {
  const folder = join(base, `closed-${count++}`);
  mkdirSync(folder);
  chmodSync(folder, 0o555);
  return folder;
}

/** Runs the program as somebody to whom modes say no: tests often run as root, to whom none does. */
async function asNobody(...args: string[]): Promise<Ran> {
  const root = process.getuid!() === 0;
  if (root) process.seteuid!(65534);
  try {
    return await trainer("--config", config, ...args);
  } finally {
    if (root) process.seteuid!(0);
  }
}

describe.each([
  ["the folder itself", (folder: string) => folder],
  ["a new one in it", (folder: string) => join(folder, "run")],
  ["a new one far below it", (folder: string) => join(folder, "a", "b", "run")],
])("--out: %s", (_, at) => {
  it("is refused by its path before data is read, and nothing is left", async () => {
    const folder = closed();
    const { code, stderr, stdout } = await asNobody("--out", at(folder));
    expect({ code, stdout }).toEqual({ code: 73, stdout: "" });
    expect(stderr).toMatch(new RegExp(`The run's folder ${at(folder)} cannot be (created|locked): EACCES`));
    expect(stderr).not.toContain("data is read");
    expect(readdirSync(folder)).toEqual([]);
  });
});

it("the working directory is refused as any other", async () => {
  const folder = closed();
  process.chdir(folder);
  const { code, stderr } = await asNobody();
  process.chdir(inside);
  expect(code).toBe(73);
  expect(stderr).toContain(`${join(folder, "runs", "closed-…")} cannot be created: EACCES`);
  expect(stderr).not.toContain("data is read");
  expect(readdirSync(folder)).toEqual([]);
});

it("a run that is to go on is refused too, as it lies", async () => {
  const run = join(base, "run");
  mkdirSync(run);
  const part = { name: "none", options: {} };
  const settings = { batchSize: 128, holdout: 0.1, seed: 1, precision: "float32", evaluateEvery: 1 };
  const parts = { data: part, model: part, optimizer: part, plugins: [] };
  const record = { name: "closed", learningRate: 0.1, epochs: 1, ...settings, ...parts };
  writeFileSync(join(run, "config.resolved.json"), JSON.stringify(record));
  chmodSync(run, 0o555);
  const before = readdirSync(run);
  const { code, stderr } = await asNobody("--out", run, "--resume", "--allow-change", "optimizer");
  expect(stderr).toMatch(new RegExp(`The run's folder ${run} cannot be (written|locked): EACCES`));
  expect(code).toBe(73);
  expect(stderr).not.toContain("data is read");
  expect(readdirSync(run)).toEqual(before);
});

it("and where it can be written, data is read: this test can fail", async () => {
  chmodSync(inside, 0o777);
  const { code, stderr } = await asNobody("--out", join(inside, "open"));
  expect(stderr).toContain("data is read");
  expect(code).toBe(70);
  expect(readdirSync(dirname(join(inside, "open"))), "nothing of a run that never began").toEqual([]);
});
