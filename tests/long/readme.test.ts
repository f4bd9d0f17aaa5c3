/** README, "Your own images", in an empty project: from nothing to an answer with its commands and its script, word for word. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { pack, runShell, writePhotos } from "../support/packed.js";

const folder = mkdtempSync(join(tmpdir(), "fitloop-newcomer-"));
const readme = readFileSync(join(import.meta.dirname, "../../README.md"), "utf8");
const section = /^## Your own images\n(.*?)^## /ms.exec(readme)![1]!;
const commands = /^```\n(.*?)^```$/ms.exec(section)![1]!.trimEnd().split("\n");
const scripts = [...section.matchAll(/^```ts\n\/\/ (.*?)\n(.*?)^```$/gms)].map(([, name, text]) => ({
  name: name!,
  text: text!,
}));

beforeAll(async () => {
  const tarball = await pack(join(folder, "packed"));
  copyFileSync(tarball, join(folder, basename(tarball)));
  await writePhotos(folder);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("it takes at most five commands and a script of at most fifteen lines", () => {
  expect(commands.length).toBeLessThanOrEqual(5);
  expect(scripts.map(({ name }) => name)).toEqual(["train.mjs", "predict.mjs"]);
  for (const { text } of scripts) {
    expect(text.split("\n").filter((line) => line.trim() !== "").length).toBeLessThanOrEqual(15);
  }
});

test("the commands end with an answer, and so does the second script", async () => {
  for (const { name, text } of scripts) writeFileSync(join(folder, name), text);
  // Without the network of a newcomer it starts from random weights, and says so.
  const trained = await runShell(["export HF_HUB_OFFLINE=1", "npm init -y", ...commands].join("\n"), folder);
  expect(trained.code, trained.output).toBe(0);
  expect(trained.output.trimEnd().split("\n").slice(-3).join("\n")).toMatch(/\b(cat|dog)\b/);

  const scripted = await runShell("node train.mjs", folder);
  expect(scripted.code, scripted.output).toBe(0);
  expect(scripted.output).toMatch(/\[\s*\{ class: '(cat|dog)', probability: [\d.]+ \}/);

  const used = await runShell("node predict.mjs", folder);
  expect(used.code, used.output).toBe(0);
  expect(used.output).toMatch(/\{ class: '(cat|dog)', probability: [\d.]+ \}/);
});
