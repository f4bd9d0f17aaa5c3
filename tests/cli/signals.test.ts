/** A run leaves the process as it found it: no handler of a signal or of its end stays, however the run ends. */
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { trainer, workplace } from "../support/run-cli.js";

workplace();
const config = join(import.meta.dirname, "../support/micro.config.ts");
const handlers = (): Record<string, number> =>
  Object.fromEntries(["SIGINT", "SIGTERM", "SIGHUP", "exit"].map((name) => [name, process.listenerCount(name)]));
const before = handlers();
afterEach(() => void delete process.env.MICRO);

it.each([
  ["a run that ends", [], 0],
  ["one that fails", ["--learning-rate", "1e30"], 76],
  ["one that is refused", ["--resume", "nowhere"], 65],
])("after %s", async (name, words, expected) => {
  const out = words.includes("--resume") ? [] : ["--out", name];
  const { code } = await trainer("--config", config, ...out, "--epochs", "1", ...words);
  expect(code).toBe(expected);
  expect(handlers()).toEqual(before);
});
