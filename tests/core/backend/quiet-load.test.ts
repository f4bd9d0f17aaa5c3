/** TensorFlow's own lines while it loads: what is left out, and that no error is. */
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loaderName } from "../../../core/backend/install/cache.js";
import { findCandidates } from "../../../core/backend/install/candidates.js";
import { fromLevel } from "../../../core/backend/quiet-load.js";

const preface = "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n";
const line = (severity: string, text: string): string =>
  `${severity}0000 00:00:1796066920.680398    4464 port.cc:153] ${text}\n`;

describe("messages below a level", () => {
  const info = line("I", "oneDNN custom operations are on.");
  const processor = `${line("I", "This TensorFlow binary is optimized")}To enable the following instructions: AVX2\n`;
  const warning = line("W", "slow");
  const error = line("E", "Unable to register cuFFT factory");

  it.each([
    [0, preface + info + processor + warning + error],
    [1, warning + error],
    [2, error],
    [3, ""],
  ])("from %i", (level, expected) => {
    expect(fromLevel(preface + info + processor + warning + error, level)).toBe(expected);
  });

  it("leave everything that is no log message", () => {
    const other = "libfoo.so: cannot open\nI am no message\n";
    expect(fromLevel(info + other + info + "half a line", 3)).toBe(`${other}half a line`);
  });
});

describe("a process that loads", () => {
  const folder = mkdtempSync(join(tmpdir(), "fitloop-quiet-"));
  const script = fileURLToPath(new URL("../../support/load-addon.ts", import.meta.url));
  const root = fileURLToPath(new URL("../../..", import.meta.url));
  const run = (what: string, env = {}, redirect = ""): { status: number | string; out: string; error: string } => {
    const command = `exec "$0" --import tsx "$1" "$2" ${redirect}`;
    const { status, signal, stdout, stderr } = spawnSync("/bin/sh", ["-c", command, process.execPath, script, what], {
      cwd: root,
      encoding: "utf8",
      env: { ...process.env, ...env },
    });
    return { status: status ?? signal!, out: stdout, error: stderr };
  };
  /** Compiles a library beside a copy of the loader; its constructor runs `body`. */
  const library = (name: string, body: string): string => {
    const source = join(folder, `${name}.cc`);
    const path = join(folder, `${name}.node`);
    writeFileSync(source, `#include <cstdio>\n#include <cstdlib>\n__attribute__((constructor)) void f() { ${body} }\n`);
    execFileSync(process.env.CXX || "g++", ["-shared", "-fPIC", source, "-o", path]);
    return path;
  };
  const message = (severity: string): string => `std::fputs("${line(severity, "said").replace("\n", "\\n")}", stderr);`;

  beforeAll(async () => {
    const installed = (await findCandidates()).find((each) => "addon" in each);
    if (!installed || !("addon" in installed)) throw new Error("TensorFlow is not installed.");
    copyFileSync(join(dirname(installed.addon), loaderName), join(folder, loaderName));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it("TensorFlow prints nothing, in the main thread and in a worker", () => {
    expect(run("tensorflow", { TF_CPP_MIN_LOG_LEVEL: undefined })).toEqual({
      status: 0,
      out: "tensorflow\n",
      error: "",
    });
    expect(run("worker", { TF_CPP_MIN_LOG_LEVEL: undefined })).toMatchObject({
      out: "tensorflow\nworker 0\n",
      error: "",
    });
  });

  it("TensorFlow prints all of it where its level is 0", () => {
    expect(run("tensorflow", { TF_CPP_MIN_LOG_LEVEL: "0" }).error).toContain("oneDNN custom operations are on.");
  });

  it("TensorFlow needs no standard error", () => {
    expect(run("tensorflow", {}, "2>&-")).toMatchObject({ status: 0, out: "tensorflow\n" });
    expect(run("tensorflow", {}, "2>/dev/full")).toMatchObject({ out: "tensorflow\n" });
  });

  it("a library that cannot be used prints everything", () => {
    const { out, error } = run(library("useless", message("I")));
    expect(out).toContain("Module did not self-register");
    expect(error).toBe(line("I", "said"));
  });

  it("a file that is no library has the dynamic loader's own words", () => {
    const path = join(folder, "text.node");
    writeFileSync(path, "no library");
    expect(run(path)).toMatchObject({ status: 0, out: expect.stringMatching(/file too short|invalid ELF header/) });
  });

  it("a library that aborts prints everything first", () => {
    const { status, error } = run(library("abort", `${message("F")} std::abort();`));
    expect(status).toBe("SIGABRT");
    expect(error).toContain(line("F", "said"));
  });

  it("standard error is as it was afterwards", () => {
    const { error } = run(library("noisy", `${message("I")} ${message("E")}`), { TF_CPP_MIN_LOG_LEVEL: "2" });
    expect(error).toContain(line("E", "said"));
  });
});
