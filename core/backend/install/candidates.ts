/** The places where an addon of TensorFlow may lie, in the order in which they are tried. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { cacheRoot } from "../../cache.js";
import { packageRoot } from "../../package.js";
import { entryName, notInstalled, readEntry } from "./cache.js";
import { findNativeSources, hashSources } from "./native-sources.js";
import { recipeFor, type Variant } from "./recipe.js";
import { toolchainOf } from "./toolchain.js";

/** An addon to load, or why a place has none. */
export type Candidate = { place: string } & ({ addon: string; note?: string } | { problem: string });

/** Our own cache (the CUDA variant first, since who installed it wants it), then tfjs-node's own installer. */
export async function findCandidates(workingDirectory = process.cwd()): Promise<Candidate[]> {
  const cached = [await cachedAddon("gpu"), await cachedAddon("cpu")];
  return [...cached, ...ownAddons([workingDirectory, packageRoot()])];
}

async function cachedAddon(variant: Variant): Promise<Candidate> {
  let place = `TensorFlow (${variant})`;
  try {
    place += ` in ${cacheRoot()}`;
    const recipe = recipeFor(variant);
    const name = entryName(recipe, hashSources(findNativeSources(), toolchainOf(recipe.platform).flags));
    const entry = await readEntry(join(cacheRoot(), name));
    return "problem" in entry ? { place, problem: entry.problem } : { place, addon: entry.addon };
  } catch (error) {
    return { place, problem: (error as Error).message };
  }
}

/** Addons that the install script of tfjs-node has fetched, with whichever TensorFlow it came with. */
function ownAddons(folders: readonly string[]): Candidate[] {
  const found = new Map<string, Candidate>();
  for (const folder of folders) {
    for (const name of ["@tensorflow/tfjs-node-gpu", "@tensorflow/tfjs-node"]) {
      const root = packageFolder(name, folder);
      if (root !== undefined) found.set(root, ownAddon(name, root));
    }
  }
  return [...found.values()];
}

function ownAddon(name: string, root: string): Candidate {
  const place = `the addon of ${name} in ${root}`;
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  if (version !== "4.22.0") return { place, problem: `it is version ${version}, and 4.22.0 is needed` };
  const lib = join(root, "lib");
  const addons = existsSync(lib)
    ? readdirSync(lib)
        .filter((folder) => /^napi-v\d+$/.test(folder))
        .map((folder) => join(lib, folder, "tfjs_binding.node"))
        .filter((path) => existsSync(path))
    : [];
  const addon = addons.sort().at(-1);
  if (addon === undefined) return { place, problem: notInstalled };
  return { place, addon, note: `TensorFlow comes from ${name}'s own installer, not from trainer backend install` };
}

function packageFolder(name: string, from: string): string | undefined {
  try {
    return dirname(createRequire(join(from, "package.json")).resolve(`${name}/package.json`));
  } catch {
    return undefined;
  }
}
