/** The same configs, loaded by a process that has more to do afterwards: a test runner, or a program of the user's. */
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { loadConfig } from "../../../core/config/load.js";
import { cases, searches, writeConfigs } from "../../support/written-configs.js";

const folder = realpathSync(mkdtempSync(join(tmpdir(), "fitloop-config-")));
beforeAll(() => writeConfigs(folder));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const borrowed = (): unknown[] => [process.exit, process.stdout.write];
let before: unknown[];
beforeEach(() => void (before = borrowed()));
afterEach(() => expect(borrowed(), "the process has its own functions back").toEqual(before));

it.each(Object.entries(cases).filter(([, { native }]) => !native))(
  "%s",
  async (name, { gives, says, code = "ERR_CONFIG" }) => {
    const patience = name.includes("never") ? 500 : undefined;
    const loading = loadConfig(name, { from: folder, patience });
    if (says) await expect(loading).rejects.toMatchObject({ code, message: expect.stringMatching(says) });
    else expect(await loading).toMatchObject({ config: gives, file: join(folder, name) });
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
  expect(first).toMatch(/mistakes in 5 places\.(\n- .*){5}$/);
  expect(await loading()).toBe(first);
});
