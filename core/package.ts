/** Where the package itself lies, and which version it is. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { TrainerError } from "./errors.js";

/** The folder of this package's package.json, from the sources and from the bundle alike. */
export function packageRoot(): string {
  const start = dirname(fileURLToPath(import.meta.url));
  for (let folder = start; ; folder = dirname(folder)) {
    const file = join(folder, "package.json");
    if (existsSync(file) && JSON.parse(readFileSync(file, "utf8")).name === "fitloop") return folder;
    if (folder === dirname(folder)) {
      throw new TrainerError("ERR_INTERNAL", `No package.json of fitloop lies above ${start}. Install it again.`);
    }
  }
}

/** This package's version. */
export const packageVersion = (): string =>
  (JSON.parse(readFileSync(join(packageRoot(), "package.json"), "utf8")) as { version: string }).version;
