/**
 * `trainer backend install`: a current TensorFlow under tf.js.
 *
 * tfjs-node's own installer fetches TensorFlow 2.9 from a storage host that many firewalls refuse. The published wheel
 * of TensorFlow has the same C library, and tfjs-node's binding uses only its stable C interface: so the wheel comes
 * through the user's pip, two libraries and 14 headers are taken out of it, and the binding is compiled against them.
 */

import {
  access,
  constants,
  copyFile,
  link,
  mkdir,
  mkdtemp,
  open,
  rename,
  rm,
  statfs,
  writeFile,
} from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { cacheRoot } from "../../cache.js";
import { TrainerError } from "../../errors.js";
import { makeFolders } from "../../files.js";
import { formatBytes } from "../../format.js";
import { hashFile } from "../../hash-file.js";
import { waitForLock } from "../../lock/waiting.js";
import { buildAddon, cudaLibrary } from "./build.js";
import {
  type BackendLocation,
  type CachedFile,
  entryName,
  listEntries,
  loaderName,
  type Manifest,
  manifestName,
  notInstalled,
  readEntry,
  removeLeftovers,
  verifyEntry,
} from "./cache.js";
import { downloadPinnedWheel, type Fetch, pinProblem } from "./download.js";
import { findNativeSources, hashSources, type NativeSources } from "./native-sources.js";
import { headers, type Pin, type Recipe, recipeFor } from "./recipe.js";
import { toolchainOf, windowsPython } from "./toolchain.js";
import { findCompiler, findPython, runTool } from "./tools.js";
import { extractWheel } from "./wheel.js";

export interface InstallOptions {
  /** The CUDA variant. Never tried on a GPU. */
  gpu?: boolean;
  /** A wheel on this disk instead of a download. */
  from?: string;
  log: (line: string) => void;
  signal?: AbortSignal;
}

/** Installs the backend for this machine unless it is there already; safe to interrupt and to run twice at once. */
export async function installBackend({ gpu = false, ...options }: InstallOptions): Promise<BackendLocation> {
  return installRecipe(recipeFor(gpu ? "gpu" : "cpu"), findNativeSources(), options);
}

/** The cache entry for a recipe and this package's binding, or why it cannot be used. */
export function findEntry(recipe: Recipe, sources: NativeSources, root = cacheRoot()) {
  return readEntry(join(root, entryName(recipe, hashSources(sources, toolchainOf(recipe.platform).flags))));
}

/** `installBackend` for any recipe; tests give a small one. */
export async function installRecipe(
  recipe: Recipe,
  sources: NativeSources,
  { from, log, signal }: Omit<InstallOptions, "gpu">,
): Promise<BackendLocation> {
  const root = cacheRoot();
  // Before anything is written: a cache that is whole may be read-only and the machine offline.
  const found = await findWholeEntry(recipe, sources, root);
  if ("directory" in found) {
    log(`TensorFlow ${recipe.tensorflow} (${recipe.variant}) is installed and undamaged: ${found.directory}`);
    return found;
  }
  await makeFolder(root);
  const release = await waitForLock(root, {
    onWait: (holder) => log(`another install is under way (${holder}); waiting for it`),
    signal,
  });
  try {
    const left = await removeLeftovers(root);
    for (const name of left) log(`removed ${name}, left by an install that did not end`);
    const entry = await findWholeEntry(recipe, sources, root);
    if ("directory" in entry) {
      log(`the other process has installed it: ${entry.directory}`);
      return entry;
    }
    if (entry.problem !== notInstalled) log(`installing again, since ${entry.problem}`);
    return await buildEntry(recipe, sources, root, { from, log, signal });
  } catch (cause) {
    throw explained(cause, root);
  } finally {
    release();
  }
}

/** What the system refused, as one message; every other error as it is. */
function explained(error: unknown, root: string): unknown {
  const { syscall, message } = error as NodeJS.ErrnoException;
  if (error instanceof TrainerError || syscall === undefined) return error;
  const what = `Installing into ${root} failed: ${message}. Nothing is left of it.`;
  return new TrainerError("ERR_IO", `${what} Fix the cause, or name another folder in FITLOOP_CACHE.`, {
    cause: error,
  });
}

async function findWholeEntry(recipe: Recipe, sources: NativeSources, root: string) {
  const entry = await findEntry(recipe, sources, root);
  if ("problem" in entry) return entry;
  const problem = await verifyEntry(entry);
  return problem === undefined ? entry : { problem };
}

/** Builds an entry in a temporary folder and renames it into place. The lock is held. */
async function buildEntry(
  recipe: Recipe,
  sources: NativeSources,
  root: string,
  { from, log, signal }: Omit<InstallOptions, "gpu">,
): Promise<BackendLocation> {
  const relative = await findSameLibraries(recipe, root);
  const { addon, flags, quietLoader, ...toolchain } = toolchainOf(recipe.platform);
  // Both tools are tried before 274 MB are fetched.
  const compiler = await findCompiler(sources.nodeApi, toolchain);
  const needsPython = !relative && (!from || recipe.cuda !== undefined || isWindows(recipe));
  const python = needsPython ? await findPython(isWindows(recipe) ? recipe.pythonVersion : undefined) : undefined;
  if (!relative) {
    await checkDiskSpace(root, recipe.diskBytes);
    const { cuda } = recipe;
    if (cuda) {
      const size = formatBytes(downloadBytes([...(from ? [] : [recipe.wheel]), ...cuda]));
      log(`${size} to download; ${formatBytes(recipe.diskBytes)} of disk while it installs`);
    }
  }

  const temporary = await mkdtemp(join(root, "tmp-"));
  try {
    const directory = join(temporary, "entry");
    await mkdir(directory);
    const fetch = { python, folder: join(temporary, "download"), log, signal };
    const content = relative
      ? await linkLibraries(relative, directory, log)
      : await unpackLibraries(recipe, directory, fetch, from);
    log(`compiling the binding with ${compiler} (about 10 s)`);
    const compilerName = await buildAddon({ compiler, platform: recipe.platform, sources, directory, signal });
    const bindingHash = hashSources(sources, flags);
    const built = quietLoader ? [addon, loaderName] : [addon];
    const manifest: Manifest = {
      format: 1,
      tensorflow: recipe.tensorflow,
      variant: recipe.variant,
      platform: recipe.platform,
      binding: bindingHash,
      compiler: compilerName,
      wheel: content.wheel,
      installedAt: new Date().toISOString(),
      files: [...content.files, ...(await Promise.all(built.map((name) => describeFile(directory, name))))],
    };
    await writeFile(join(directory, manifestName), `${JSON.stringify(manifest, null, 2)}\n`, { flush: true });
    const target = join(root, entryName(recipe, bindingHash));
    await rm(target, { recursive: true, force: true });
    await rename(directory, target);
    await syncFolder(root);
    log(`installed ${formatBytes(totalBytes(manifest.files))} in ${target}`);
    return { directory: target, addon: join(target, addon), manifest };
  } finally {
    await rm(temporary, { recursive: true, force: true, maxRetries: 3 });
  }
}

interface Content {
  wheel: Manifest["wheel"];
  files: CachedFile[];
}

/** An entry with the same libraries and another binding, whose files can serve again without a download. */
async function findSameLibraries(recipe: Recipe, root: string): Promise<BackendLocation | undefined> {
  for (const directory of await listEntries(root)) {
    const entry = await readEntry(directory);
    if ("problem" in entry) continue;
    const { manifest } = entry;
    const same = (["tensorflow", "variant", "platform"] as const).every((key) => manifest[key] === recipe[key]);
    if (same && (await verifyEntry(entry)) === undefined) return entry;
  }
  return undefined;
}

async function linkLibraries(from: BackendLocation, directory: string, log: InstallOptions["log"]): Promise<Content> {
  log(`taking the libraries of ${basename(from.directory)}, which has another binding`);
  const { addon } = toolchainOf(from.manifest.platform);
  const files = from.manifest.files.filter(({ path }) => path !== addon && path !== loaderName);
  for (const { path } of files) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await link(join(from.directory, path), join(directory, path));
  }
  return { wheel: from.manifest.wheel, files };
}

/** How to fetch; without Python where nothing has to be fetched. */
type Fetching = Omit<Fetch, "python"> & { python: string | undefined };

async function unpackLibraries(
  recipe: Recipe,
  directory: string,
  fetch: Fetching,
  from: string | undefined,
): Promise<Content> {
  const { log, signal } = fetch;
  const { libraries } = toolchainOf(recipe.platform);
  const wheel = from ? await checkLocalWheel(from, recipe, fetch) : await download(recipe, fetch);
  log(`unpacking ${libraries.length} libraries and ${headers.length} headers from ${basename(wheel.path)}`);
  const needed = new Set([
    ...libraries.map((name) => `tensorflow/${name}`),
    ...headers.map((name) => `tensorflow/include/${name}`),
  ]);
  const files = await extractWheel(wheel.path, directory, (name) => needed.has(name), signal);
  const missing = [...needed].filter((name) => !files.some(({ path }) => path === name));
  if (missing.length > 0) {
    throw new TrainerError("ERR_DOWNLOAD", `${wheel.path} lacks ${missing.join(", ")}. Is it a TensorFlow wheel?`);
  }
  const more = await unpackCuda(recipe, directory, fetch);
  if (isWindows(recipe)) more.push(await copyPython(directory, withPython(fetch).python));
  if (!from) {
    await rm(wheel.path);
    log(`deleted the wheel; ${formatBytes(totalBytes(files))} of it are kept`);
  }
  const { path, pinned, sha256 } = wheel;
  return { wheel: { name: basename(path), pinned, sha256 }, files: [...files, ...more] };
}

interface CheckedWheel {
  path: string;
  sha256: string;
  pinned: boolean;
}

async function download(recipe: Recipe, fetch: Fetching): Promise<CheckedWheel> {
  const { name, bytes, sha256 } = recipe.wheel;
  const size = bytes === undefined ? "" : ` (${formatBytes(bytes)})`;
  fetch.log(`fetching ${name}${size} with pip into ${fetch.folder}`);
  const path = await downloadPinnedWheel(recipe, withPython(fetch));
  fetch.log(`its SHA-256 is the pinned one, ${sha256}`);
  return { path, sha256, pinned: true };
}

/**
 * A file of the user's: the pinned one, or the same TensorFlow for another Python, whose hash is only recorded.
 */
async function checkLocalWheel(
  path: string,
  recipe: Recipe,
  { log, signal }: Pick<Fetch, "log" | "signal">,
): Promise<CheckedWheel> {
  const problem = await pinProblem(path, recipe.wheel, signal).catch((cause: Error) => {
    signal?.throwIfAborted();
    throw new TrainerError("ERR_DATA", `--from ${path} cannot be read: ${cause.message}.`, { cause });
  });
  if (problem === undefined) {
    log(`${path} is the pinned ${recipe.wheel.name}`);
    return { path, sha256: recipe.wheel.sha256, pinned: true };
  }
  const name = basename(path);
  if (name === recipe.wheel.name) {
    throw new TrainerError("ERR_DOWNLOAD", `${path} is not what its name says: ${problem}. Fetch it again.`);
  }
  const project = recipe.project.replaceAll("-", "_");
  const named = name.startsWith(`${project}-${recipe.tensorflow}-`);
  if (!named || !name.endsWith(`-${recipe.platformTag}.whl`)) {
    throw new TrainerError(
      "ERR_DATA",
      `--from ${path} is not a wheel of TensorFlow ${recipe.tensorflow} for this platform. ` +
        `Expected one like ${recipe.wheel.name}.`,
    );
  }
  const sha256 = await hashFile(path, signal);
  log(`${name} has no pinned hash; its SHA-256 is ${sha256}; comparing its files with its own record`);
  return { path, sha256, pinned: false };
}

/** NVIDIA's libraries, one wheel at a time; of each only what TensorFlow loads. */
async function unpackCuda(recipe: Recipe, directory: string, fetch: Fetching): Promise<CachedFile[]> {
  const { cuda = [] } = recipe;
  const files: CachedFile[] = [];
  for (const pin of cuda) {
    const folder = join(fetch.folder, pin.project);
    const one = { ...recipe, project: pin.project, tensorflow: pin.version, wheel: pin };
    const { path } = await download(one, { ...fetch, folder });
    const kept = await extractWheel(path, directory, (name) => cudaLibrary.test(name), fetch.signal);
    if (kept.length === 0) throw new TrainerError("ERR_INTERNAL", `${pin.name} has no library that TensorFlow loads.`);
    files.push(...kept);
    await rm(folder, { recursive: true });
  }
  return files;
}

const downloadBytes = (pins: readonly Pin[]): number => pins.reduce((sum, { bytes = 0 }) => sum + bytes, 0);

const isWindows = ({ platform }: Recipe): boolean => platform.startsWith("win32-");

/** Puts the library of Python 3.11 beside TensorFlow's, which is linked against it. It is loaded, but never started. */
async function copyPython(directory: string, python: string): Promise<CachedFile> {
  const folder = (await runTool(python, ["-c", "import sys; print(sys.base_prefix)"])).trim();
  await copyFile(join(folder, basename(windowsPython)), join(directory, windowsPython));
  return describeFile(directory, windowsPython);
}

function withPython({ python, ...fetch }: Fetching): Fetch {
  if (python === undefined) throw new TrainerError("ERR_INTERNAL", "Cannot download without Python.");
  return { ...fetch, python };
}

async function describeFile(directory: string, path: string): Promise<CachedFile> {
  const file = await open(join(directory, path));
  try {
    await file.sync();
    return { path, bytes: (await file.stat()).size, sha256: await hashFile(join(directory, path)) };
  } finally {
    await file.close();
  }
}

async function makeFolder(root: string): Promise<void> {
  try {
    makeFolders(root);
    await access(root, constants.W_OK);
  } catch (cause) {
    throw new TrainerError(
      "ERR_OUTPUT",
      `The cache folder ${root} cannot be written (${(cause as NodeJS.ErrnoException).code}). ` +
        "Make it writable, or name another one in FITLOOP_CACHE.",
      { cause },
    );
  }
}

async function checkDiskSpace(root: string, needed: number): Promise<void> {
  const { bavail, bsize } = await statfs(root);
  const free = bavail * bsize;
  if (free >= needed) return;
  throw new TrainerError(
    "ERR_OUTPUT",
    `The disk of ${root} has ${formatBytes(free)} free, and the install needs ${formatBytes(needed)} ` +
      "for a while. Free some, or name a folder on another disk in FITLOOP_CACHE.",
  );
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path);
  await folder.sync().finally(() => folder.close());
}

function totalBytes(files: readonly CachedFile[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}
