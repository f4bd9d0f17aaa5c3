/** Whatever call to the system fails, nothing that was saved is lost and nothing half has a name. */
import { isDeepStrictEqual } from "node:util";
import { afterEach, describe, expect, it } from "vitest";
import { TrainerError } from "../../core/errors.js";
import { system } from "../../core/files.js";
import { type Checkpoint, listCheckpoints, namesIn, newestCheckpoint, saveCheckpoint } from "../../run/checkpoints.js";
import { discardAfter, pruneCheckpoints, removeLeftovers } from "../../run/retention.js";
import { type Call, useMemoryDisk, useRealDisk } from "../support/memory-disk.js";
import { sampleCheckpoint } from "../support/sample-checkpoint.js";

afterEach(useRealDisk);
const folder = "/checkpoints";
const [first, second, third, other] = [
  sampleCheckpoint(1),
  sampleCheckpoint(2),
  sampleCheckpoint(3),
  sampleCheckpoint(3, { variant: 1 }),
] as [Checkpoint, Checkpoint, Checkpoint, Checkpoint];
const codes = ["ENOSPC", "EIO", "EDQUOT", "EFBIG"];
const reasons: Record<string, RegExp> = {
  ENOSPC: /the disk is full\. It needed/,
  EDQUOT: /the quota on the disk is used up\. It needed/,
  EFBIG: /the file is larger than this process may write\. It needed/,
};

interface Work {
  /** Before any fault. */
  prepare?: () => void;
  act: () => unknown;
  /** What recovery may find after a failure. */
  failed: readonly Checkpoint[];
  /** What it finds after a success. */
  done: Checkpoint;
  saves: boolean;
}

const works: Record<string, Work> = {
  "a save": { act: () => saveCheckpoint(folder, third), failed: [second], done: third, saves: true },
  "a save that finds the same": {
    prepare: () => saveCheckpoint(folder, third),
    act: () => saveCheckpoint(folder, third),
    failed: [third],
    done: third,
    saves: true,
  },
  "a save that replaces another": {
    prepare: () => saveCheckpoint(folder, other),
    act: () => saveCheckpoint(folder, third),
    failed: [other],
    done: third,
    saves: true,
  },
  "a removal of old ones": {
    prepare: () => saveCheckpoint(folder, third),
    act: () => pruneCheckpoints(folder, { keep: 2 }),
    failed: [third],
    done: third,
    saves: false,
  },
  "a removal of later ones": {
    act: () => discardAfter(folder, first),
    failed: [second, first],
    done: first,
    saves: false,
  },
};

interface Fault {
  call: Call;
  nth: number;
  code: string;
  /** Does every such call fail from the n-th on? */
  lasting: boolean;
}

/** Runs the work with that fault; `met` is how many such calls there were. */
function failing({ prepare, act }: Work, { call, nth, code, lasting }: Fault) {
  const disk = useMemoryDisk();
  saveCheckpoint(folder, first);
  saveCheckpoint(folder, second);
  prepare?.();
  let met = 0;
  disk.fault = (called) => {
    if (called !== call) return undefined;
    met++;
    return met === nth || (lasting && met > nth) ? code : undefined;
  };
  let error: unknown;
  try {
    act();
  } catch (caught) {
    error = caught;
  }
  disk.fault = () => undefined;
  return { error, met };
}

const reading: Call[] = ["readdirSync", "readFileSync"];
const writing: Call[] = [
  "openSync",
  "writeSync",
  "fsyncSync",
  "fstatSync",
  "closeSync",
  "mkdirSync",
  "renameSync",
  "rmSync",
];

/** Tries every call of the work with every code. */
function everyFault(work: Work, lasting: boolean, check: (fault: Fault, error: unknown) => void): number {
  let tried = 0;
  for (const call of [...writing, ...reading]) {
    for (const code of codes) {
      for (let nth = 1; ; nth++) {
        const fault = { call, nth, code, lasting };
        const { error, met } = failing(work, fault);
        if (met < nth) break;
        tried++;
        check(fault, error);
      }
    }
  }
  return tried;
}

const temporaries = (): string[] => namesIn(folder).filter((name) => name.startsWith(".tmp-"));

describe.each(Object.entries(works))("where any call fails in %s,", (_, work) => {
  it.each([
    ["once", false],
    ["from then on", true],
  ])("%s, what was there before is there still", (_, lasting) => {
    const tried = everyFault(work, lasting, (fault, error) => {
      const { checkpoint, skipped } = newestCheckpoint(folder);
      const found = {
        ...fault,
        error: (error as Error | undefined)?.message,
        step: checkpoint?.step,
        skipped,
      };
      // Between the two renames of a replacement that cannot be undone there is none of this place.
      const stuck = lasting && fault.call === "renameSync" && fault.nth === 2 ? [second] : [];
      const allowed = error === undefined ? [work.done] : [...work.failed, ...stuck];
      expect(allowed.some((each) => isDeepStrictEqual(each, checkpoint)) || found).toBe(true);
      expect(skipped).toEqual([]);
      if (error !== undefined && work.saves && !lasting) expect(temporaries()).toEqual([]);

      removeLeftovers(folder);
      work.act();
      expect(newestCheckpoint(folder)).toStrictEqual({ checkpoint: work.done, skipped: [] });
      expect(namesIn(folder)).toHaveLength(listCheckpoints(folder).length);
    });
    expect(tried).toBeGreaterThan(4 * 5);
  });

  it("it is told in one message, or does not matter", () => {
    everyFault(work, false, ({ call, code }, error) => {
      if (error === undefined) {
        // What replaces another does not need it to be readable, and the next start removes it.
        expect([...reading, "rmSync"]).toContain(call);
        return;
      }
      expect(error).toBeInstanceOf(TrainerError);
      expect(error).toMatchObject({ code: "ERR_IO", exitCode: 74, cause: { code } });
      const { message } = error as TrainerError;
      expect(message).toContain(folder);
      if (reading.includes(call)) expect(message).toMatch(/ cannot be read: /);
      else if (!work.saves) expect(message).toMatch(/^Removing .* failed: /);
      else {
        expect(message).toMatch(reasons[code] ?? /EIO: it would not.* It needed/);
        expect(message).toMatch(/^Saving .*step-00000003 failed: .* \d+ bytes, and 3584 are free\. Make room/);
      }
    });
  });

  it("a flush is never tried again", () => {
    for (let nth = 1; ; nth++) {
      const { met, error } = failing(work, { call: "fsyncSync", nth, code: "EIO", lasting: false });
      if (met < nth) break;
      expect(error).toBeInstanceOf(TrainerError);
      expect(met).toBe(nth);
    }
  });
});

describe("a system that takes little at a time", () => {
  const written = (takes: (length: number) => number): Buffer[] => {
    const disk = useMemoryDisk();
    disk.takes = takes;
    const { path } = saveCheckpoint(folder, third);
    return namesIn(path).map((name) => Buffer.from(disk.file(`${path}/${name}`)));
  };

  it("gets the same bytes", () => {
    const whole = written((length) => length);
    expect(written((length) => Math.ceil(length / 2))).toEqual(whole);
    expect(written((length) => Math.min(7, length))).toEqual(whole);
    expect(written(() => 1)).toEqual(whole);
  });

  it("and at last nothing is not waited for", () => {
    const disk = useMemoryDisk();
    disk.takes = () => 0;
    expect(() => saveCheckpoint(folder, third)).toThrow(/takes no more than 0 of \d+ bytes/);
    expect(namesIn(folder)).toEqual([]);
  });

  it("and claims more is found out", () => {
    const disk = useMemoryDisk();
    const honest = system.writeSync;
    system.writeSync = ((file: number, bytes: Uint8Array, offset: number, length: number) => {
      honest(file, bytes, offset, length - 1);
      return length;
    }) as typeof system.writeSync;
    expect(() => saveCheckpoint(folder, third)).toThrow(/failed: \d+ of \d+ bytes were written/);
    expect(namesIn(folder)).toEqual([]);
    expect(disk.changes.some(({ kind }) => kind === "write")).toBe(true);
  });
});

it("a full disk whose free bytes cannot be had is told all the same", () => {
  const disk = useMemoryDisk();
  disk.fault = (call) => (call === "writeSync" ? "ENOSPC" : call === "statfsSync" ? "EIO" : undefined);
  expect(() => saveCheckpoint(folder, third)).toThrow(/the disk is full\. It needed \d+ bytes\. Make room/);
});
