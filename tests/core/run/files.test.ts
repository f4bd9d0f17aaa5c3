/** Atomic writes: under a file's name lies the old content or the new one, whatever the disk does. */
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it, vi } from "vitest";
import { system, writeFileAtomic } from "../../../core/run/files.js";
import { toJson } from "../../../core/run/json.js";

const base = fs.mkdtempSync(join(tmpdir(), "fitloop-files-"));
afterAll(() => fs.rmSync(base, { recursive: true, force: true }));
let folder: string;
let path: string;
let count = 0;
beforeEach(() => {
  folder = join(base, String(count++));
  path = join(folder, "summary.json");
  fs.mkdirSync(folder);
  fs.writeFileSync(path, "old");
  return () => vi.restoreAllMocks();
});
const content = (): string => fs.readFileSync(path, "utf8");
const failing = (code: string) => () => {
  throw Object.assign(new Error(`${code}: it would not`), { code });
};

describe("writing a file", () => {
  it("replaces what was there", () => {
    writeFileAtomic(path, "new, ü");
    expect(content()).toBe("new, ü");
    writeFileAtomic(path, Uint8Array.of(1, 2, 3));
    expect([...fs.readFileSync(path)]).toEqual([1, 2, 3]);
    expect(fs.readdirSync(folder)).toEqual(["summary.json"]);
  });

  it("writes on where the system takes little at a time", () => {
    const short = vi
      .spyOn(system, "writeSync")
      .mockImplementation(((file: number, bytes: Uint8Array, offset: number, length: number) =>
        fs.writeSync(file, bytes, offset, Math.min(7, length))) as typeof fs.writeSync);
    const text = "0123456789".repeat(5);
    writeFileAtomic(path, text);
    expect(content()).toBe(text);
    expect(short.mock.calls.length).toBe(8);
  });

  it("flushes the file before it takes the name, and the folder after", () => {
    const order: string[] = [];
    const names = new Map<number, string>();
    vi.spyOn(system, "openSync").mockImplementation(((name: string, flags: string) => {
      const file = fs.openSync(name, flags);
      names.set(file, name === folder ? "folder" : "file");
      return file;
    }) as typeof fs.openSync);
    vi.spyOn(system, "fsyncSync").mockImplementation((file) => void order.push(`flush ${names.get(file)}`));
    vi.spyOn(system, "writeSync").mockImplementation(((
      file: number,
      bytes: Uint8Array,
      offset: number,
      length: number,
    ) => {
      order.push("write");
      return fs.writeSync(file, bytes, offset, length);
    }) as typeof fs.writeSync);
    vi.spyOn(system, "renameSync").mockImplementation((from, to) => {
      order.push("rename");
      fs.renameSync(from, to);
    });
    writeFileAtomic(path, "new");
    expect(order).toEqual(["write", "flush file", "rename", "flush folder"]);
  });

  it.each(["openSync", "writeSync", "fsyncSync", "fstatSync", "closeSync", "renameSync"] as const)(
    "keeps the old content and leaves nothing where %s fails",
    (call) => {
      vi.spyOn(system, call).mockImplementation(failing("EIO"));
      const attempt = (): void => writeFileAtomic(path, "new");
      expect(attempt).toThrow(
        expect.objectContaining({ code: "ERR_IO", exitCode: 74, message: expect.stringContaining(path) }),
      );
      expect(content()).toBe("old");
      expect(fs.readdirSync(folder)).toEqual(["summary.json"]);
    },
  );

  it("believes the size on the disk, not the counts of the writes", () => {
    vi.spyOn(system, "writeSync").mockImplementation(((
      file: number,
      bytes: Uint8Array,
      offset: number,
      length: number,
    ) => {
      fs.writeSync(file, bytes, offset, Math.max(0, length - 1));
      return length;
    }) as typeof fs.writeSync);
    expect(() => writeFileAtomic(path, "12345")).toThrow(/4 of 5 bytes were written/);
    expect(content()).toBe("old");
  });

  it("says how much room a full disk lacked", () => {
    vi.spyOn(system, "writeSync").mockImplementation(failing("ENOSPC"));
    expect(() => writeFileAtomic(path, "12345")).toThrow(
      /the disk is full\. It needed 5 bytes, and \d+ are free\. Make room/,
    );
  });

  it("fails where the folder is gone, and says so", () => {
    expect(() => writeFileAtomic(join(folder, "gone", "a"), "1")).toThrow(/gone.*ENOENT/);
  });
});

describe("JSON", () => {
  it("keeps what is not a number as text", () => {
    const value = {
      loss: Number.NaN,
      deep: [{ top: Number.POSITIVE_INFINITY }],
      low: Number.NEGATIVE_INFINITY,
      none: undefined,
      zero: 0,
    };
    expect(toJson(value)).toBe('{"loss":"NaN","deep":[{"top":"Infinity"}],"low":"-Infinity","zero":0}');
  });
});
