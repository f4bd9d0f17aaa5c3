/** Atomic writes: under a file's name lies the old content or the new one, whatever the disk does. */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it, vi } from "vitest";
import {
  flushFolder,
  ioError,
  readWhole,
  system,
  unfinishedFiles,
  writeFileAtomic,
  writeFlushed,
} from "../../core/files.js";

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

  it("says why it failed also where the temporary file cannot be removed", () => {
    vi.spyOn(system, "renameSync").mockImplementation(failing("EIO"));
    vi.spyOn(system, "rmSync").mockImplementation(failing("EACCES"));
    expect(() => writeFileAtomic(path, "new")).toThrow(
      expect.objectContaining({ code: "ERR_IO", message: expect.stringContaining("EIO: it would not") }),
    );
  });

  it("says ERR_IO where a file has the place of the folder", () => {
    expect(() => writeFileAtomic(join(path, "below"), "new")).toThrow(expect.objectContaining({ code: "ERR_IO" }));
  });

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

  it.each([
    ["text", "12345"],
    [
      "pieces of known length",
      { length: 5, [Symbol.iterator]: () => [Buffer.from("12"), Buffer.from("345")].values() },
    ],
  ])("says how much room a full disk lacked for %s", (_, content) => {
    vi.spyOn(system, "writeSync").mockImplementation(failing("ENOSPC"));
    expect(() => writeFileAtomic(path, content)).toThrow(
      /the disk is full\. It needed 5 bytes, and \d+ are free\. Make room/,
    );
  });

  it("gives up where the system takes nothing any more", () => {
    vi.spyOn(system, "writeSync").mockImplementation(((file: number, bytes: Uint8Array, offset: number) =>
      offset === 3 ? 0 : fs.writeSync(file, bytes, offset, 3)) as typeof fs.writeSync);
    expect(() => writeFileAtomic(path, "12345")).toThrow("the system takes no more than 3 of 5 bytes");
    expect(content()).toBe("old");
  });

  it.each(["writeSync", "fsyncSync", "fstatSync", "renameSync", undefined] as const)(
    "leaves no file open, also where %s fails",
    (call) => {
      const [opened, closed] = [vi.spyOn(system, "openSync"), vi.spyOn(system, "closeSync")];
      if (call) vi.spyOn(system, call).mockImplementation(failing("EIO"));
      if (call) expect(() => writeFileAtomic(path, "new")).toThrow("EIO");
      else writeFileAtomic(path, "new");
      const files = opened.mock.results.map(({ value }) => value as number);
      expect(closed.mock.calls.map(([file]) => file)).toEqual(files);
    },
  );

  it("has a name that is known to be unfinished until it is whole", () => {
    const opened = vi.spyOn(system, "openSync");
    writeFileAtomic(path, "new");
    writeFileAtomic(path, "newer");
    const names = opened.mock.calls.filter(([, flags]) => flags === "wx").map(([name]) => String(name));
    expect(names).toHaveLength(2);
    expect(names[0]).not.toBe(names[1]);
    for (const name of names) {
      expect(name).toMatch(new RegExp(`^${folder}/\\.tmp-${process.pid}-[0-9a-f]{12}-summary\\.json$`));
    }
    for (const name of [".tmp-1-a", `.tmp-${process.pid}-summary.json`]) fs.writeFileSync(join(folder, name), "");
    for (const name of [".tmp-1-", ".tmp-a-a", ".tmp--a", "x.tmp-1-a", ".tmp-1a", "tmp-1-a"])
      fs.writeFileSync(join(folder, name), "");
    expect(unfinishedFiles(folder).sort()).toEqual([`.tmp-${process.pid}-summary.json`, ".tmp-1-a"].sort());
  });

  it("writes to nothing that is there already, a link least of all", () => {
    const outside = join(base, `outside-${count}`);
    fs.writeFileSync(outside, "mine");
    fs.symlinkSync(outside, join(folder, "link"));
    expect(() => writeFlushed(join(folder, "link"), Uint8Array.of(1))).toThrow("EEXIST");
    expect(() => writeFlushed(path, Uint8Array.of(1))).toThrow("EEXIST");
    writeFileAtomic(join(folder, "link"), "new"); // takes the link's name, and leaves what it pointed to
    expect(fs.readFileSync(outside, "utf8")).toBe("mine");
    expect(fs.lstatSync(join(folder, "link")).isFile()).toBe(true);
  });

  it("fails where the folder is gone, and says so", () => {
    expect(() => writeFileAtomic(join(folder, "gone", "a"), "1")).toThrow(/gone.*ENOENT/);
  });
});

describe("flushing a folder", () => {
  it("only reads it, and closes it also where the flush fails", () => {
    const [opened, closed] = [vi.spyOn(system, "openSync"), vi.spyOn(system, "closeSync")];
    flushFolder(folder);
    expect(opened.mock.calls).toEqual([[folder, "r"]]);
    vi.spyOn(system, "fsyncSync").mockImplementation(failing("EIO"));
    expect(() => flushFolder(folder)).toThrow("EIO");
    expect(closed).toHaveBeenCalledTimes(2);
  });
});

describe("what a failure says", () => {
  const full = Object.assign(new Error("ENOSPC: no space left"), { code: "ENOSPC" });

  it.each([
    ["ENOSPC", "the disk is full"],
    ["EDQUOT", "the quota on the disk is used up"],
    ["EFBIG", "the file is larger than this process may write"],
    ["EIO", "as the system says"],
  ])("of %s is that %s", (code, words) => {
    const cause = Object.assign(new Error("as the system says"), { code });
    const error = ioError("Writing x", cause);
    expect(error).toMatchObject({ code: "ERR_IO", cause });
    expect(error.message).toBe(`Writing x failed: ${words}. Make room or choose another folder with --out.`);
  });

  it("is the cause's own words where it has no code", () => {
    expect(ioError("Writing x", new Error("4 of 5 bytes were written")).message).toMatch(
      /^Writing x failed: 4 of 5 bytes were written\. Make/,
    );
  });

  it("is what was needed and what is free, in bytes", () => {
    vi.spyOn(system, "statfsSync").mockReturnValue({ bavail: 3, bsize: 4096 } as never);
    expect(ioError("Writing x", full, { bytes: 99_999, folder }).message).toContain(
      "the disk is full. It needed 99999 bytes, and 12288 are free. Make room",
    );
    expect(system.statfsSync).toHaveBeenCalledWith(folder);
  });

  it("is what was needed alone where the system does not tell what is free", () => {
    vi.spyOn(system, "statfsSync").mockImplementation(failing("ENOSYS"));
    expect(ioError("Writing x", full, { bytes: 5, folder }).message).toContain("It needed 5 bytes. Make room");
  });
});

describe("reading a whole file", () => {
  const most = 10;
  const code = (act: () => unknown): unknown => {
    try {
      return act();
    } catch (error) {
      return `${(error as { code: string }).code} ${(error as Error).message}`;
    }
  };

  it("gives its bytes", () => {
    expect(readWhole(path, { most }).toString()).toBe("old");
  });

  it("refuses what is larger, a folder, a pipe, a device and nothing, and waits for none of them", () => {
    fs.writeFileSync(path, "12345678901");
    expect(code(() => readWhole(path, { most }))).toBe(
      `ERR_DATA ${path}: expected a file of at most 10 bytes, got 11 bytes.`,
    );
    expect(code(() => readWhole(folder, { most }))).toMatch(/^ERR_DATA .*got a folder/);
    spawnSync("mkfifo", [join(folder, "pipe")]);
    expect(code(() => readWhole(join(folder, "pipe"), { most }))).toMatch(/^ERR_DATA .*got a pipe or a device/);
    expect(code(() => readWhole("/dev/zero", { most }))).toMatch(/^ERR_DATA .*got a pipe or a device/);
    expect(code(() => readWhole(join(folder, "gone"), { most }))).toMatch(/^ERR_IO .*ENOENT/);
  });
});
