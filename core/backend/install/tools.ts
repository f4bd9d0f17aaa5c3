/** The two tools that an install needs from the machine, Python's pip and a C++ compiler, and how to run them. */

import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import { TrainerError } from "../../errors.js";
import type { Toolchain } from "./toolchain.js";

export interface ToolRun {
  env?: NodeJS.ProcessEnv;
  signal?: AbortSignal;
}

/** Runs a program without a shell and returns what it printed. Its failure carries the end of its standard error. */
export async function runTool(command: string, args: readonly string[], options: ToolRun = {}): Promise<string> {
  options.signal?.throwIfAborted();
  const run = promisify(execFile)(command, [...args], { maxBuffer: 64 << 20, ...options });
  try {
    return (await run).stdout;
  } catch (cause) {
    options.signal?.throwIfAborted();
    const { stderr = "", message } = cause as Error & { stderr?: string };
    const last = stderr.trim().split("\n").slice(-12).join("\n") || message;
    throw new Error(`${command} ${args.slice(0, 4).join(" ")} … failed:\n${last}`, { cause });
  }
}

/** The name of a Python 3 that has pip; of exactly this version, if one is given (`3.11`). */
export async function findPython(version?: string, env: NodeJS.ProcessEnv = process.env): Promise<string> {
  let found = false;
  const fits = version ? `"%d.%d" % sys.version_info[:2] == "${version}"` : "sys.version_info >= (3, 8)";
  for (const name of ["python3", "python"]) {
    if (!(await works(name, ["-c", `import sys; sys.exit(not (${fits}))`], env))) continue;
    found = true;
    if (await works(name, ["-m", "pip", "--version"], env)) return name;
  }
  const wanted = version ? `Python ${version} (its folder in PATH)` : "Python 3.8 or later (python3)";
  const what = found ? "Python's pip is missing" : `${wanted} with pip is missing`;
  throw new TrainerError(
    "ERR_BACKEND",
    `${what}; it fetches the TensorFlow library. Install it (Debian, Ubuntu: apt install python3-pip; ` +
      "Fedora: dnf install python3-pip), or fetch the wheel elsewhere and give its path with --from.",
  );
}

/** The first C++17 compiler of `$CXX` and the platform's that builds a small program against `node_api.h`. */
export async function findCompiler(
  nodeApi: string,
  { compilers, compilerHint }: Pick<Toolchain, "compilers" | "compilerHint">,
  env: NodeJS.ProcessEnv = process.env,
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "fitloop-compiler-"));
  let failure: unknown;
  try {
    const source = join(folder, "probe.cc");
    await writeFile(
      source,
      "#include <memory>\n#include <node_api.h>\nint main() { return std::unique_ptr<int>() ? 1 : 0; }\n",
    );
    for (const name of [env.CXX, ...compilers]) {
      if (!name) continue;
      try {
        await runTool(name, ["-std=c++17", `-I${nodeApi}`, "-c", source, "-o", join(folder, "probe.o")], { env });
        return name;
      } catch (error) {
        if (!isMissing(error)) failure ??= error;
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  throw new TrainerError(
    "ERR_BACKEND",
    `${failure ? "The C++ compiler found here cannot build a small program" : "A C++ compiler is missing"}; it builds ` +
      `the 100 KB addon that connects Node and TensorFlow. Install one (${compilerHint}), or name it in CXX.`,
    { cause: failure },
  );
}

async function works(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<boolean> {
  return runTool(command, args, { env }).then(
    () => true,
    () => false,
  );
}

function isMissing(error: unknown): boolean {
  return ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code === "ENOENT";
}
