/** What is printed of a plugin's failure: the author's own lines, none of fitloop's. */
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { report } from "../../cli/command-line.js";
import { TrainerError } from "../../core/errors.js";
import { createHooks } from "../../core/loop/hook-set.js";
import { progressAt } from "../../core/testing/index.js";

const root = join(import.meta.dirname, "../..");

function printed(error: unknown): string[] {
  const write = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  try {
    report(error);
    return write.mock.calls
      .map(([text]) => String(text))
      .join("")
      .trimEnd()
      .split("\n");
  } finally {
    write.mockRestore();
  }
}

const failureOf = (tap: () => number): unknown => {
  const hooks = createHooks({ seed: 1 });
  hooks.for("lr", false).resolveLearningRate.tap(tap);
  try {
    return hooks.call.resolveLearningRate(1, progressAt());
  } catch (error) {
    return error;
  }
};

describe("a plugin's failure", () => {
  it("of a value that its hook refuses is one sentence", () => {
    expect(printed(failureOf(() => Number.NaN))).toEqual([
      'trainer: Plugin "lr" failed in hook "resolveLearningRate": expected a finite learning rate of 0 or more, got NaN.',
    ]);
  });

  it("shows where it was thrown, without the loop and what calls the plugin", () => {
    const [said, ...places] = printed(
      failureOf(() => {
        throw new RangeError("too far");
      }),
    );
    expect(said).toBe('trainer: Plugin "lr" failed in hook "resolveLearningRate": too far');
    expect(places[0]).toContain("failure-places.test.ts");
    expect(places.join("\n")).not.toMatch(/tapable|hook-set|leaks/);
  });

  it("without a line of the author's shows what there is", () => {
    const cause = Object.assign(new Error("inside"), { stack: `Error: inside\n    at f (${root}/core/rng.ts:1:2)` });
    const error = new TrainerError("ERR_PLUGIN", "inside", { cause });
    expect(printed(error)).toEqual(["trainer: inside", `    at f (${root}/core/rng.ts:1:2)`]);
  });
});
