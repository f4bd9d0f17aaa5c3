/** examples/server: a few uploads; tests/long has a thousand. */
import { join } from "node:path";
import { expect, it } from "vitest";
import { trainer, workplace } from "../support/run-cli.js";
import { loadServer } from "../support/server-load.js";

workplace();

it("answers uploads the same, keeps no tensor, and answers what is no image with 400", async () => {
  const config = join(import.meta.dirname, "../support/micro.config.ts");
  expect(await trainer("--config", config, "--out", "run", "--quiet")).toMatchObject({ code: 0 });
  const { statuses, different, tensors } = await loadServer("run", 40);
  expect(statuses).toEqual({ 200: 36, 400: 4 });
  expect(different).toBe(0);
  expect(tensors[1]).toBe(tensors[0]);
});
