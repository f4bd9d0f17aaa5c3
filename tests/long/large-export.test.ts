/** Files are written as they are made: no format holds a model a second time. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "fitloop-large-model-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it("a network of 108 MiB is written in each format with a part of that memory", () => {
  const script = join(import.meta.dirname, "../support/write-large-model.ts");
  const printed = execFileSync(process.execPath, ["--import", "tsx", script, folder]);
  const found = JSON.parse(printed.toString()) as Record<string, { more: number; written: number }>;
  expect(Object.keys(found)).toHaveLength(8);
  for (const [name, { more, written }] of Object.entries(found)) {
    expect(more, name).toBeLessThan(100);
    expect(written, name).toBeGreaterThanOrEqual(name.includes("int8") ? 27 : name.includes("float16") ? 54 : 108);
  }
}, 300_000);
