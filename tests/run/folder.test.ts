/** A run's own folder: new or empty, or nothing happens. */
import { existsSync, linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import type { TrainerError } from "../../core/errors.js";
import { createRunFolder, existingRunFolder, removeUnfinished } from "../../run/folder.js";
import { lockRun } from "../../run/lock.js";

const base = mkdtempSync(join(tmpdir(), "fitloop-folder-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));
let root: string;
let count = 0;
beforeEach(() => {
  root = join(base, String(count++));
  mkdirSync(root);
});

const refusal = (attempt: () => unknown): TrainerError => {
  try {
    attempt();
  } catch (error) {
    return error as TrainerError;
  }
  throw new Error("It was not refused.");
};

describe("runs/<name>-<number>", () => {
  it("takes the first number that is free, whatever lies there", () => {
    const runs = join(root, "runs");
    expect(createRunFolder({ name: "a", root: runs }).path).toBe(join(runs, "a-1"));
    expect(createRunFolder({ name: "a", root: runs }).path).toBe(join(runs, "a-2"));
    expect(createRunFolder({ name: "b", root: runs }).path).toBe(join(runs, "b-1"));
    writeFileSync(join(runs, "a-3"), "a file");
    symlinkSync("nowhere", join(runs, "a-4"));
    expect(createRunFolder({ name: "a", root: runs }).path).toBe(join(runs, "a-5"));
  });

  it("is another for each of many that start at once", () => {
    const names = Array.from({ length: 50 }, () => createRunFolder({ name: "a", root }).path);
    expect(new Set(names).size).toBe(50);
  });
});

describe("--out", () => {
  it("is created with what it lies in", () => {
    const out = join(root, "x", "y", "z");
    expect(createRunFolder({ out, name: "a" }).path).toBe(out);
    expect(existsSync(out)).toBe(true);
  });

  it("may exist and be empty", () => {
    expect(createRunFolder({ out: root, name: "a" }).path).toBe(root);
  });

  it("may hold what a run leaves that was killed before its first file", () => {
    const left = [
      "run.lock",
      "run.lock.new-0123456789abcdef",
      "run.lock.after-0123456789abcdef",
      ".tmp-77-config.resolved.json",
    ];
    for (const name of left) writeFileSync(join(root, name), "");
    expect(createRunFolder({ out: root, name: "a" }).path).toBe(root);
    removeUnfinished(root);
    expect(readdirSync(root).sort()).toEqual(left.slice(0, 3).sort());
  });

  it("may have unfinished files in the folders of the report and the like, which are removed too; a checkpoint's folder is not", () => {
    for (const folder of ["report", "checkpoints/.tmp-8-77-0123456789ab"])
      mkdirSync(join(root, folder), { recursive: true });
    writeFileSync(join(root, "report", ".tmp-77-kept.json"), "");
    writeFileSync(join(root, "report", "kept.json"), "{}");
    removeUnfinished(root);
    expect(readdirSync(join(root, "report"))).toEqual(["kept.json"]);
    expect(readdirSync(join(root, "checkpoints"))).toEqual([".tmp-8-77-0123456789ab"]);
  });

  it("that holds something is refused and left alone", () => {
    writeFileSync(join(root, "precious"), "1");
    const error = refusal(() => createRunFolder({ out: root, name: "a" }));
    expect(error).toMatchObject({ code: "ERR_OUTPUT", exitCode: 73 });
    expect(error.message).toContain(`${root} is not empty and holds no run. Please choose another folder with --out.`);
    expect(readdirSync(root)).toEqual(["precious"]);
  });

  it.each([
    ["an unfinished run", [], "holds an unfinished run. Resume it with --resume"],
    ["a finished run", ["summary.json"], "holds a run. Resume or extend it with --resume"],
  ])("that holds %s says how to resume it, and never to remove it", (_, files, message) => {
    for (const name of ["config.resolved.json", ...files]) writeFileSync(join(root, name), "{}");
    const error = refusal(() => createRunFolder({ out: root, name: "a" }));
    expect(error).toMatchObject({ code: "ERR_OUTPUT" });
    expect(error.message).toContain(`${message} ${root}`);
    expect(error.message).not.toMatch(/remove/);
  });

  it("that holds a run under way says so", () => {
    writeFileSync(join(root, "config.resolved.json"), "{}");
    const lock = lockRun(root);
    const error = refusal(() => createRunFolder({ out: root, name: "a" }));
    lock.release();
    expect(error).toMatchObject({ code: "ERR_LOCKED", exitCode: 75 });
    expect(error.message).toContain("holds a run that is under way. Wait for its end");
  });

  it.each([
    ["that is a file", (at: string) => (writeFileSync(join(at, "f"), ""), "f")],
    ["below a file", (at: string) => (writeFileSync(join(at, "f"), ""), "f/run")],
    ["that is a link to nowhere", (at: string) => (symlinkSync("nowhere", join(at, "l")), "l")],
    ["with a name too long for the disk", () => `new/${"n".repeat(300)}`],
    ["with a NUL", () => "a\0b"],
  ])("%s is refused by name, and nothing is left", (_, make) => {
    const out = join(root, make(root));
    const before = readdirSync(root);
    const error = refusal(() => createRunFolder({ out, name: "a" }));
    expect(error).toMatchObject({ code: "ERR_OUTPUT", exitCode: 73 });
    expect(error.message).toMatch(/Choose another with --out\.$/);
    expect(readdirSync(root)).toEqual(before);
  });
});

describe("removing an empty folder", () => {
  it("takes away what was created, and no more", () => {
    const folder = createRunFolder({ out: join(root, "x", "y"), name: "a" });
    folder.removeIfEmpty();
    expect(readdirSync(root)).toEqual([]);
    const numbered = createRunFolder({ name: "a", root: join(root, "runs") });
    numbered.removeIfEmpty();
    expect(readdirSync(root)).toEqual([]);
    createRunFolder({ out: root, name: "a" }).removeIfEmpty();
    expect(existsSync(root)).toBe(true);
  });

  it("stops at the first that holds something", () => {
    const folder = createRunFolder({ out: join(root, "x", "y"), name: "a" });
    writeFileSync(join(root, "x", "other"), "");
    folder.removeIfEmpty();
    expect(readdirSync(join(root, "x"))).toEqual(["other"]);
    const kept = createRunFolder({ out: join(root, "z"), name: "a" });
    writeFileSync(join(root, "z", "metrics.jsonl"), "");
    kept.removeIfEmpty();
    expect(readdirSync(join(root, "z"))).toEqual(["metrics.jsonl"]);
  });
});

describe("a folder that cannot be had", () => {
  it("is named where it is not there and a run was to go on in it", () => {
    const error = refusal(() => existingRunFolder(join(root, "gone")));
    expect(error).toMatchObject({ code: "ERR_OUTPUT", exitCode: 73, cause: { code: "ENOENT" } });
    expect(error.message).toMatch(`The run's folder ${join(root, "gone")} cannot be written: ENOENT`);
  });

  it("is named as it would have been called where its number is still open", () => {
    writeFileSync(join(root, "runs"), "");
    const error = refusal(() => createRunFolder({ name: "a", root: join(root, "runs") }));
    expect(error).toMatchObject({ code: "ERR_OUTPUT", cause: { code: "ENOTDIR" } });
    expect(error.message).toMatch(`The run's folder ${join(root, "runs", "a-…")} cannot be created: ENOTDIR`);
  });

  it("is named where unfinished files were to be removed from it", () => {
    const error = refusal(() => removeUnfinished(join(root, "gone")));
    expect(error).toMatchObject({ code: "ERR_IO" });
    expect(error.message).toMatch(`Removing unfinished files in ${join(root, "gone")} failed`);
  });
});

it("a run that goes on never takes its folder away", () => {
  const folder = existingRunFolder(root);
  expect(folder.path).toBe(root);
  folder.removeIfEmpty();
  expect(existsSync(root)).toBe(true);
});

describe("links in a run's folder", () => {
  const outside = join(base, "outside");
  writeFileSync(outside, "mine");
  const kinds: [string, (path: string) => void, string][] = [
    ["a link to a file", (path) => symlinkSync(outside, path), "a symbolic link"],
    ["a link to a folder", (path) => symlinkSync(base, path), "a symbolic link"],
    ["a link to nothing", (path) => symlinkSync("nowhere", path), "a symbolic link"],
    ["a second name of a file", (path) => linkSync(outside, path), "one with 2 names (hard links)"],
  ];

  it.each(kinds)("are refused before anything is written: %s", (_, make, found) => {
    for (const name of [
      "metrics.jsonl",
      "run.lock",
      "report",
      "visualdl/vdlrecords.1.log",
      "checkpoints/step-00000001",
    ]) {
      if (found.includes("hard") && name === "run.lock") continue; // taken by a link of its own
      const folder = join(root, name.replaceAll("/", "-"));
      mkdirSync(join(folder, name, ".."), { recursive: true });
      make(join(folder, name));
      const error = refusal(() => existingRunFolder(folder));
      expect(error).toMatchObject({ code: "ERR_OUTPUT", exitCode: 73 });
      expect(error.message).toContain(
        `${join(folder, name)}: expected a file or folder of the run's own, got ${found}.`,
      );
      rmSync(outside, { force: true });
      writeFileSync(outside, "mine");
    }
  });

  it("are refused in a folder that only a killed run's lock lies in", () => {
    symlinkSync(outside, join(root, "run.lock"));
    expect(refusal(() => createRunFolder({ out: root, name: "a" })).code).toBe("ERR_OUTPUT");
  });

  it("do not matter outside of it: a run's folder may be reached by one", () => {
    const link = join(base, `link-${count}`);
    symlinkSync(root, link);
    expect(existingRunFolder(link).path).toBe(link);
  });
});
