/**
 * Where the C++ source of TensorFlow's Node binding lies.
 *
 * A checkout has it in node_modules. The packed package does not depend on the native package, whose install script
 * fetches an old TensorFlow and fails the whole `npm install` where it cannot; it carries the source in `native/`.
 */

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";

import { TrainerError } from "../../errors.js";
import { packageRoot } from "../../package.js";

export interface NativeSources {
  /** The folder of the binding's `.cc` and `.h` files. */
  binding: string;
  /** The folder of `node_api.h`. */
  nodeApi: string;
  /** The file of our own that loads the binding. */
  loader: string;
  /** The file of our own that joins TensorFlow's collective runtime, a part of the addon on Linux. */
  group: string;
}

const loaderSource = "quiet-loader.cc";
const groupSource = "group.cc";

/** Finds the sources: `native/` of the packed package first, else the packages in node_modules. */
export function findNativeSources(root = packageRoot()): NativeSources {
  const packed = {
    binding: join(root, "native", "binding"),
    nodeApi: join(root, "native", "include"),
    loader: join(root, "native", loaderSource),
    group: join(root, "native", groupSource),
  };
  if (existsSync(packed.binding)) return packed;
  const require = createRequire(join(root, "package.json"));
  try {
    return {
      binding: join(dirname(require.resolve("@tensorflow/tfjs-node-gpu/package.json")), "binding"),
      nodeApi: join(dirname(require.resolve("node-api-headers/package.json")), "include"),
      loader: join(root, "core", "backend", "install", loaderSource),
      group: join(root, "core", "backend", "install", groupSource),
    };
  } catch (cause) {
    throw new TrainerError(
      "ERR_BACKEND",
      `The source of TensorFlow's binding is neither in ${join(root, "native")} nor in node_modules. ` +
        "Run `npm ci` in a checkout, or install the package again.",
      { cause },
    );
  }
}

/** SHA-256 (hex) over names and contents of the sources, and over the flags of the compiler. */
export function hashSources(sources: NativeSources, compileFlags: readonly string[]): string {
  const hash = createHash("sha256").update(compileFlags.join(" "));
  const binding = readdirSync(sources.binding).sort();
  for (const path of [...binding.map((name) => join(sources.binding, name)), sources.loader, sources.group]) {
    const content = readFileSync(path);
    hash.update(`${basename(path)}\0${content.length}\0`).update(content);
  }
  return hash.digest("hex");
}
