/** Checkpoints on a real disk: what comes back, what stays, what goes. */
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { temporaryPath } from "../../run/checkpoint-names.js";
import {
  type Checkpoint,
  type CheckpointTensor,
  listCheckpoints,
  newestCheckpoint,
  readCheckpoint,
  saveCheckpoint,
} from "../../run/checkpoints.js";
import { discardAfter, pruneCheckpoints, removeLeftovers } from "../../run/retention.js";
import { oddNames } from "../support/odd-names.js";
import { sampleCheckpoint } from "../support/sample-checkpoint.js";

const base = fs.mkdtempSync(join(tmpdir(), "fitloop-checkpoints-"));
afterAll(() => fs.rmSync(base, { recursive: true, force: true }));
let folder: string;
let count = 0;
beforeEach(() => {
  const run = join(base, String(count++));
  fs.mkdirSync(run);
  folder = join(run, "checkpoints");
});
const saveAll = (...steps: number[]): void =>
  steps.forEach((step) => void saveCheckpoint(folder, sampleCheckpoint(step)));
const steps = (): number[] => listCheckpoints(folder).map(({ step }) => step);
const pathOf = (step: number): string => join(folder, `step-${String(step).padStart(8, "0")}`);
const damage = (step: number): void => fs.writeFileSync(join(pathOf(step), "meta.json"), "{}");

describe("saving and reading", () => {
  it("gives back every bit", () => {
    const saved = sampleCheckpoint(1234);
    const { path, bytes, replaced } = saveCheckpoint(folder, saved);
    expect(path).toBe(join(folder, "step-00001234"));
    const files = fs.readdirSync(path).sort();
    expect(files).toEqual(["MANIFEST.json", "meta.json", "state.safetensors"]);
    expect(bytes).toBe(files.reduce((sum, file) => sum + fs.statSync(join(path, file)).size, 0));
    expect(replaced).toBeUndefined();
    expect(fs.readdirSync(folder)).toEqual(["step-00001234"]);
    const read = readCheckpoint(path);
    expect(read).toStrictEqual(saved);
    expect(bits(read)).toEqual(bits(saved));
    expect(newestCheckpoint(folder)).toStrictEqual({ checkpoint: saved, skipped: [] });
  });

  it("keeps a NaN's own bits", () => {
    const odd = new Float32Array(Uint32Array.of(0x7fc0dead, 0xffffffff, 0x80000001).buffer);
    const { path } = saveCheckpoint(folder, {
      step: 0,
      tensors: new Map([["x", { shape: [3], data: odd }]]),
      meta: {},
    });
    const { data } = readCheckpoint(path).tensors.get("x")!;
    expect([...new Uint32Array(data.buffer)]).toEqual([0x7fc0dead, 0xffffffff, 0x80000001]);
  });

  it("keeps tensors of any name, and a part of a larger buffer", () => {
    const data = Float32Array.of(1, 2, 3, 4).subarray(1, 3);
    const names = ["__proto__", "7", "constructor", "plugins/ema/conv1.weight", 'ü\n"', ""];
    const tensors = new Map(names.map((name, at) => [name, { shape: [2], data: data.map((x) => x + at) }]));
    const { path } = saveCheckpoint(folder, { step: 1, tensors, meta: { __proto__: null, a: 1 } });
    expect([...readCheckpoint(path).tensors].sort()).toEqual([...tensors].sort());
  });

  it("is ordered by number, whatever the length of the name", () => {
    saveAll(100_000_000, 9, 99_999_999, 0);
    saveCheckpoint(folder, sampleCheckpoint(9, { part: 10 }));
    saveCheckpoint(folder, sampleCheckpoint(9, { part: 2 }));
    expect(listCheckpoints(folder).map(({ path }) => basename(path))).toEqual([
      "step-00000000",
      "step-00000009",
      "step-00000009.2",
      "step-00000009.10",
      "step-99999999",
      "step-100000000",
    ]);
    expect(newestCheckpoint(folder).checkpoint).toStrictEqual(sampleCheckpoint(100_000_000));
  });

  it("takes no other names for checkpoints", () => {
    saveAll(1);
    for (const name of ["step-2", "step-000000003", "step-00000004x", "step-00000005.0", "step-00000006.", "7"])
      fs.mkdirSync(join(folder, name));
    expect(steps()).toEqual([1]);
    expect(() => readCheckpoint(join(folder, "7"))).toThrow(/7 is damaged: expected a name like step-00001234/);
  });

  it("finds none where there is no folder, and says why where it cannot look", () => {
    expect(listCheckpoints(folder)).toEqual([]);
    expect(newestCheckpoint(folder)).toEqual({ skipped: [] });
    fs.writeFileSync(folder, "");
    const error = expect.objectContaining({ code: "ERR_IO", message: expect.stringContaining(folder) });
    expect(() => listCheckpoints(folder)).toThrow(error);
    expect(() => saveAll(1)).toThrow(error);
    expect(() => readCheckpoint(join(folder, "step-00000001"))).toThrow(error);
  });

  it("makes its folder, but not a run's that is gone", () => {
    expect(() => saveCheckpoint(join(base, "gone", "checkpoints"), sampleCheckpoint(1))).toThrow(
      expect.objectContaining({ code: "ERR_IO", message: expect.stringMatching(/gone.*ENOENT/) }),
    );
    expect(fs.existsSync(join(base, "gone"))).toBe(false);
  });

  it.each<[string, Partial<Checkpoint>, RegExp]>([
    ["a step that is no whole number", { step: 1.5 }, /whole numbers, got 1.5/],
    ["a negative step", { step: -1 }, /whole numbers, got -1/],
    ["a step beyond 2^53", { step: 2 ** 53 }, /whole numbers/],
    ["a part that is no number", { part: NaN }, /whole numbers, got NaN/],
    [
      "a tensor of booleans",
      { tensors: new Map([["mask", { shape: [1], data: Uint8Array.of(1) as unknown as Int32Array }]]) },
      /tensor "mask" has type Uint8Array/,
    ],
    ["a tensor of another size", { tensors: new Map([["x", { shape: [3], data: new Float32Array(2) }]]) }, /"x"/],
    ["data that is not plain", { meta: { plugins: { mine: { seen: new Map() } } } }, /meta\.plugins\.mine\.seen.*Map/],
  ])("refuses %s before anything is written", (_, wrong, message) => {
    const save = (): unknown => saveCheckpoint(folder, { ...sampleCheckpoint(1), ...wrong });
    expect(save).toThrow(message);
    expect(fs.existsSync(folder)).toBe(false);
  });

  function bits({ tensors }: Checkpoint): [string, string][] {
    return [...tensors]
      .map(([name, { data }]): [string, string] => [
        name,
        Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("hex"),
      ])
      .sort();
  }
});

describe("the format", () => {
  /** Written by version 0.1.0. A later version reads it, whatever it writes itself. */
  const golden = join(import.meta.dirname, "../golden/checkpoint/step-00000003.1");
  const content: Checkpoint = {
    step: 3,
    part: 1,
    tensors: new Map<string, CheckpointTensor>([
      ["weights/conv1.weight", { shape: [2, 2], data: Float32Array.of(1, -0, NaN, -1e-45) }],
      ["plugins/mine/counts", { shape: [3], data: Int32Array.of(0, -1, 2 ** 31 - 1) }],
    ]),
    meta: { position: { step: 3, loss: NaN }, rates: [0.1, -0, -Infinity], text: "#1 ü" },
  };

  it("is read as it was written", () => {
    expect(readCheckpoint(golden)).toStrictEqual(content);
  });

  it("is written as it was", () => {
    const { path } = saveCheckpoint(folder, content);
    const files = fs.readdirSync(golden).sort();
    expect(fs.readdirSync(path).sort()).toEqual(files);
    for (const file of files) {
      expect(fs.readFileSync(join(path, file), "latin1")).toBe(fs.readFileSync(join(golden, file), "latin1"));
    }
  });
});

describe("a place that a checkpoint has already", () => {
  it("leaves the same one as it lies", () => {
    saveAll(7);
    const before = fs.statSync(pathOf(7));
    const first = saveCheckpoint(folder, sampleCheckpoint(8));
    expect(saveCheckpoint(folder, sampleCheckpoint(8))).toEqual(first);
    saveAll(7);
    expect(fs.statSync(pathOf(7))).toMatchObject({ ino: before.ino, mtimeMs: before.mtimeMs });
  });

  it("replaces one of another state, and says so", () => {
    saveAll(6, 7);
    const other = sampleCheckpoint(7, { variant: 1 });
    const { replaced } = saveCheckpoint(folder, other);
    expect(replaced).toBe(`${pathOf(7)} was valid, but has another state.`);
    expect(newestCheckpoint(folder)).toStrictEqual({ checkpoint: other, skipped: [] });
    expect(fs.readdirSync(folder)).toEqual(["step-00000006", "step-00000007"]);
  });

  it("replaces a damaged one, and says what was the matter", () => {
    saveAll(6, 7);
    damage(7);
    expect(saveCheckpoint(folder, sampleCheckpoint(7)).replaced).toMatch(
      /step-00000007.meta\.json is damaged: expected/,
    );
    expect(newestCheckpoint(folder)).toStrictEqual({ checkpoint: sampleCheckpoint(7), skipped: [] });
    fs.rmSync(pathOf(7), { recursive: true });
    fs.writeFileSync(pathOf(7), "a file");
    expect(saveCheckpoint(folder, sampleCheckpoint(7)).replaced).toMatch(/step-00000007 cannot be read: ENOTDIR/);
    expect(newestCheckpoint(folder)).toStrictEqual({ checkpoint: sampleCheckpoint(7), skipped: [] });
    expect(fs.readdirSync(folder)).toEqual(["step-00000006", "step-00000007"]);
  });
});

describe("retention", () => {
  it.each<[number[], { keep: number; best?: number }, number[]]>([
    [[1, 2, 3, 4, 5], { keep: 3 }, [3, 4, 5]],
    [[1, 2, 3, 4, 5], { keep: 1 }, [4, 5]],
    [[1, 2, 3, 4, 5], { keep: 0 }, [4, 5]],
    [[1, 2, 3, 4, 5], { keep: 2, best: 1 }, [1, 4, 5]],
    [[1, 2, 3, 4, 5], { keep: 2, best: 5 }, [4, 5]],
    [[1, 2, 3, 4, 5], { keep: 2, best: 9 }, [4, 5]],
    [[1, 2], { keep: 1 }, [1, 2]],
    [[1, 2], { keep: 7 }, [1, 2]],
    [[], { keep: 2 }, []],
    [[1, 2, 3], { keep: Infinity }, [1, 2, 3]],
  ])("of %j with %j keeps %j", (saved, options, kept) => {
    saveAll(...saved);
    const removed = pruneCheckpoints(folder, options);
    expect(removed).toEqual(saved.filter((step) => !kept.includes(step)).map(pathOf));
    expect(steps()).toEqual(kept);
    if (kept.length > 0) expect(fs.readdirSync(folder)).toHaveLength(kept.length);
  });

  it("removes nothing when the newest is not what was saved", () => {
    saveAll(1, 2, 3, 4);
    damage(4);
    expect(() => pruneCheckpoints(folder, { keep: 2 })).toThrow(
      expect.objectContaining({ code: "ERR_IO", message: expect.stringContaining(pathOf(4)) }),
    );
    expect(steps()).toEqual([1, 2, 3, 4]);
  });

  it("keeps every part of the best step", () => {
    saveAll(1, 2, 3, 4);
    saveCheckpoint(folder, sampleCheckpoint(1, { part: 1 }));
    pruneCheckpoints(folder, { keep: 2, best: 1 });
    expect(steps()).toEqual([1, 1, 3, 4]);
  });

  it("touches nothing that is not a checkpoint", () => {
    saveAll(1, 2, 3);
    fs.writeFileSync(join(folder, "notes.txt"), "mine");
    pruneCheckpoints(folder, { keep: 2 });
    expect(fs.readdirSync(folder)).toEqual(["notes.txt", "step-00000002", "step-00000003"]);
  });
});

describe("going on from an earlier place", () => {
  it("takes away what lies beyond it", () => {
    saveAll(1, 2, 3);
    saveCheckpoint(folder, sampleCheckpoint(2, { part: 1 }));
    saveCheckpoint(folder, sampleCheckpoint(2, { part: 3 }));
    expect(discardAfter(folder, { step: 2, part: 1 })).toEqual([pathOf(3), `${pathOf(2)}.3`]);
    expect(fs.readdirSync(folder)).toEqual(["step-00000001", "step-00000002", "step-00000002.1"]);
    expect(discardAfter(folder, { step: 2, part: 1 })).toEqual([]);
    expect(discardAfter(folder, { step: 1 })).toEqual([`${pathOf(2)}.1`, pathOf(2)]);
    expect(newestCheckpoint(folder).checkpoint).toStrictEqual(sampleCheckpoint(1));
  });
});

describe("leftovers", () => {
  it("of dead writers go, and nothing else does", () => {
    expect(removeLeftovers(folder)).toEqual([]);
    saveAll(1);
    const left = [temporaryPath(folder, 2), temporaryPath(folder, 2)];
    left.forEach((path) => fs.mkdirSync(path));
    fs.writeFileSync(join(left[0]!, "state.safetensors"), "half");
    for (const name of [".tmp-other", ".hidden", "step-2"]) fs.mkdirSync(join(folder, name));
    expect(removeLeftovers(folder).sort()).toEqual(left.sort());
    expect(fs.readdirSync(folder).sort()).toEqual([".hidden", ".tmp-other", "step-00000001", "step-2"]);
  });
});

describe("odd paths", () => {
  it("25 of them work like any other", () => {
    for (const name of oddNames) {
      const run = join(base, `odd`, name);
      fs.mkdirSync(run, { recursive: true });
      folder = join(run, "checkpoints");
      saveAll(1, 2, 3);
      damage(3);
      const { checkpoint, skipped } = newestCheckpoint(folder);
      expect(checkpoint).toStrictEqual(sampleCheckpoint(2));
      expect(skipped).toEqual([{ path: pathOf(3), problem: expect.stringContaining(pathOf(3)) }]);
      saveAll(3);
      expect(pruneCheckpoints(folder, { keep: 2 })).toEqual([pathOf(1)]);
    }
    expect(oddNames).toHaveLength(25);
    expect(fs.readdirSync(join(base, "odd"))).toHaveLength(25);
  });
});
