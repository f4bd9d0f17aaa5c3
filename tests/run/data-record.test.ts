/** Which data a run was made with, and what counts as other data. */
import { describe, expect, it } from "vitest";
import { dataChange, mustHaveClasses } from "../../run/data-record.js";
import type { RunConfigRecord } from "../../run/files.js";
import { olderNote } from "../../run/record-files.js";

describe("classes", () => {
  const expected = ["apple", "kiwi", "plum"];
  const refusal = (classes: string[]): string => {
    try {
      mustHaveClasses(expected, { classes });
    } catch (error) {
      expect(error).toMatchObject({ code: "ERR_DATA", exitCode: 65 });
      return (error as Error).message;
    }
    throw new Error("They were taken.");
  };

  it("are those of the run, in their order", () => {
    expect(() => mustHaveClasses(expected, { classes: [...expected] })).not.toThrow();
    expect(refusal(["kiwi", "plum", "rosso"])).toContain(
      "expected apple, kiwi, plum, got kiwi, plum, rosso (missing: apple; new: rosso)",
    );
    expect(refusal(["kiwi", "apple", "plum"])).toContain("another order: class 0 was apple and is kiwi");
    expect(refusal(["apple", "kiwi"])).toContain("(missing: plum)");
    expect(refusal(["apple", "kiwi", "plum", "quince"])).toContain("(new: quince)");
  });

  it("of long lists are named only where they differ", () => {
    const many = Array.from({ length: 100 }, (_, at) => `class-${at}`);
    expect(() => mustHaveClasses(many, { classes: many.map((name) => name.toUpperCase()) })).toThrow(
      /expected 100 classes \(class-0, class-1, class-2, …\), got .*missing: .*class-9, and 90 more; new: /,
    );
  });
});

describe("contents", () => {
  it("differ by their fingerprint, where the record has one", () => {
    const before = { classes: ["a", "b"], fingerprint: "0123456789abcdef0123456789abcdef" };
    expect(dataChange(before, before)).toBeUndefined();
    expect(dataChange(undefined, before)).toBeUndefined();
    expect(dataChange(before, { fingerprint: "brightness 7" })).toContain(
      "expected the fingerprint 0123456789abcdef…, got brightness 7",
    );
  });
});

describe("a run of an earlier version", () => {
  it("gets one sentence for all that its files lack", () => {
    const dataset = { classes: ["a", "b"], fingerprint: "x" };
    const whole = { checksum: "sha256:0", dataset } as unknown as RunConfigRecord;
    expect(olderNote(whole, [])).toBeUndefined();
    expect(olderNote({} as RunConfigRecord, ["weights.safetensors"])).toBe(
      "The run comes from an earlier version of fitloop: no checksum in config.resolved.json and weights.safetensors, so " +
        "damage there goes unnoticed; no fingerprint of the data, so a change of images goes unnoticed.",
    );
    expect(olderNote(whole, ["summary.json"])).toContain("no checksum in summary.json,");
  });
});
