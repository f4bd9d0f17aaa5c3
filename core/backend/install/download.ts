/** Fetching wheels with the user's own pip, which knows the user's mirror, proxy and certificates. */

import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";

import { TrainerError } from "../../errors.js";
import { formatBytes } from "../../format.js";
import { hashFile } from "../../hash-file.js";
import type { Pin, Recipe } from "./recipe.js";
import { runTool } from "./tools.js";

export interface Fetch {
  python: string;
  /**
   * An empty or missing folder; pip's own temporary files go there too, so that a killed download is found again.
   */
  folder: string;
  log: (line: string) => void;
  signal?: AbortSignal;
}

/** Downloads one wheel for the recipe's platform, without what it requires; the path of the file. */
export async function downloadWheel(
  requirement: string,
  recipe: Pick<Recipe, "pythonVersion" | "platformTag">,
  { python, folder, log, signal }: Fetch,
  extraArguments: readonly string[] = [],
): Promise<string> {
  const scratch = join(folder, "pip");
  await mkdir(scratch, { recursive: true });
  const progress = setInterval(() => void reportSize(scratch, log), 15_000);
  try {
    await runTool(
      python,
      [
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--implementation",
        "cp",
        "--python-version",
        recipe.pythonVersion,
        ...acceptedTags(recipe.platformTag).flatMap((tag) => ["--platform", tag]),
        "--progress-bar",
        "off",
        "--no-input",
        "--disable-pip-version-check",
        "--dest",
        folder,
        ...extraArguments,
        requirement,
      ],
      { env: { ...process.env, TMPDIR: scratch }, signal },
    );
  } catch (cause) {
    signal?.throwIfAborted();
    throw new TrainerError(
      "ERR_DOWNLOAD",
      `pip could not fetch ${requirement}: ${(cause as Error).message}\n` +
        "Check the network and pip's own settings (`pip config list`), or fetch the wheel elsewhere and " +
        "give its path with --from.",
      { cause },
    );
  } finally {
    clearInterval(progress);
    await rm(scratch, { recursive: true, force: true });
  }
  const wheels = (await readdir(folder)).filter((name) => name.endsWith(".whl"));
  if (wheels.length !== 1) {
    throw new TrainerError("ERR_DOWNLOAD", `pip fetched ${wheels.length} wheels for ${requirement}, expected one.`);
  }
  return join(folder, wheels[0]!);
}

/**
 * Downloads the recipe's wheel and holds it against its pin. A wrong file is deleted and fetched once more past pip's
 * own cache; a second wrong one is an error.
 */
export async function downloadPinnedWheel(recipe: Recipe, fetch: Fetch): Promise<string> {
  const requirement = `${recipe.project}==${recipe.tensorflow}`;
  let problem: string | undefined;
  for (const extraArguments of [[], ["--no-cache-dir"]]) {
    const wheel = await downloadWheel(requirement, recipe, fetch, extraArguments);
    problem = await pinProblem(wheel, recipe.wheel, fetch.signal);
    if (problem === undefined) return wheel;
    await rm(wheel);
    fetch.log(`${recipe.wheel.name} is not the pinned file (${problem}); deleted it`);
  }
  throw new TrainerError(
    "ERR_DOWNLOAD",
    `${requirement} differed from the pinned file in two downloads (${problem}). The index or mirror that ` +
      "pip uses serves another file: use another one, or fetch the wheel elsewhere and give its path with --from.",
  );
}

/** How a file differs from its pin, or undefined. */
export async function pinProblem(path: string, pin: Pin, signal?: AbortSignal): Promise<string | undefined> {
  const { size } = await stat(path);
  if (pin.bytes !== undefined && size !== pin.bytes) return `${size} bytes, pinned ${pin.bytes}`;
  const sha256 = await hashFile(path, signal);
  return sha256 === pin.sha256 ? undefined : `SHA-256 ${sha256}, pinned ${pin.sha256}`;
}

/** pip compares platform tags as they are written, and older manylinux wheels run on newer systems too. */
function acceptedTags(tag: string): string[] {
  if (!tag.startsWith("manylinux")) return [tag];
  const architecture = tag.replace(/^manylinux_\d+_\d+_/, "");
  const older = ["manylinux_2_17", "manylinux2014"].map((name) => `${name}_${architecture}`);
  return [tag, ...older.filter((name) => name !== tag)];
}

async function reportSize(folder: string, log: (line: string) => void): Promise<void> {
  const names = await readdir(folder, { recursive: true }).catch(() => [] as string[]);
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(folder, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  log(`… ${formatBytes(sizes.reduce((sum, size) => sum + size, 0))} so far`);
}
