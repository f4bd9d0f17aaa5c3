/** Files that tell whether they are whole: no byte of them can change a value unseen. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { TrainerError } from "../../core/errors.js";
import { readCheckedJson, toCheckedJson } from "../../run/checked-json.js";
import { recordShape, summaryShape } from "../../run/record-files.js";

const base = mkdtempSync(join(tmpdir(), "fitloop-checked-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));
const path = join(base, "x.json");
const anything = z.looseObject({});
const read = (text: string | Buffer, shape: z.ZodType = anything): unknown => {
  writeFileSync(path, text);
  return readCheckedJson(path, shape);
};
const problem = (text: string | Buffer, shape?: z.ZodType): string => {
  try {
    read(text, shape);
  } catch (error) {
    expect(error).toBeInstanceOf(TrainerError);
    expect(["ERR_DATA", "ERR_IO"]).toContain((error as TrainerError).code);
    return (error as Error).message;
  }
  throw new Error("It was read.");
};

describe("a file with a checksum", () => {
  const value = { name: "ü", seed: 5, rate: 0.05, nan: Number.NaN, nested: { list: [1, -0, 1e-300], "1": true } };
  const text = toCheckedJson(value);

  it("comes back as it was, NaN as text", () => {
    const { checksum, ...rest } = read(text) as Record<string, unknown>;
    expect(rest).toEqual({ ...value, nan: "NaN", nested: { list: [1, 0, 1e-300], "1": true } });
    expect(checksum).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(text).toMatch(/,\n {2}"checksum": "sha256:[0-9a-f]{64}"\n}\n$/); // the last field
  });

  it("may be laid out in another way", () => {
    expect(read(JSON.stringify(JSON.parse(text)))).toEqual(read(text));
  });

  it("of any content comes back", () => {
    const name = fc.string().filter((each) => each !== "__proto__"); // zod leaves it out, and no file of ours has it
    fc.assert(
      fc.property(fc.dictionary(name, fc.jsonValue()), (any) => {
        const { checksum: _, ...fields } = any;
        const { checksum: __, ...rest } = read(toCheckedJson(fields)) as Record<string, unknown>;
        expect(rest).toEqual(JSON.parse(JSON.stringify(fields)));
      }),
      { numRuns: 200 },
    );
  });

  it("is refused for each single bit that changes a value, a name or the checksum", () => {
    const bytes = Buffer.from(text);
    const before = JSON.stringify(read(text));
    let refused = 0;
    for (let at = 0; at < bytes.length; at++) {
      for (const bit of [0, 3, 6]) {
        const damaged = Buffer.from(bytes);
        damaged[at]! ^= 1 << bit;
        let after: unknown;
        try {
          after = read(damaged);
        } catch (error) {
          expect((error as TrainerError).code).toBe("ERR_DATA");
          refused++;
          continue;
        }
        // White space, or the name of the checksum itself: then the file has none, which callers report.
        const same = JSON.stringify(after) === before || (after as { checksum?: string }).checksum === undefined;
        expect(same, `bit ${bit} of byte ${at}`).toBe(true);
      }
    }
    expect(refused).toBeGreaterThan(bytes.length);
  });

  it("says what was expected and what it got", () => {
    expect(problem(text.replace("0.05", "0.07"))).toMatch(
      /x\.json is damaged, was changed or was not written by fitloop: expected the checksum sha256:\w+ of its fields, got sha256:\w+\. Restore it from a copy\.$/,
    );
    expect(problem(text.slice(0, 40))).toMatch(/expected JSON, got 40 characters that are not JSON/);
    expect(problem("[1]")).toContain("expected an object, got [1]");
    expect(problem("null")).toContain("expected an object, got null");
    expect(problem(`{"a":${"[".repeat(200_000)}${"]".repeat(200_000)}}`)).toContain("expected JSON");
  });

  it("is no folder and not larger than a file of its kind can be", () => {
    mkdirSync(join(base, "folder"));
    expect(() => readCheckedJson(join(base, "folder"), anything)).toThrow("got a folder");
    expect(() => readCheckedJson(join(base, "gone"), anything)).toThrow("ENOENT");
  });
});

describe("a file of another shape", () => {
  const part = { name: "x", options: {} };
  const record = { name: "a", seed: 1, epochs: 2, data: part, model: part, optimizer: part, plugins: [] };
  const environment = { backend: "b", backendVersion: "1", threads: 1, node: "24", platform: "linux" };

  it.each<[string, object, z.ZodType, string]>([
    ["a record without a model", { ...record, model: undefined }, recordShape, '"model"'],
    ["options that are none", { ...record, model: { name: "x", options: 5 } }, recordShape, '"model.options"'],
    ["an odd environment", { ...record, environment: 5 }, recordShape, '"environment"'],
    [
      "an environment of odd threads",
      { ...record, environment: { ...environment, threads: "2" } },
      recordShape,
      '"environment.threads"',
    ],
    ["an odd source", { ...record, source: "x" }, recordShape, '"source"'],
    ["odd classes", { ...record, dataset: { classes: [1], fingerprint: "x" } }, recordShape, '"dataset.classes'],
    ["a summary that is empty", {}, summaryShape, '"parameters"'],
  ])("is refused with its field: %s", (_, value, shape, field) => {
    expect(problem(toCheckedJson(value), shape)).toContain(field);
  });

  it("is none where it says more than this version knows", () => {
    expect(read(toCheckedJson({ ...record, later: [1] }), recordShape)).toMatchObject({ later: [1] });
  });
});
