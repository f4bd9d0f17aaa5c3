/**
 * An installer's whole world in miniature: a cache, a wheel of a kilobyte, and a pip and a compiler that are shell
 * scripts. Nothing here reaches a network or compiles.
 */
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { deflateRawSync } from "node:zlib";
import { vi } from "vitest";
import { entryName, type Manifest, manifestName } from "../../core/backend/install/cache.js";
import { hashSources, type NativeSources } from "../../core/backend/install/native-sources.js";
import { headers, type Recipe } from "../../core/backend/install/recipe.js";
import { toolchainOf } from "../../core/backend/install/toolchain.js";

const { addon: addonName, libraries } = toolchainOf("linux-x64");

export type Files = Record<string, string | Buffer>;

/** What a TensorFlow wheel must have, and something that nobody asks for. */
export const wheelFiles: Files = Object.fromEntries(
  [
    ...libraries.map((name) => `tensorflow/${name}`),
    ...headers.map((name) => `tensorflow/include/${name}`),
    "tensorflow/python/unwanted.py",
  ].map((name) => [name, `the content of ${name}\n`.repeat(3)]),
);

export const sha256 = (bytes: string | Buffer): Buffer => createHash("sha256").update(bytes).digest();

/** A wheel's own list of hashes. */
export function recordOf(files: Files): string {
  return Object.entries(files)
    .map(([name, bytes]) => `${name},sha256=${sha256(bytes).toString("base64url")},${bytes.length}\n`)
    .join("");
}

/** A wheel: its files and, after or before them, the record. */
export function wheelOf(files: Files = wheelFiles, record = recordOf(files), recordFirst = false): Buffer {
  const name = "tiny-9.9.9.dist-info/RECORD";
  return zipOf(recordFirst ? { [name]: record, ...files } : { ...files, [name]: record });
}

/** A zip file. Its checksums are zero: nobody reads them, since a wheel's record has better ones. */
function zipOf(files: Files): Buffer {
  const contents: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, content] of Object.entries(files)) {
    const path = Buffer.from(name);
    const packed = deflateRawSync(content);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0); // version needed
    common.writeUInt16LE(8, 4); // deflate
    common.writeUInt32LE(packed.length, 14);
    common.writeUInt32LE(Buffer.byteLength(content), 18);
    common.writeUInt16LE(path.length, 22);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(offset, 10);
    contents.push(Buffer.from("PK\x03\x04"), common, path, packed);
    directory.push(Buffer.from("PK\x01\x02\x14\x00"), common, place, path);
    offset += 30 + path.length + packed.length;
  }
  const listed = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06");
  end.writeUInt16LE(Object.keys(files).length, 8);
  end.writeUInt16LE(Object.keys(files).length, 10);
  end.writeUInt32LE(listed.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...contents, listed, end]);
}

/** A recipe that asks for exactly this wheel. */
export function recipeOf(wheel: Buffer, overrides: Partial<Recipe> = {}): Recipe {
  return {
    tensorflow: "9.9.9",
    variant: "cpu",
    platform: "linux-x64",
    project: "tensorflow-cpu",
    pythonVersion: "3.11",
    platformTag: "manylinux_2_27_x86_64",
    wheel: {
      name: "tensorflow_cpu-9.9.9-cp311-cp311-manylinux_2_27_x86_64.whl",
      sha256: sha256(wheel).toString("hex"),
      bytes: wheel.length,
    },
    diskBytes: 1,
    ...overrides,
  };
}

export type Tool = "pip" | "compiler";

export interface Workshop {
  /** A folder of the test's own; cache and tools lie in it. */
  readonly folder: string;
  readonly cache: string;
  readonly sources: NativeSources;
  /** Puts the tools in the machine's place, for this process and those it starts. */
  use(): void;
  /** Takes both tools away, as on a machine that has neither. */
  useNoTools(): void;
  /** What pip hands out, call by call; when nothing is left it fails. */
  serve(...wheels: readonly { name: string; bytes: Buffer }[]): void;
  /** The next call of a tool waits until `free`. */
  hold(tool: Tool): void;
  free(tool: Tool): void;
  /** Resolves once a held tool was called. */
  reached(tool: Tool): Promise<void>;
  /** The compiler fails, or makes nothing. */
  breakCompiler(how: "fails" | "idles" | "refuses the probe"): void;
  /** The arguments of each call so far; of the compiler's only those that build the addon. */
  calls(tool: Tool): string[];
  /** Names in the cache folder. */
  left(): string[];
  remove(): void;
}

/** Before the answer, a partly written file lies where pip puts its own. */
const pip = (folder: string): string => `#!/bin/sh
PATH=/usr/bin:/bin
cd "${folder}"
[ "$3" = download ] || exit 0
echo "$*" >> pip.calls
echo half > "$TMPDIR/half-a-wheel"
while [ -e pip.hold ]; do touch pip.reached; sleep 0.05; done
number=$(wc -l < pip.calls)
for argument; do
  [ "$previous" = --dest ] && target=$argument
  previous=$argument
done
cp served/$((number))/* "$target" || { echo "ERROR: No matching distribution found" >&2; exit 1; }
`;

const compiler = (folder: string): string => `#!/bin/sh
PATH=/usr/bin:/bin
cd "${folder}"
[ "$1" = --version ] && { echo "tiny c++ 1.0"; exit 0; }
for argument; do
  [ "$previous" = -o ] && target=$argument
  previous=$argument
done
case $target in *probe.o)
  [ -e "compiler.refuses the probe" ] && { echo "no <memory> here" >&2; exit 1; }
  exit 0 ;;
esac
echo "$*" >> compiler.calls
while [ -e compiler.hold ]; do touch compiler.reached; sleep 0.05; done
[ -e compiler.fails ] && { echo "tiny.cc:1: error: no luck" >&2; exit 1; }
[ -e compiler.idles ] || echo addon > "$target"
`;

export function openWorkshop(): Workshop {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "fitloop-install-")));
  const at = (...names: string[]): string => join(folder, ...names);
  const cache = at("cache");
  const sources = { binding: at("binding"), nodeApi: at("node-api"), loader: at("loader.cc"), group: at("group.cc") };
  for (const name of ["bin", "nothing", "binding", "node-api"]) mkdirSync(at(name));
  writeFileSync(at("binding", "tiny.cc"), "// the binding\n");
  writeFileSync(sources.loader, "// the loader\n");
  writeFileSync(sources.group, "// the group\n");
  for (const [name, script] of [
    [at("bin", "python3"), pip(folder)],
    [at("tiny-c++"), compiler(folder)],
  ] as const) {
    writeFileSync(name, script);
    chmodSync(name, 0o755);
  }
  const stub = (path: string, CXX: string): void => {
    vi.stubEnv("FITLOOP_CACHE", cache);
    vi.stubEnv("PATH", path);
    vi.stubEnv("CXX", CXX);
  };
  return {
    folder,
    cache,
    sources,
    use: () => stub(at("bin"), at("tiny-c++")),
    useNoTools: () => stub(at("nothing"), ""),
    serve(...wheels) {
      wheels.forEach(({ name, bytes }, place) => {
        mkdirSync(at("served", String(place + 1)), { recursive: true });
        writeFileSync(at("served", String(place + 1), name), bytes);
      });
    },
    hold: (tool) => writeFileSync(at(`${tool}.hold`), ""),
    free: (tool) => rmSync(at(`${tool}.hold`)),
    async reached(tool) {
      while (!existsSync(at(`${tool}.reached`))) await sleep(20);
    },
    breakCompiler: (how) => writeFileSync(at(`compiler.${how}`), ""),
    calls: (tool) =>
      existsSync(at(`${tool}.calls`))
        ? readFileSync(at(`${tool}.calls`), "utf8")
            .trim()
            .split("\n")
        : [],
    left: () => (existsSync(cache) ? readdirSync(cache).sort() : []),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** The name of the cache entry that a recipe and these sources make. */
export function nameOf(recipe: Recipe, sources: NativeSources): string {
  return entryName(recipe, hashSources(sources, toolchainOf(recipe.platform).flags));
}

/** Writes a whole entry by hand: these files, and a manifest that fits them. */
export function writeEntry(
  directory: string,
  { files = { [addonName]: "no addon" }, ...overrides }: { files?: Files } & Partial<Omit<Manifest, "files">> = {},
): void {
  mkdirSync(directory, { recursive: true });
  const listed = Object.entries(files).map(([path, bytes]) => {
    writeFileSync(join(directory, path), bytes);
    return { path, bytes: bytes.length, sha256: sha256(bytes).toString("hex") };
  });
  const manifest: Manifest = {
    format: 1,
    tensorflow: "9.9.9",
    variant: "cpu",
    platform: "linux-x64",
    binding: "0".repeat(64),
    compiler: "tiny c++ 1.0",
    wheel: { name: "tiny.whl", sha256: "0".repeat(64), pinned: true },
    installedAt: "2026-11-24T12:00:00.000Z",
    ...overrides,
    files: listed,
  };
  writeFileSync(join(directory, manifestName), JSON.stringify(manifest));
}
