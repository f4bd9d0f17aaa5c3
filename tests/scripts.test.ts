/** The long batteries run rarely; what they lean on is looked at in every run. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

test("every line that `npm run sabotage` breaks still stands where its list says", () => {
  const script = join(import.meta.dirname, "../scripts/sabotage.mjs");
  expect(spawnSync(process.execPath, [script, "--check"], { encoding: "utf8" })).toMatchObject({
    status: 0,
    stderr: "",
  });
});
