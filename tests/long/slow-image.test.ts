/** An image that takes longer than its limit, with the real library. 800 MB of pixels are slow on every machine. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, expect, it } from "vitest";
import { openDecoder } from "../../core/data/decode.js";

const folder = mkdtempSync(join(tmpdir(), "fitloop-slow-image-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it("is an error that names the limit", async () => {
  const file = join(folder, "x.png");
  const background = { r: 220, g: 20, b: 30, alpha: 0.5 };
  await sharp({ create: { width: 10_000, height: 10_000, channels: 4, background } })
    .toColourspace("rgb16")
    .png({ progressive: true, compressionLevel: 1 })
    .toFile(file);
  const decoder = await openDecoder({ maxSeconds: 1 });
  // Never an assertion over the pixels themselves: to print 48 million numbers takes all memory of the process.
  const outcome = await decoder.decode(file, 4000).then(
    ({ width }) => `decoded, ${width} px wide`,
    (error: Error) => error.message,
  );
  expect(outcome).toBe("it takes longer than 1 s to decode (maxSeconds)");
});
