/** A log that tells its whole lines from all else, and holds each step once after any number of crashes. */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeEach, describe, expect, it, vi } from "vitest";
import { system } from "../../core/files.js";
import { type MetricsLog, maxLineBytes, openMetrics, readMetrics } from "../../run/metrics.js";

const base = fs.mkdtempSync(join(tmpdir(), "fitloop-metrics-"));
afterAll(() => fs.rmSync(base, { recursive: true, force: true }));
let path: string;
let count = 0;
beforeEach(() => {
  path = join(base, String(count++), "metrics.jsonl");
  fs.mkdirSync(join(path, ".."));
  return () => vi.restoreAllMocks();
});

/** Writes a log; the offsets at which its lines end. */
function write(events: readonly (readonly [string, object])[], options?: { from?: number }): number[] {
  const log = openMetrics(path, options);
  const ends = events.map(([event, value]) => {
    log.append(event, value);
    return log.bytes;
  });
  log.close();
  return ends;
}
/** Where a test opens hundreds of files, and no flush is of interest. */
const withoutFlushes = (): unknown => vi.spyOn(system, "fsyncSync").mockImplementation(() => {});
const steps = (count: number): (readonly [string, object])[] =>
  Array.from({ length: count }, (_, step) => ["step", { step: step + 1, loss: 1 / (step + 1) }] as const);
const read = (): Buffer => fs.readFileSync(path);
const stepsRead = (): unknown[] => {
  const { lines, problem } = readMetrics(path);
  expect(problem).toBeUndefined();
  return lines.map(({ step }) => step);
};

describe("a line", () => {
  it("is the event with the CRC-32 of its text as the last field", () => {
    write([["epoch:end", { epoch: 1, name: "Möwe 🐦\n\u2028", loss: Number.NaN, none: undefined }]]);
    const text = '{"event":"epoch:end","epoch":1,"name":"Möwe 🐦\\n\u2028","loss":"NaN"}';
    const crc = gzipSync(text)
      .readUInt32LE(gzipSync(text).length - 8)
      .toString(16)
      .padStart(8, "0");
    expect(read().toString()).toBe(`${text.slice(0, -1)},"crc":"${crc}"}\n`);
    expect(readMetrics(path)).toEqual({
      lines: [{ event: "epoch:end", epoch: 1, name: "Möwe 🐦\n\u2028", loss: "NaN" }],
    });
  });

  it("can be checked by hand as the module and the documentation say", () => {
    write(Array.from({ length: 16 }, (_, at) => ["warning", { message: `Übung ${7 * at}` }] as const));
    const source = fs.readFileSync(new URL("../../run/metrics.ts", import.meta.url), "utf8");
    const command = /^ \* {5}(sed[^]*?)\n \*\n/m.exec(source)![1]!.replaceAll(/^ \* +/gm, "");
    const page = fs.readFileSync(new URL("../../docs/architecture.md", import.meta.url), "utf8");
    expect(page.replaceAll(/^ +/gm, "")).toContain(command);
    expect(read().toString()).toContain('"crc":"0');
    for (const [at, line] of read().toString().trim().split("\n").entries()) {
      const own = command.replace("7p", `${at + 1}p`);
      const printed = execFileSync("sh", ["-c", own], { cwd: join(path, ".."), encoding: "utf8" }).trim();
      expect(printed, own).toBe(JSON.parse(line).crc);
    }
  });

  it("keeps a field of the event that has the checksum's name", () => {
    write([["step", { crc: "mine", inner: { crc: "00000000" } }]]);
    expect(readMetrics(path).lines).toEqual([{ event: "step", crc: "mine", inner: { crc: "00000000" } }]);
  });

  it("is written in one call", () => {
    const writes = vi.spyOn(system, "writeSync");
    write(steps(3));
    expect(writes).toHaveBeenCalledTimes(3);
  });

  it("is refused where it would be too long to be read", () => {
    const log = openMetrics(path);
    const text = "x".repeat(maxLineBytes - '{"event":"a","text":"","crc":"00000000"}\n'.length);
    log.append("a", { text });
    expect(log.bytes).toBe(maxLineBytes);
    expect(() => log.append("a", { text: `${text}x` })).toThrow(
      expect.objectContaining({ code: "ERR_PLUGIN", message: expect.stringMatching(`${maxLineBytes + 1}`) }),
    );
    log.append("b", {});
    log.close();
    const { lines, problem } = readMetrics(path);
    expect(lines.map(({ event }) => event)).toEqual(["a", "b"]);
    expect(problem).toBeUndefined();
  });
});

describe("a file that was cut", () => {
  it("at any byte keeps the whole lines, says what is missing, and is gone on from", () => {
    withoutFlushes();
    const ends = write(steps(8));
    const whole = read();
    for (let length = 0; length <= whole.length; length++) {
      const kept = ends.filter((end) => end <= length);
      const end = kept.at(-1) ?? 0;
      const broken = length - end;
      fs.writeFileSync(path, whole.subarray(0, length));
      const { lines, problem } = readMetrics(path);
      expect(lines.map(({ step }) => step)).toEqual(kept.map((_, at) => at + 1));
      const told = `${path}: line ${kept.length + 1} breaks off after ${broken} bytes.`;
      expect(problem).toBe(broken > 0 ? told : undefined);

      const log = openMetrics(path);
      expect([log.bytes, log.dropped, log.problem]).toEqual([end, broken, broken > 0 ? told : undefined]);
      log.append("step", { step: kept.length + 1 });
      log.close();
      expect(stepsRead()).toEqual([...kept, 0].map((_, at) => at + 1));
    }
    expect(fs.readdirSync(join(path, ".."))).toEqual(["metrics.jsonl"]); // nothing of worth was lost
  });

  it("catches up with the missing byte", () => {
    write(steps(3));
    const whole = read();
    fs.writeFileSync(path, whole.subarray(0, -1));
    expect(readMetrics(path).lines).toHaveLength(2);
    fs.writeFileSync(path, whole);
    expect(stepsRead()).toEqual([1, 2, 3]);
  });
});

describe("a file that is damaged", () => {
  it("in any bit ends before the line of that bit", () => {
    const ends = write(steps(5));
    const whole = read();
    for (let bit = 0; bit < 8 * whole.length; bit++) {
      const bytes = Buffer.from(whole);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      fs.writeFileSync(path, bytes);
      const before = ends.filter((end) => end <= bit >> 3).length;
      const { lines, problem } = readMetrics(path);
      expect(lines.length, `bit ${bit}`).toBe(before);
      expect(problem).toContain(`${path}: line ${before + 1} `);
    }
  });

  it("is copied before it is cut back, and says what was found", () => {
    const ends = write(steps(5));
    const bytes = read();
    bytes[ends[1]! + 4]! ^= 1;
    fs.writeFileSync(path, bytes);
    const log = openMetrics(path, { from: ends[3] });
    expect([log.bytes, log.dropped]).toEqual([ends[1], ends[4]! - ends[1]!]);
    expect(log.problem).toMatch(
      /jsonl: line 3 has the checksum [0-9a-f]{8} and a text whose checksum is [0-9a-f]{8}\. What it held/,
    );
    expect(log.problem).toContain(`What it held before it was cut back is in ${path}.damaged.`);
    expect(log.problem).toContain(`${path} should have ${ends[3]} bytes here and has ${ends[1]}: some`);
    log.close();
    expect(fs.readFileSync(`${path}.damaged`).equals(bytes)).toBe(true);
    expect(stepsRead()).toEqual([1, 2]);
  });

  it.each([
    ["no checksum", '{"event":"step","step":4}\n', "line 4 has no checksum"],
    ["an empty line", "\n", "line 4 has no checksum"],
    ["zeroes, as after a power cut", "\0".repeat(4096), "line 4 breaks off after 4096 bytes"],
    ["zeroes before lines", `${"\0".repeat(512)}\n`, "line 4 has no checksum"],
    ["a checksum in capitals", withChecksum('{"event":"x7"}').toUpperCase(), "line 4 has no checksum"],
    ["a checked line that is no JSON", withChecksum('{"event":x}'), "line 4 is no event"],
    ["a checked line without an event", withChecksum('{"step":4}'), "line 4 is no event"],
    ["a checked list", withChecksum("[]}"), "line 4 is no event"],
  ])("by %s ends there", (_, tail, problem) => {
    write(steps(3));
    fs.appendFileSync(path, tail);
    const found = readMetrics(path);
    expect(found.problem).toBe(`${path}: ${problem}.`);
    expect(found.lines).toHaveLength(3);
    const log = openMetrics(path);
    expect(log.dropped).toBe(Buffer.byteLength(tail));
    log.close();
    expect(stepsRead()).toEqual([1, 2, 3]);
  });

  function withChecksum(text: string): string {
    const crc = gzipSync(text)
      .readUInt32LE(gzipSync(text).length - 8)
      .toString(16)
      .padStart(8, "0");
    return `${text.slice(0, -1)},"crc":"${crc}"}\n`;
  }

  it("by a line of 1 GB is read in bounded memory", () => {
    write(steps(3));
    fs.truncateSync(path, 2 ** 30); // zeroes that take no room on the disk
    const before = process.memoryUsage().arrayBuffers;
    const { lines, problem } = readMetrics(path);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 * maxLineBytes);
    expect(lines).toHaveLength(3);
    expect(problem).toBe(`${path}: line 4 is longer than ${maxLineBytes} bytes.`);
  });

  it("by a line of 64 MB that is whole, checksum and all, is refused in one line and in bounded memory", () => {
    write(steps(3));
    fs.appendFileSync(path, withChecksum(`{"event":"step","step":4,"text":"${"x".repeat(2 ** 26)}"}`));
    const before = process.memoryUsage().arrayBuffers;
    const { lines, problem } = readMetrics(path);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 * maxLineBytes);
    expect(lines).toHaveLength(3);
    expect(problem).toBe(`${path}: line 4 is longer than ${maxLineBytes} bytes.`);
  });

  it("in any way that fast-check finds keeps a prefix, and no other line", () => {
    withoutFlushes();
    const events = steps(12);
    const ends = write(events);
    const whole = read();
    const lengths = ends.map((end, at) => end - (ends[at - 1] ?? 0));
    const edit = fc.record({
      at: fc.nat(whole.length),
      remove: fc.nat(200),
      insert: fc.oneof(
        fc.uint8Array({ maxLength: 40 }),
        // Parts of the file itself: lines twice, out of order, lines spliced.
        fc.tuple(fc.nat(whole.length), fc.nat(300)).map(([from, size]) => whole.subarray(from, from + size)),
      ),
    });
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
        let bytes = whole;
        for (const { at, remove, insert } of edits) {
          bytes = Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)]);
        }
        fs.writeFileSync(path, bytes);
        const { lines, problem } = readMetrics(path);
        const first = [...whole].findIndex((byte, at) => byte !== bytes[at]);
        const untouched = ends.filter((end) => end <= (first < 0 ? whole.length : first)).length;
        expect(lines.slice(0, untouched).map(({ step }) => step)).toEqual(
          Array.from({ length: untouched }, (_, at) => at + 1),
        );
        for (const { event, ...value } of lines) expect(events).toContainEqual([event, value]);
        const length = lines.reduce((sum, { step }) => sum + lengths[Number(step) - 1]!, 0);
        expect(problem === undefined).toBe(length === bytes.length);
        const log = openMetrics(path);
        expect([log.bytes, log.dropped]).toEqual([length, bytes.length - length]);
        log.close();
      }),
      { numRuns: 1000 },
    );
  });

  it("or is not there, is said", () => {
    const { lines, problem } = readMetrics(path);
    expect(lines).toEqual([]);
    expect(problem).toMatch(/metrics\.jsonl cannot be read: ENOENT/);
    fs.mkdirSync(path);
    expect(readMetrics(path)).toEqual({
      lines: [],
      problem: `${path} is a folder, a pipe or a device. Expected a file.`,
    });
    expect(() => openMetrics(path)).toThrow(expect.objectContaining({ code: "ERR_IO", exitCode: 74 }));
    expect(() => openMetrics(join(path, "no", "folder"))).toThrow(/Opening .*folder failed: ENOENT/);
  });
});

describe("a run that goes on", () => {
  it.each([0, 1, 4, 5])("from step %i has each step once", (step) => {
    const ends = [0, ...write(steps(5))];
    const log = openMetrics(path, { from: ends[step] });
    expect([log.bytes, log.dropped, log.problem]).toEqual([ends[step], ends[5]! - ends[step]!, undefined]);
    for (const [event, value] of steps(7).slice(step)) log.append(event, value);
    log.close();
    expect(stepsRead()).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  it("back to an earlier place, in the same process, has each step once", () => {
    const log = openMetrics(path);
    const ends = steps(5).map(([event, value]) => (log.append(event, value), log.bytes));
    log.cut(ends[1]!);
    expect(log.bytes).toBe(ends[1]);
    for (const [event, value] of steps(4).slice(2)) log.append(event, value);
    expect(log.bytes).toBe(ends[3]);
    log.close();
    expect(stepsRead()).toEqual([1, 2, 3, 4]);
  });

  it("says which bytes are missing", () => {
    const ends = write(steps(5));
    const log = openMetrics(path, { from: ends[4]! + 100 });
    expect(log.problem).toBe(
      `${path} should have ${ends[4]! + 100} bytes here and has ${ends[4]}: some steps are missing.`,
    );
    log.close();
    fs.rmSync(path);
    expect(openMetrics(path, { from: 7 }).problem).toMatch(/should have 7 bytes here and has 0/);
  });

  it("from the middle of a line goes on before it, and says so", () => {
    const ends = write(steps(5));
    const log = openMetrics(path, { from: ends[2]! + 3 });
    expect(log.problem).toMatch(/line 4 breaks off after 3 bytes\. .* should have/);
    expect(log.bytes).toBe(ends[2]);
    log.close();
  });

  it("has each step once after any number of crashes", () => {
    withoutFlushes();
    const total = 40;
    /** Steps until a checkpoint, steps after it, and what is left of these when the run dies. */
    const part = fc.double({ min: 0, max: 1, noNaN: true });
    const life = fc.record({ checkpoint: fc.nat(9), more: fc.nat(9), left: part });
    fc.assert(
      fc.property(fc.array(life, { maxLength: 12 }), (lives) => {
        fs.rmSync(path, { force: true });
        let saved = { step: 0, bytes: 0 };
        const open = (): MetricsLog => {
          const log = openMetrics(path, { from: saved.bytes });
          expect(log.problem).toBeUndefined();
          expect(log.bytes).toBe(saved.bytes);
          return log;
        };
        const train = (log: MetricsLog, first: number, last: number): void => {
          for (const [event, value] of steps(Math.min(last, total)).slice(first)) log.append(event, value);
        };
        for (const { checkpoint, more, left } of lives) {
          const log = open();
          train(log, saved.step, saved.step + checkpoint);
          saved = { step: Math.min(saved.step + checkpoint, total), bytes: log.bytes };
          log.sync();
          train(log, saved.step, saved.step + more);
          log.close();
          fs.truncateSync(path, saved.bytes + Math.floor(left * (log.bytes - saved.bytes)));
        }
        const log = open();
        train(log, saved.step, total);
        log.close();
        expect(stepsRead()).toEqual(Array.from({ length: total }, (_, at) => at + 1));
      }),
      { numRuns: 100 },
    );
  });
});

describe("a disk that fails", () => {
  const failing = (code: string) => (): never => {
    throw Object.assign(new Error(`${code}: it would not`), { code });
  };

  it("in the middle of a line takes it back before the next", () => {
    const log = openMetrics(path);
    log.append("step", { step: 1 });
    const { writeSync } = system;
    let writes = 0;
    const full = vi
      .spyOn(system, "writeSync")
      .mockImplementation(((file: number, bytes: Uint8Array) =>
        writes++ === 0 ? writeSync(file, bytes, 0, 5) : failing("ENOSPC")()) as typeof writeSync);
    const { bytes } = log;
    expect(() => log.append("step", { step: 2 })).toThrow(
      expect.objectContaining({
        code: "ERR_IO",
        message: expect.stringMatching(/failed: the disk is full\. It needed 43 bytes, and \d+ are free/),
      }),
    );
    expect(log.bytes).toBe(bytes);
    expect(read().length).toBe(bytes + 5);
    full.mockRestore();
    log.append("step", { step: 2 });
    expect(log.bytes).toBe(read().length);
    log.close();
    expect(stepsRead()).toEqual([1, 2]);
  });

  it("in the middle of a line has taken it back where the run goes back", () => {
    const log = openMetrics(path);
    log.append("step", { step: 1 });
    const full = vi.spyOn(system, "writeSync").mockImplementation(failing("ENOSPC"));
    expect(() => log.append("step", { step: 2 })).toThrow(/^Writing .*metrics\.jsonl failed/);
    full.mockRestore();
    const cut = vi.spyOn(system, "ftruncateSync");
    log.cut(0);
    log.append("step", { step: 1 });
    log.append("step", { step: 2 });
    expect(cut, "nothing is left to be cut off").toHaveBeenCalledTimes(1);
    log.close();
    expect(stepsRead()).toEqual([1, 2]);
  });

  it("where the run goes back says so, and nothing is taken for gone", () => {
    const log = openMetrics(path);
    log.append("step", { step: 1 });
    const { bytes } = log;
    vi.spyOn(system, "ftruncateSync").mockImplementationOnce(failing("EIO"));
    expect(() => log.cut(0)).toThrow(
      expect.objectContaining({
        code: "ERR_IO",
        message: expect.stringMatching(/^Cutting .*metrics\.jsonl failed: EIO/),
      }),
    );
    expect(log.bytes).toBe(bytes);
    log.close();
    const closed = vi.spyOn(system, "closeSync");
    log.close();
    expect(closed, "closed once").not.toHaveBeenCalled();
    expect(stepsRead()).toEqual([1]);
  });

  it("in a flush fails every flush after it: the disk forgets what it did not write", () => {
    const log = openMetrics(path);
    log.append("step", { step: 1 });
    const flush = vi.spyOn(system, "fsyncSync").mockImplementationOnce(failing("EIO"));
    for (const _ of [1, 2]) expect(() => log.sync()).toThrow(/Flushing .*metrics\.jsonl failed: EIO/);
    expect(flush).toHaveBeenCalledTimes(1);
    log.close();
  });

  it("at opening leaves no file open", () => {
    write(steps(3));
    const closed = vi.spyOn(system, "closeSync");
    vi.spyOn(system, "fstatSync").mockImplementation(failing("EIO"));
    expect(() => openMetrics(path)).toThrow(/Opening .*metrics\.jsonl failed: EIO/);
    expect(closed).toHaveBeenCalledTimes(2); // the folder, which was flushed, and the file
  });
});

describe("what survives power loss", () => {
  it("is the file's name from the start, and each line after sync", () => {
    const flushed: string[] = [];
    const names = new Map<number, string>();
    const { openSync, fsyncSync } = system;
    vi.spyOn(system, "openSync").mockImplementation(((name: string, flags: string) => {
      const file = openSync(name, flags);
      names.set(file, name);
      return file;
    }) as typeof openSync);
    vi.spyOn(system, "fsyncSync").mockImplementation((file) => {
      flushed.push(names.get(file)!);
      fsyncSync(file);
    });
    const log = openMetrics(path);
    expect(flushed).toEqual([join(path, "..")]);
    log.append("step", { step: 1 });
    expect(flushed).toHaveLength(1); // a flush for each step would cost more than the step
    log.sync();
    expect(flushed).toEqual([join(path, ".."), path]);
    log.close();
    log.close(); // closes nothing else
  });
});
