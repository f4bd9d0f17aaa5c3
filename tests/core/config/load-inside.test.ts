/** The same configs, loaded by a process that has more to do afterwards: a test runner, or a program of the user's. */
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { linesOfKeys, loadConfig } from "../../../core/config/load.js";
import { cifar100 } from "../../../core/data/index.js";
import { sgd } from "../../../core/index.js";
import { resnet18 } from "../../../core/models/index.js";
import { deferRefusals, refusalOf } from "../../../core/options.js";
import { labelSmoothing } from "../../../plugins/index.js";
import { cases, searches, writeConfigs } from "../../support/written-configs.js";

const folder = realpathSync(mkdtempSync(join(tmpdir(), "fitloop-config-")));
beforeAll(() => writeConfigs(folder));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const borrowed = (): unknown[] => [process.exit, process.stdout.write];
let before: unknown[];
beforeEach(() => void (before = borrowed()));
afterEach(() => {
  expect(borrowed(), "the process has its own functions back").toEqual(before);
  expect(() => sgd({ momentum: 2 }), "and what is wrong with a part is thrown").toThrow("momentum");
});

it.each(Object.entries(cases).filter(([, { native }]) => !native))(
  "%s",
  async (name, { gives, says, code = "ERR_CONFIG" }) => {
    const patience = name.includes("never") ? 500 : undefined;
    const loading = loadConfig(name, { from: folder, patience });
    if (says) await expect(loading).rejects.toMatchObject({ code, message: expect.stringMatching(says) });
    else expect(await loading).toEqual({ config: gives, file: join(folder, name) });
  },
);

it("says that a file is not there", async () => {
  await expect(loadConfig("absent.ts", { from: folder })).rejects.toMatchObject({
    code: "ERR_DATA",
    message: `The config ${join(folder, "absent.ts")} does not exist.`,
  });
});

it.each(Object.entries(searches))("from %s upwards", async (from, found) => {
  const loading = loadConfig(undefined, { from: join(folder, from) });
  if (typeof found === "string") expect((await loading).file).toBe(join(folder, found));
  else await expect(loading).rejects.toMatchObject({ code: "ERR_CONFIG", message: expect.stringMatching(found) });
});

it("keeps the causes of what it says", async () => {
  await expect(loadConfig("module/throws.ts", { from: folder })).rejects.toMatchObject({
    cause: { message: "no luck" },
  });
  await expect(loadConfig("module/option.ts", { from: folder })).rejects.toMatchObject({
    cause: { code: "ERR_OPTION" },
  });
});

it("refuses a config again that is asked for again, although Node runs a module once", async () => {
  const loading = () => loadConfig("module/options.ts", { from: folder }).catch(({ message }: Error) => message);
  const first = await loading();
  expect(first).toMatch(/cannot be used:(\n- .*){4}$/);
  expect(await loading()).toBe(first);
});

it.each<[string, () => object, string]>([
  ["a plugin", () => labelSmoothing({ smoothing: 2 }), "apply"],
  ["a plugin", () => labelSmoothing({ smoothing: 2 }), "check"],
  ["a model", () => resnet18({ width: 0 }), "build"],
  ["data", () => cifar100({ path: "" }), "load"],
  ["an optimizer", () => sgd({ momentum: 2 }), "update"],
])("%s that was refused while a config was loaded does nothing but say so", (_, make, act) => {
  const refusals: unknown[] = [];
  const stop = deferRefusals((refusal) => refusals.push(refusal));
  const part = make() as Record<string, () => void>;
  stop();
  expect(refusals).toEqual([refusalOf(part)]);
  expect(refusalOf(part)).toMatchObject({ code: "ERR_OPTION" });
  expect(part[act]).toThrow(refusalOf(part) as Error);
  expect(make, "outside").toThrow((refusalOf(part) as Error).message);
});

it("knows the line of a key that stands there once", () => {
  const path = join(folder, "keys.txt");
  writeFileSync(
    path,
    'epochs: 1, // seed: 2\n  "holdout": 3,\n  twice: 1,\n twice: 2, late$: [\n{short}, call(value),\n xname: 1, namex: 2\nlast\n',
  );
  const lineOf = linesOfKeys(path);
  const lines = [
    "epochs",
    "1",
    "seed",
    "holdout",
    "twice",
    "late$",
    "short",
    "call",
    "value",
    "name",
    "last",
    "a.b",
    "",
  ].map(lineOf);
  expect(lines).toEqual([
    " (line 1)",
    "",
    "",
    " (line 2)",
    "",
    " (line 4)",
    " (line 5)",
    " (line 5)",
    "",
    "",
    " (line 7)",
    "",
    "",
  ]);
});
