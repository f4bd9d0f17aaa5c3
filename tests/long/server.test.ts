/** examples/server: 1,000 uploads, eight at a time. */
import { join } from "node:path";
import { expect, it } from "vitest";
import { trainer, workplace } from "../support/run-cli.js";
import { loadServer } from "../support/server-load.js";

workplace();

it("answers 1,000 uploads the same, with tensors and memory flat, and what is no image with 400", async () => {
  const config = join(import.meta.dirname, "../support/micro.config.ts");
  expect(await trainer("--config", config, "--out", "run", "--quiet")).toMatchObject({ code: 0 });
  const { statuses, different, tensors, megabytes, refusals } = await loadServer("run", 1000);
  expect(statuses).toEqual({ 200: 900, 400: 100 });
  expect(refusals).toEqual([
    '405 {"error":"Send an image by POST."}',
    '415 {"error":"Send the raw file, not multipart: curl --data-binary @cat.jpg"}',
  ]);
  expect(different).toBe(0);
  expect(tensors[1]).toBe(tensors[0]);
  expect(megabytes[1] - megabytes[0], `${megabytes}`).toBeLessThan(60);
});
