/** R38: whatever is done to the files of a run's folder, its page comes, and shows what lies before the damage. */
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { expect } from "vitest";
import { comparePage } from "../../report/compare-page.js";
import { pageHtml } from "../../report/html.js";
import { readRun } from "../../report/read.js";
import { runPage } from "../../report/run-page.js";

const files = ["config.resolved.json", "metrics.jsonl", "summary.json", "report/kept.json"];

/** Steps and epochs of the lines up to the first that is none of the run's own: found without the reader. */
export function toldBy(bytes: Buffer, own: ReadonlySet<string>): { steps: number[]; epochs: number[] } {
  const lines = bytes.toString("latin1").split("\n").slice(0, -1);
  const foreign = lines.findIndex((line) => !own.has(line));
  const told = { steps: [] as number[], epochs: [] as number[] };
  for (const line of foreign < 0 ? lines : lines.slice(0, foreign)) {
    const { event, step } = JSON.parse(line) as { event: string; step: number };
    // What is said again counts from there.
    if (event === "step") told.steps = [...told.steps.filter((before) => before < step), step];
    if (event === "step" || event === "epoch:end") told.epochs = told.epochs.filter((before) => before < step);
    if (event === "epoch:end") told.epochs.push(step);
  }
  return told;
}

export const linesOf = (bytes: Buffer): Set<string> => new Set(bytes.toString("latin1").split("\n").slice(0, -1));

/**
 * @param whole a run's folder
 * @param folder a copy of it, which is left as it was
 */
export function survivesDamage(whole: string, folder: string, runs: number): void {
  const kept = new Map(files.map((file) => [file, readFileSync(join(whole, file))]));
  const metrics = kept.get("metrics.jsonl")!;
  const own = linesOf(metrics);
  const edit = fc.record({
    at: fc.nat(),
    remove: fc.oneof(fc.constantFrom(0, 1), fc.nat(2000)),
    insert: fc.oneof(
      fc.uint8Array({ maxLength: 8 }),
      fc.constantFrom("\n", "\0", "null", "NaN", "-1", "1e999", "[", "{}", '"\ud800"').map((text) => Buffer.from(text)),
      // Parts of the metrics themselves: lines twice, out of order, spliced, and in files that are no metrics.
      fc.tuple(fc.nat(metrics.length), fc.nat(1500)).map(([from, size]) => metrics.subarray(from, from + size)),
    ),
  });
  // More of the metrics than of the others: their damage has a right answer.
  const file = fc.constantFrom(...files, "metrics.jsonl", "metrics.jsonl");
  fc.assert(
    fc.property(file, fc.array(edit, { minLength: 1, maxLength: 3 }), (name, edits) => {
      let bytes = kept.get(name)!;
      for (const { at, remove, insert } of edits) {
        const place = at % (bytes.length + 1);
        bytes = Buffer.concat([bytes.subarray(0, place), insert, bytes.subarray(place + remove)]);
      }
      writeFileSync(join(folder, name), bytes);
      try {
        const parts = readRun(folder, false);
        const expected = toldBy(name === "metrics.jsonl" ? bytes : metrics, own);
        expect(parts.history.steps.buckets.map(({ step }) => step)).toEqual(expected.steps);
        expect(parts.history.epochs.map(({ step }) => step)).toEqual(expected.epochs);
        expect(pageHtml(runPage(parts))).toContain("</html>");
        expect(comparePage([parts, parts]).blocks.length).toBeGreaterThan(1);
      } finally {
        copyFileSync(join(whole, name), join(folder, name));
      }
    }),
    { numRuns: runs },
  );
}
