/** R24 and R27 at length: what comes from outside is taken or refused in words, whatever it is. */
import { join } from "node:path";
import { expect, it } from "vitest";
import { survivesAnyConfig } from "../core/config/any-config.js";
import { survivesDamage } from "../core/data/damaged-archive.js";
import { temporaryFolder } from "../core/data/mini-cifar.js";

const folder = temporaryFolder();

it("20,000 archives with damaged headers", () =>
  survivesDamage(join(folder, "mutated"), ["train.bin", "test.bin", "names.txt"], 20_000));

it("50,000 configs, none of which takes a second", () => {
  const slowest = survivesAnyConfig(50_000);
  expect(slowest).toBeLessThan(1000);
});
