/** Archives with damaged headers: reading one ends, with members or with one error. */
import { writeFileSync } from "node:fs";
import fc from "fast-check";
import { expect } from "vitest";
import { readArchive } from "../../core/data/archive.js";
import type { TrainerError } from "../../core/errors.js";
import { tarOf } from "./mini-cifar.js";

/** Reads `runs` archives, each damaged in up to six bytes; checksums are made right again in half of them. */
export async function survivesDamage(path: string, names: readonly string[], runs: number): Promise<void> {
  const content = Buffer.from("good content\n");
  const tar = await tarOf([
    { name: `${"long/".repeat(50)}x`, content },
    { name: "set/train.bin", content },
    { name: "set/test.bin", type: "symlink", linkname: "train.bin" },
    { name: "set/names.txt", content },
  ]);
  const edits = fc.array(fc.tuple(fc.nat(tar.length - 1), fc.integer({ min: 0, max: 255 })), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(edits, fc.boolean(), async (changes, repair) => {
      const bytes = Buffer.from(tar);
      for (const [at, value] of changes) bytes[at] = value;
      if (repair) repairChecksums(bytes);
      writeFileSync(path, bytes);
      try {
        for (const [name, member] of await readArchive(path, names)) {
          expect(names).toContain(name);
          expect(member.bytes.length).toBeLessThan(1e6);
        }
      } catch (error) {
        expect((error as TrainerError).code).toBe("ERR_DATA");
      }
    }),
    { numRuns: runs, seed: 24 },
  );
}

/** Makes the checksum of every block that looks like a header right, so that damage gets past it. */
export function repairChecksums(bytes: Buffer): void {
  for (let start = 0; start + 512 <= bytes.length; start += 512) {
    if (bytes.toString("latin1", start + 257, start + 262) !== "ustar") continue;
    bytes.write("        ", start + 148, "latin1");
    const sum = bytes.subarray(start, start + 512).reduce((total, value) => total + value, 0);
    bytes.write(`${sum.toString(8).padStart(6, "0")}\0 `, start + 148, "latin1");
  }
}
