/**
 * What lies in a checkpoint's folder, and how it is known to be whole: tensors, plain data, and a manifest
 * with the size and the SHA-256 of both.
 *
 * There is one way to write the manifest of given files, so a reader makes it anew and compares the bytes:
 * no byte of the three files can change unseen, those of the manifest included.
 */
import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import { TrainerError } from "../core/errors.js";
import { system } from "../core/files.js";
import { readSafetensors, writeSafetensors } from "../core/nn/safetensors.js";
import { show } from "../core/options.js";
import { namedPlace, type Place, placeName } from "./checkpoint-names.js";
import { fromExactJson, toExactJson } from "./json.js";

export interface Checkpoint extends Place {
  /** Bit for bit; when read in the file's order, which is not the one they were given in. */
  readonly tensors: ReadonlyMap<string, CheckpointTensor>;
  /** Plain data; what JSON has no word for (NaN, infinities, -0) comes back too. */
  readonly meta: Readonly<Record<string, unknown>>;
}

export interface CheckpointTensor {
  readonly shape: readonly number[];
  /** Row by row. */
  readonly data: Float32Array | Int32Array;
}

/** Name -> content, in the order of writing: the manifest is the last. */
export type CheckpointFiles = ReadonlyMap<string, Uint8Array>;

const stateName = "state.safetensors";
const metaName = "meta.json";
export const manifestName = "MANIFEST.json";
/** Of the layout and the manifest; a reader refuses every other. */
const format = 1;

interface Manifest {
  readonly format: number;
  /** The folder's name, so that a folder under another's name is detected. */
  readonly name: string;
  readonly files: Readonly<Record<string, { readonly bytes: number; readonly sha256: string }>>;
}

/** @throws TrainerError ERR_INTERNAL for a place, a tensor or data that could not be read back */
export function encodeCheckpoint({ step, part, tensors, meta }: Checkpoint): CheckpointFiles {
  const name = placeName({ step, part });
  const stored = [...tensors].map(([tensor, { shape, data }]) => {
    const dtype = data instanceof Float32Array ? ("F32" as const) : ("I32" as const);
    if (dtype === "I32" && !(data instanceof Int32Array)) {
      const found = (data as object).constructor.name;
      throw new TrainerError("ERR_INTERNAL", `Checkpoint ${name}: tensor "${tensor}" has type ${found}.`);
    }
    return [tensor, { dtype, shape, data }] as const;
  });
  const contents = new Map<string, Uint8Array>([
    [stateName, writeSafetensors(new Map(stored))],
    [metaName, Buffer.from(`${toExactJson(meta, "meta")}\n`)],
  ]);
  return new Map([...contents, [manifestName, manifestOf(name, contents)]]);
}

/**
 * The files of a checkpoint, every byte of which is what was written.
 *
 * @throws TrainerError ERR_IO with file, expected and found
 */
export function readVerified(path: string): CheckpointFiles {
  const name = basename(path);
  if (!namedPlace(name)) throw damaged(path, `a name like ${placeName({ step: 1234 })}`, name);
  const wanted = [stateName, metaName, manifestName];
  const found = reading(path, () => system.readdirSync(path));
  for (const file of wanted) if (!found.includes(file)) throw damaged(join(path, file), "a file", "none");
  const stray = found.find((file) => !wanted.includes(file));
  if (stray !== undefined) throw damaged(join(path, stray), "no such file in a checkpoint", "one");

  const files = new Map(
    wanted.map((file) => [file, reading(join(path, file), () => system.readFileSync(join(path, file)))]),
  );
  checkManifest(path, files.get(manifestName)!, files);
  return files;
}

/** Particular complaints come first: a message is to say what differs. The last comparison misses nothing. */
function checkManifest(path: string, manifest: Buffer, files: CheckpointFiles): void {
  const where = join(path, manifestName);
  const name = basename(path);
  const stated = parsed(where, manifest);
  if (stated.format !== format) throw damaged(where, `format ${format}`, `format ${show(stated.format)}`);
  if (stated.name !== name) throw damaged(where, `"${name}" as its folder is called`, show(stated.name));
  for (const file of [stateName, metaName]) {
    const { bytes, sha256 } = digest(files.get(file)!);
    const expected = stated.files?.[file];
    if (expected?.bytes !== bytes) {
      throw damaged(join(path, file), `${show(expected?.bytes)} bytes in its manifest`, String(bytes));
    }
    if (expected.sha256 !== sha256) {
      throw damaged(join(path, file), `SHA-256 ${String(expected.sha256)} in its manifest`, sha256);
    }
  }
  if (!manifest.equals(manifestOf(name, files))) {
    throw damaged(where, "the manifest of these files, byte for byte", "another spelling of it");
  }
}

function parsed(where: string, bytes: Buffer): Partial<Manifest> {
  try {
    return Object(JSON.parse(bytes.toString())) as Partial<Manifest>;
  } catch (cause) {
    throw damaged(where, "a manifest", `${bytes.length} bytes that are not JSON`, cause);
  }
}

/**
 * What verified files hold.
 *
 * @throws TrainerError ERR_IO where they do not parse all the same: another program wrote them
 */
export function decodeCheckpoint(path: string, files: CheckpointFiles): Checkpoint {
  try {
    const { tensors } = readSafetensors(files.get(stateName)!, join(path, stateName));
    const kept = [...tensors].map(([name, { shape, data, dtype }]): [string, CheckpointTensor] => {
      if (data instanceof Float32Array || data instanceof Int32Array) return [name, { shape, data }];
      throw new Error(`tensor "${name}" of type ${dtype}`);
    });
    return {
      ...namedPlace(basename(path))!,
      tensors: new Map(kept),
      meta: fromExactJson(Buffer.from(files.get(metaName)!).toString()) as Checkpoint["meta"],
    };
  } catch (cause) {
    throw damaged(path, "a state that can be read", (cause as Error).message, cause);
  }
}

function manifestOf(name: string, contents: CheckpointFiles): Buffer {
  const entries = [stateName, metaName].map((file) => [file, digest(contents.get(file)!)]);
  const manifest: Manifest = { format, name, files: Object.fromEntries(entries) };
  return Buffer.from(`${JSON.stringify(manifest, undefined, 2)}\n`);
}

const digest = (bytes: Uint8Array): Manifest["files"][string] => ({
  bytes: bytes.length,
  sha256: createHash("sha256").update(bytes).digest("hex"),
});

function reading<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new TrainerError("ERR_IO", `${path} cannot be read: ${(cause as Error).message}.`, { cause });
  }
}

const damaged = (file: string, expected: string, found: string, cause?: unknown): TrainerError =>
  new TrainerError("ERR_IO", `${file} is damaged: expected ${expected}, found ${found}.`, { cause });
