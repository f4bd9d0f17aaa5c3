/** What is known of image files is noted, and no change hides behind a note. */
import { readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { checkImages } from "../../../core/data/image-checks.js";
import { temporaryFolder } from "../../support/mini-cifar.js";

const root = temporaryFolder();
const notes = temporaryFolder();
const png = (red: number) =>
  sharp({ create: { width: 8, height: 8, channels: 3, background: { r: red, g: 0, b: 0 } } })
    .png()
    .toBuffer();
const files = ["a.png", "b c.png", "ü\n.png"].map((name) => join(root, name));
const header = { width: 8, height: 8, format: "png", plain: true };
const decode = vi.fn(async (_file: string, _full: boolean) => header);
const check = (change: Partial<Parameters<typeof checkImages>[1]> = {}) =>
  checkImages(files, { root, decode, full: true, notes, settled: 0, ...change });
const asked = () => decode.mock.calls.map(([file]) => file).sort();

beforeEach(async () => {
  for (const [at, file] of files.entries()) writeFileSync(file, await png(at));
  for (const name of readdirSync(notes)) writeFileSync(join(notes, name), "");
  decode.mockReset().mockResolvedValue(header);
});

describe("checking images", () => {
  it("reads every file once, and from then on those that changed", async () => {
    const first = await check();
    expect(asked()).toEqual([...files].sort());
    decode.mockClear();
    expect(await check()).toEqual(first);
    expect(asked()).toEqual([]);
    writeFileSync(files[1]!, await png(77));
    const after = await check();
    expect(asked()).toEqual([files[1]]);
    expect(after.hashes.get(files[1]!)).not.toBe(first.hashes.get(files[1]!));
    expect(after.hashes.get(files[0]!)).toBe(first.hashes.get(files[0]!));
  });

  it("notices other content of the same size, with the time of modification set back", async () => {
    const first = await check();
    const { atime, mtime, size } = statSync(files[0]!);
    const bytes = readFileSync(files[0]!);
    bytes[bytes.length - 20]! ^= 1;
    writeFileSync(files[0]!, bytes);
    utimesSync(files[0]!, atime, mtime);
    expect(statSync(files[0]!).size).toBe(size);
    expect((await check()).hashes.get(files[0]!)).not.toBe(first.hashes.get(files[0]!));
  });

  it("notes no file that changed just now: the clock may not tell its next change", async () => {
    await check({ settled: 60_000 });
    decode.mockClear();
    await check({ settled: 60_000 });
    expect(asked()).toEqual([...files].sort());
  });

  it("decodes again what only had its header read", async () => {
    await check({ full: false });
    decode.mockClear();
    await check({ full: true });
    expect(new Map(decode.mock.calls)).toEqual(new Map(files.map((file) => [file, true])));
    decode.mockClear();
    await check({ full: false });
    expect(asked()).toEqual([]);
  });

  it.each([
    ["cut", (text: string) => text.slice(0, -20)],
    ["changed", (text: string) => text.replace(/[0-9a-f]{64} full/, `${"0".repeat(64)} full`)],
    ["of another version", () => "fitloop image checks 0\n"],
    ["empty", () => ""],
  ])("believes no notes that are %s", async (_, change) => {
    const first = await check();
    decode.mockClear();
    const [name] = readdirSync(notes);
    writeFileSync(join(notes, name!), change(readFileSync(join(notes, name!), "utf8")));
    expect(await check()).toEqual(first);
    expect(asked()).toEqual([...files].sort());
  });

  it("does without notes where they cannot be written", async () => {
    expect((await check({ notes: join(files[0]!, "no", "folder") })).damaged).toEqual([]);
    expect((await check({ notes: undefined })).hashes.size).toBe(3);
  });

  it("never notes a damaged file, and says of each why, in their order", async () => {
    decode.mockImplementation(async (file) => {
      if (file !== files[1]) throw new Error(`${file.slice(-5)}\n is bad`);
      return header;
    });
    for (let time = 0; time < 2; time++) {
      expect((await check()).damaged).toEqual([
        { file: files[0], problem: "a.png is bad" },
        { file: files[2], problem: expect.stringContaining("is bad") },
      ]);
    }
  });

  it("leaves one file of notes a data set, and no temporary one", async () => {
    await check();
    await check();
    expect(readdirSync(notes)).toHaveLength(1);
  });
});
