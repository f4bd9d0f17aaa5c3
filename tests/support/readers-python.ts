/** A Python with official readers of our files, made once in the user's cache. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { cacheRoot } from "../../core/cache.js";

/**
 * @param name of the folder in the cache
 * @param requirements pip's file
 * @param given a Python that has the packages already
 * @returns the interpreter's path; throws where it cannot be made
 */
export function readersPython(name: string, requirements: string, given?: string): string {
  if (given) return given;
  const place = join(cacheRoot(), name);
  const python = join(place, "bin", "python");
  if (!existsSync(join(place, "whole"))) {
    rmSync(place, { recursive: true, force: true });
    mkdirSync(place, { recursive: true });
    execFileSync("python3", ["-m", "venv", place]);
    execFileSync(python, ["-m", "pip", "install", "--quiet", "--requirement", requirements], { stdio: "inherit" });
    mkdirSync(join(place, "whole"));
  }
  return python;
}
