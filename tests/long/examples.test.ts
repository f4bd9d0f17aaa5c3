/** Each example as its reader uses it: copied into an empty folder, then the commands of its README, word for word. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { complaintsIn, pack, runShell, writePhotos } from "../support/packed.js";

const examples = join(import.meta.dirname, "../../examples");
const base = mkdtempSync(join(tmpdir(), "fitloop-examples-"));
let tarball: string;
beforeAll(async () => void (tarball = await pack(join(base, "packed"))));
afterAll(() => rmSync(base, { recursive: true, force: true }));

test.each(readdirSync(examples))("the commands of examples/%s/README.md work in this order", async (name) => {
  const folder = join(base, name);
  cpSync(join(examples, name), folder, { recursive: true });
  await writePhotos(folder);
  const file = join(folder, "package.json");
  const manifest = JSON.parse(readFileSync(file, "utf8"));
  expect(manifest.dependencies).toHaveProperty("fitloop");
  manifest.dependencies.fitloop = `file:${tarball}`;
  writeFileSync(file, JSON.stringify(manifest));

  const readme = readFileSync(join(folder, "README.md"), "utf8");
  const commands = [...readme.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block!);
  expect(commands.length).toBeGreaterThan(0);
  const { code, output } = await runShell(commands.join("\n"), folder);
  expect(code, output).toBe(0);
  expect(complaintsIn(output)).toEqual([]);
});
