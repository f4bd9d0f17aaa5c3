/**
 * What a JPEG of 500 x 375 costs on its way to 224 pixels, by parts: processor time an image, the least of several rounds.
 *
 *   npm run bench -- decoding [--rounds 5]
 */
import { parseArgs } from "node:util";
import sharp from "sharp";
import { openDecoder } from "../core/data/decode.js";
import { resizeCentre } from "../core/image/resize.js";
import { whole } from "./common/options.js";

const { values } = parseArgs({ options: { rounds: { type: "string", default: "5" } } });
const rounds = whole("rounds", values.rounds);
const [width, height, size] = [500, 375, 224];
const decoder = await openDecoder(); // it switches the library's cache off

const coarse = Uint8Array.from({ length: 25 * 19 * 3 }, (_, at) => ((at + 1) * 7 * 2654435761) >>> 24);
const file = await sharp(coarse, { raw: { width: 25, height: 19, channels: 3 } })
  .resize(width, height, { kernel: "cubic" })
  .jpeg({ quality: 90 })
  .toBuffer();
const pixels = new Uint8Array(await sharp(file).raw().toBuffer());
const raw = { raw: { width, height, channels: 3 } } as const;
const cover = { fit: "cover", kernel: "linear", fastShrinkOnLoad: false } as const;
const open = (options: object = {}) => sharp(file, { ignoreIcc: true, ...options });

const parts: Readonly<Record<string, () => Promise<unknown>>> = {
  "libvips: decoding and scaling": () => open().autoOrient().resize(size, size, cover).flatten().raw().toBuffer(),
  "  without orientation and background": () => open().resize(size, size, cover).raw().toBuffer(),
  "  by the nearest pixel": () =>
    open()
      .resize(size, size, { ...cover, kernel: "nearest" })
      .raw()
      .toBuffer(),
  "  random access": () => open({ sequentialRead: false }).resize(size, size, cover).raw().toBuffer(),
  "  shrinking while it decodes": () =>
    open()
      .resize(size, size, { ...cover, fastShrinkOnLoad: true })
      .raw()
      .toBuffer(),
  "libvips: header alone": () => open().metadata(),
  "libvips: decoding alone": () => open().raw().toBuffer(),
  "libvips: scaling alone": () => sharp(pixels, raw).resize(size, size, cover).raw().toBuffer(),
  "WebAssembly: scaling alone": async () => resizeCentre({ pixels, width, height }, { shorter: size, size }),
  "fitloop: both": () => decoder.decode(file, size, { width, height }),
};

for (const threads of [2, 1]) {
  sharp.concurrency(threads);
  console.log(`${threads} thread${threads > 1 ? "s" : ""} for each of libvips' pipelines`);
  for (const [name, work] of Object.entries(parts)) {
    let least = Number.POSITIVE_INFINITY;
    for (let round = 0; round <= rounds; round++) {
      const before = process.cpuUsage();
      await Promise.all(Array.from({ length: 64 }, work));
      const { user, system } = process.cpuUsage(before);
      if (round > 0) least = Math.min(least, (user + system) / 64_000);
    }
    console.log(`  ${name.padEnd(38)} ${least.toFixed(2)} ms`);
  }
}
