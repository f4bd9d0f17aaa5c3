/** A checkpoint that is not what was saved is noticed, whatever happened, and the one before takes its place. */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { stream } from "../../core/rng.js";
import { newestCheckpoint, readCheckpoint, saveCheckpoint } from "../../run/checkpoints.js";
import { type Disk, useMemoryDisk, useRealDisk } from "../support/memory-disk.js";
import { sampleCheckpoint } from "../support/sample-checkpoint.js";

const folder = "/checkpoints";
const old = sampleCheckpoint(100);
/** Its payload is three pages long. */
const recent = sampleCheckpoint(200, { numbers: 3072 });
const path = `${folder}/step-00000200`;
const state = `${path}/state.safetensors`;
const meta = `${path}/meta.json`;
const manifest = `${path}/MANIFEST.json`;

let disk: Disk;
beforeEach(() => {
  disk = useMemoryDisk();
  saveCheckpoint(folder, old);
  saveCheckpoint(folder, recent);
  expect(newestCheckpoint(folder)).toStrictEqual({ checkpoint: recent, skipped: [] });
});
afterEach(useRealDisk);

/** Whether what is damaged is skipped with a reason, and the other one found. */
function noticed(): boolean {
  const { checkpoint, skipped } = newestCheckpoint(folder);
  const [only] = skipped;
  return checkpoint?.step === 100 && skipped.length === 1 && only!.path === path && only!.problem.includes(path);
}

/** The damages, of those made one at a time to a file, that go unnoticed. */
function unnoticed<T>(file: string, damages: Iterable<T>, damage: (bytes: Uint8Array, how: T) => Uint8Array): T[] {
  const whole = disk.file(file);
  const missed: T[] = [];
  for (const how of damages) {
    disk.put(file, damage(whole.slice(), how));
    if (!noticed()) missed.push(how);
  }
  disk.put(file, whole);
  return missed;
}
const upTo = (end: number, begin = 0): number[] => Array.from({ length: end - begin }, (_, at) => begin + at);
const cut = (bytes: Uint8Array, length: number): Uint8Array => bytes.subarray(0, length);
const flip = (bytes: Uint8Array, bit: number): Uint8Array => {
  bytes[bit >> 3]! ^= 1 << (bit & 7);
  return bytes;
};
const headerEnd = (): number => 8 + Number(new DataView(disk.file(state).buffer).getBigUint64(0, true));
/** Places in the payload, in bytes or bits. */
function inPayload(count: number, unit: 1 | 8): number[] {
  const draws = stream(1, "payload");
  const begin = headerEnd();
  return Array.from({ length: count }, () => unit * begin + draws.int(unit * (disk.file(state).length - begin)));
}

describe("damage is noticed", () => {
  it("where a file ends early: at every byte of header, manifest and meta, and 500 of the payload", () => {
    for (const file of [manifest, meta]) expect(unnoticed(file, upTo(disk.file(file).length), cut)).toEqual([]);
    expect(unnoticed(state, upTo(headerEnd() + 1), cut)).toEqual([]);
    expect(unnoticed(state, inPayload(500, 1), cut)).toEqual([]);
  });

  it("where one bit is another: every one of header, manifest and meta, and 2,000 of the payload", () => {
    for (const file of [manifest, meta]) expect(unnoticed(file, upTo(8 * disk.file(file).length), flip)).toEqual([]);
    expect(unnoticed(state, upTo(8 * headerEnd()), flip)).toEqual([]);
    expect(unnoticed(state, inPayload(2000, 8), flip)).toEqual([]);
  });

  it("where a page is zeros", () => {
    const pages = upTo(Math.ceil(disk.file(state).length / 4096));
    const zeroed = (bytes: Uint8Array, page: number): Uint8Array => bytes.fill(0, 4096 * page, 4096 * (page + 1));
    expect(pages.length).toBeGreaterThan(3);
    expect(unnoticed(state, pages, zeroed)).toEqual([]);
  });

  it("where bytes follow", () => {
    for (const file of [state, meta, manifest]) {
      const more = (bytes: Uint8Array, added: string): Uint8Array => Buffer.concat([bytes, Buffer.from(added)]);
      expect(unnoticed(file, ["\0", "\n", " ", "x".repeat(4096)], more)).toEqual([]);
    }
  });

  it("whatever else is done to a file", () => {
    const edit = fc.tuple(
      fc.constantFrom(state, meta, manifest),
      fc.nat(),
      fc.nat({ max: 64 }),
      fc.uint8Array({ maxLength: 64 }),
    );
    fc.assert(
      fc.property(edit, ([file, where, removed, added]) => {
        const whole = disk.file(file);
        const at = where % whole.length;
        const edited = Buffer.concat([whole.subarray(0, at), added, whole.subarray(at + removed)]);
        fc.pre(!edited.equals(whole));
        expect(unnoticed(file, [edited], (_, bytes) => bytes)).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  it("where a file is missing, empty or one too many", () => {
    for (const file of [state, meta, manifest]) {
      const whole = disk.file(file);
      for (const content of [undefined, new Uint8Array()]) {
        disk.put(file, content);
        expect(noticed()).toBe(true);
      }
      disk.put(file, whole);
    }
    for (const stray of ["state.safetensors.bak", ".DS_Store", "a"]) {
      disk.put(`${path}/${stray}`, Uint8Array.of(1));
      expect(noticed()).toBe(true);
      disk.put(`${path}/${stray}`, undefined);
    }
    expect(newestCheckpoint(folder).skipped).toEqual([]);
  });

  it("where files of another step took the place of its own", () => {
    const others = [state, meta, manifest].map((file) => [file, file.replace("200", "100")] as const);
    for (let chosen = 1; chosen < 8; chosen++) {
      const swapped = others.filter((_, at) => (chosen >> at) & 1);
      const whole = swapped.map(([file]) => disk.file(file));
      for (const [file, other] of swapped) disk.put(file, disk.file(other));
      expect(noticed()).toBe(true);
      swapped.forEach(([file], at) => disk.put(file, whole[at]));
    }
  });

  it("where the manifest says the same in other words", () => {
    const content = JSON.parse(Buffer.from(disk.file(manifest)).toString());
    const spellings = [JSON.stringify(content), JSON.stringify({ ...content, more: 1 }, null, 2) + "\n"];
    expect(unnoticed(manifest, spellings, (_, text) => Buffer.from(text))).toEqual([]);
  });
});

describe("the message", () => {
  const problem = (): string => {
    expect(() => readCheckpoint(path)).toThrow(expect.objectContaining({ code: "ERR_IO", exitCode: 74 }));
    return newestCheckpoint(folder).skipped[0]!.problem;
  };
  const sha256 = (file: string): string => createHash("sha256").update(disk.file(file)).digest("hex");
  const restate = (change: object): void => {
    const content = JSON.parse(Buffer.from(disk.file(manifest)).toString());
    disk.put(manifest, Buffer.from(`${JSON.stringify({ ...content, ...change }, null, 2)}\n`));
  };

  it("names file, expected and found", () => {
    const { length } = disk.file(state);
    const right = sha256(state);
    disk.put(state, flip(disk.file(state).slice(), 80));
    expect(problem()).toBe(`${state} is damaged: expected SHA-256 ${right} in its manifest, found ${sha256(state)}.`);
    disk.put(state, cut(disk.file(state), 99));
    expect(problem()).toBe(`${state} is damaged: expected ${length} bytes in its manifest, found 99.`);
    disk.put(state, undefined);
    expect(problem()).toBe(`${state} is damaged: expected a file, found none.`);
    disk.put(manifest, cut(disk.file(manifest), 20));
    disk.put(state, new Uint8Array());
    expect(problem()).toBe(`${manifest} is damaged: expected a manifest, found 20 bytes that are not JSON.`);
    disk.put(`${path}/x`, new Uint8Array());
    expect(problem()).toBe(`${path}/x is damaged: expected no such file in a checkpoint, found one.`);
  });

  it("tells a checkpoint of another version or under another name from a damaged one", () => {
    restate({ format: 2 });
    expect(problem()).toBe(`${manifest} is damaged: expected format 1, found format 2.`);
    restate({ format: 1, name: "step-00000300" });
    expect(problem()).toMatch(/expected "step-00000200" as its folder is called, found "step-00000300"/);
  });

  it.each(["null", "7", '"text"', "[]", '{"format":1,"name":"step-00000200"}', '{"files":null}'])(
    "is one of ours for a manifest that is %s",
    (text) => {
      disk.put(manifest, Buffer.from(text));
      expect(problem()).toMatch(/is damaged: expected/);
    },
  );

  it("is one of ours for files that are sound and hold no checkpoint", () => {
    const content = Buffer.from("{ no JSON");
    disk.put(meta, content);
    const { files } = JSON.parse(Buffer.from(disk.file(manifest)).toString());
    restate({ files: { ...files, "meta.json": { bytes: content.length, sha256: sha256(meta) } } });
    expect(problem()).toMatch(/step-00000200 is damaged: expected a state that can be read, found/);
  });

  it("is there for each that is skipped, and all of them may be", () => {
    disk.put(meta, new Uint8Array());
    disk.put(meta.replace("200", "100"), new Uint8Array());
    const { checkpoint, skipped } = newestCheckpoint(folder);
    expect(checkpoint).toBeUndefined();
    expect(skipped.map((each) => each.path)).toEqual([path, path.replace("200", "100")]);
  });
});

it("reading changes nothing", () => {
  disk.put(meta, new Uint8Array());
  const before = disk.changes.length;
  newestCheckpoint(folder);
  expect(() => readCheckpoint(path)).toThrow();
  expect(disk.changes.length).toBe(before);
  expect(new Set(disk.calls.slice(-12).map(({ call }) => call))).toEqual(new Set(["readdirSync", "readFileSync"]));
});
