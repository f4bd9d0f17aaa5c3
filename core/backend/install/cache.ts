/**
 * The per-user cache of built backends.
 *
 *     <cache>/tensorflow-2.21.0-cpu-linux-x64-<hash of the binding's source>/
 *       manifest.json  tfjs_binding.node  quiet_loader.node  tensorflow/libtensorflow_*.so.2  tensorflow/include/…
 *
 * An entry is built in `tmp-…` and renamed when it is whole, so a folder of the name above is complete or was damaged
 * from outside. The manifest holds sizes, compared at every load (microseconds), and SHA-256, compared on request (the
 * libraries have 850 MB: a few seconds).
 */

import { readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { hashFile } from "../../hash-file.js";
import type { Recipe } from "./recipe.js";
import { toolchainOf } from "./toolchain.js";

const manifestSchema = z.object({
  format: z.literal(1),
  tensorflow: z.string(),
  variant: z.enum(["cpu", "gpu"]),
  platform: z.string(),
  /** SHA-256 of the binding's source. */
  binding: z.string(),
  compiler: z.string(),
  wheel: z.object({ name: z.string(), sha256: z.string(), pinned: z.boolean() }),
  installedAt: z.string(),
  files: z.array(z.object({ path: z.string(), bytes: z.number(), sha256: z.string() })),
});

export type Manifest = z.infer<typeof manifestSchema>;
export type CachedFile = Manifest["files"][number];

/** A complete backend on disk. */
export interface BackendLocation {
  directory: string;
  /** The Node addon. */
  addon: string;
  manifest: Manifest;
}

export const manifestName = "manifest.json";
/** Loads the addon quietly: see `quiet-load.ts`. */
export const loaderName = "quiet_loader.node";

/** An entry's folder name; `bindingHash` is the whole SHA-256 of the binding's source. */
export function entryName(
  { tensorflow, variant, platform }: Pick<Recipe, "tensorflow" | "variant" | "platform">,
  bindingHash: string,
): string {
  return `tensorflow-${tensorflow}-${variant}-${platform}-${bindingHash.slice(0, 12)}`;
}

/** The problem of an entry that is simply not there. */
export const notInstalled = "it is not installed";

/** The entry in a folder, its sizes checked, or why it cannot be used. */
export async function readEntry(directory: string): Promise<BackendLocation | { problem: string }> {
  let text: string;
  try {
    text = await readFile(join(directory, manifestName), "utf8");
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    return { problem: code === "ENOENT" ? notInstalled : `${manifestName} cannot be read (${code})` };
  }
  const manifest = parseManifest(text);
  if (!manifest) return { problem: `${manifestName} is damaged` };
  const location = { directory, addon: join(directory, toolchainOf(manifest.platform).addon), manifest };
  const problem = await damagedFile(location, async (path, file) => (await stat(path)).size === file.bytes);
  return problem === undefined ? location : { problem };
}

/** Reads every byte; the first file that differs from the manifest, or undefined. */
export function verifyEntry(location: BackendLocation): Promise<string | undefined> {
  return damagedFile(location, async (path, file) => (await hashFile(path)) === file.sha256);
}

/** The folders of all entries, complete or not, in the order of their names. */
export async function listEntries(root: string): Promise<string[]> {
  const found = await readdir(root, { withFileTypes: true }).catch(() => []);
  const folders = found.filter((each) => each.isDirectory() && each.name.startsWith("tensorflow-"));
  return folders.map(({ name }) => join(root, name)).sort();
}

/**
 * Deletes what interrupted installs left. Only the holder of the install lock may call it: nobody else builds then, so
 * every temporary folder is of a process that died.
 */
export async function removeLeftovers(root: string): Promise<string[]> {
  const left = (await readdir(root)).filter((name) => name.startsWith("tmp-"));
  for (const name of left) await rm(join(root, name), { recursive: true, force: true, maxRetries: 3 });
  return left;
}

async function damagedFile(
  { directory, manifest }: BackendLocation,
  isWhole: (path: string, file: CachedFile) => Promise<boolean>,
): Promise<string | undefined> {
  for (const file of manifest.files) {
    try {
      if (!(await isWhole(join(directory, file.path), file))) return `${file.path} differs from what was installed`;
    } catch (cause) {
      return `${file.path} cannot be read (${(cause as NodeJS.ErrnoException).code})`;
    }
  }
  return undefined;
}

function parseManifest(text: string): Manifest | undefined {
  try {
    return manifestSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
