/** What people give as weights: each is named, with what to do. */
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { readWeights } from "../../../core/nn/read-weights.js";

const folder = mkdtempSync(join(tmpdir(), "fitloop-weights-"));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, "w");

it.each<[string, string | Buffer, RegExp]>([
  ["PyTorch's zip", "PK\x03\x04\0\0archive/data.pkl", /is a zip file, as torch\.save writes it .*save_file\(torch/],
  ["an old pickle", Buffer.from([0x80, 2, 0x8a, 0x0a]), /is a Python pickle, .*save_file\(torch/],
  [
    "a Git LFS pointer",
    "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    /pointer of Git LFS.*git lfs pull/,
  ],
  [
    "an index of shards",
    '{ "metadata": {}, "weight_map": {"a": "m-1.safetensors"} }',
    /index .*shards.*Merge them once/,
  ],
  ["a web page", "\n<!DOCTYPE html><html>", /is a web page, .* Download the file itself/],
  ["a Keras file", Buffer.from("\x89HDF\r\n\x1a\n", "latin1"), /is an HDF5 file/],
  ["an empty file", "", /is empty\. Download it again/],
])("names %s", async (_, content, expected) => {
  writeFileSync(path, content);
  await expect(readWeights(path)).rejects.toMatchObject({
    code: "ERR_WEIGHTS",
    exitCode: 65,
    message: expect.stringMatching(expected) as string,
  });
});

it("names a folder, and a file in it", async () => {
  const run = join(folder, "run");
  mkdirSync(run);
  await expect(readWeights(run)).rejects.toThrow("is a folder. Expected a safetensors file, and there is none in it.");
  writeFileSync(join(run, "weights.safetensors"), "");
  await expect(readWeights(run)).rejects.toThrow("is a folder. Expected a file; in it there is weights.safetensors.");
});

it("names a file that is missing, and one that is no file", async () => {
  await expect(readWeights(join(folder, "none"))).rejects.toThrow(/none cannot be read: ENOENT/);
  await expect(readWeights("/dev/null")).rejects.toThrow("/dev/null is no file.");
});

it("names a file that is too large, without reading it", async () => {
  writeFileSync(path, Buffer.alloc(8, 1));
  truncateSync(path, 2 ** 31); // sparse
  await expect(readWeights(path)).rejects.toThrow("is a file of 2.0 GiB, and files of up to 2 GiB can be read.");
});

it("gives the bytes of any other file", async () => {
  writeFileSync(path, "anything");
  expect(Buffer.from(await readWeights(path)).toString()).toBe("anything");
});
