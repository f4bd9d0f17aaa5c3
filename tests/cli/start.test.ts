/** What a machine can lack before any code of a command runs: one sentence, exit code 74, at once. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { startProblem } from "../../bin/start-check.mjs";
import { makeFolders } from "../../core/files.js";

const bin = fileURLToPath(new URL("../../bin/trainer.mjs", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "fitloop-start-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs shell commands, and then the trainer in their surroundings. */
function run(before: string, args: string, env: NodeJS.ProcessEnv = {}): { status: number | null; said: string } {
  const { status, stdout, stderr } = spawnSync(
    "/bin/bash",
    ["-c", `${before}; exec "$0" "$1" ${args}`, process.execPath, bin],
    {
      cwd: folder,
      encoding: "utf8",
      timeout: 120_000,
      env: { ...process.env, ...env },
    },
  );
  return { status, said: stdout + stderr };
}

describe("a process that cannot start", () => {
  it("says that its working folder was deleted", () => {
    expect(run('mkdir gone; cd gone; rmdir "$PWD"', "presets")).toEqual({
      status: 74,
      said: "trainer: The working folder was deleted. Change into a folder that exists.\n",
    });
  });

  it.each([20, 24, 32, 48, 64])("says that %i open files are too few", (files) => {
    expect(run(`ulimit -n ${files}`, "--preset quickstart")).toEqual({
      status: 74,
      said:
        `trainer: The process may open ${files} files (ulimit -n), and at least 128 are needed. ` +
        "Raise the limit: ulimit -n 1024\n",
    });
  });

  it.each([2, 8, 16])("says that %i GB of address space are too little", (gigabytes) => {
    const { status, said } = run(`ulimit -v ${gigabytes * 1_000_000}`, "--preset quickstart");
    expect(status).toBe(74);
    expect(said).toMatch(/^trainer: The process may use [\d.]+ GB of address space \(ulimit -v\), and 32 GB .*\n$/);
  });

  it("starts with enough of both, and without limits", () => {
    expect(run("ulimit -n 256; ulimit -v 36000000", "presets")).toMatchObject({ status: 0 });
    expect(
      startProblem(
        () => "/",
        () => "Max address space         unlimited            unlimited            bytes\n",
      ),
    ).toBe(undefined);
  });

  it("starts on a system that names no limits, and says where not one file can be opened", () => {
    const failing = (code: string) => () => {
      throw Object.assign(new Error(code), { code });
    };
    expect(startProblem(() => "/", failing("ENOENT"))).toBe(undefined);
    expect(startProblem(() => "/", failing("EMFILE"))).toContain("may open no more files");
  });
});

describe("a home that is no home", () => {
  it("is no error for a command that needs none", () => {
    expect(run("true", "presets", { HOME: "/proc" })).toMatchObject({ status: 0 });
    expect(run("true", "plan --preset quickstart --backend wasm", { HOME: "/proc" })).toMatchObject({ status: 0 });
  });

  it("is named by a command that needs one, at once", () => {
    const { status, said } = run("true", "backend install", { HOME: "/proc", FITLOOP_CACHE: "", XDG_CACHE_HOME: "" });
    expect(status).toBe(73);
    expect(said).toMatch(
      /The cache folder \/proc\/\.cache\/fitloop cannot be written \(ENOENT\).* FITLOOP_CACHE\.\n$/s,
    );
  });
});

it("folders are created with those above them, and a folder that cannot be is an error at once", () => {
  const path = join(folder, "a/b/c");
  for (let time = 0; time < 2; time++) makeFolders(path);
  expect(existsSync(path)).toBe(true);
  expect(() => makeFolders("/proc/none/below")).toThrow("ENOENT");
  expect(() => makeFolders("/dev/null/below")).toThrow("ENOTDIR");
  expect(() => makeFolders("/dev/null")).toThrow("EEXIST");
});
