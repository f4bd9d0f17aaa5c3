/** The command line inside the test's own process: what it wrote, and the code it would have left with. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, vi } from "vitest";
import { runCommandLine } from "../../cli/command-line.js";

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs `trainer …args`. */
export async function trainer(...args: string[]): Promise<Ran> {
  const written = { stdout: "", stderr: "" };
  const spies = (["stdout", "stderr"] as const).map((name) =>
    vi.spyOn(process[name], "write").mockImplementation((chunk) => {
      written[name] += String(chunk);
      return true;
    }),
  );
  try {
    return { code: await runCommandLine(args), ...written };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

/** A folder of the test file's own, deleted after it; `inside` is the working directory, empty at first. */
export function workplace(): { base: string; inside: string } {
  const base = realpathSync(mkdtempSync(join(tmpdir(), "fitloop-cli-")));
  const inside = join(base, "inside");
  mkdirSync(inside);
  const before = process.cwd();
  process.chdir(inside);
  afterAll(() => {
    process.chdir(before);
    rmSync(base, { recursive: true, force: true });
  });
  return { base, inside };
}
