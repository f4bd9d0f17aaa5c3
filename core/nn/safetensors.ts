/**
 * The safetensors format: u64 length of the header, header as JSON, data without gaps. It is read strictly,
 * since what is wrong in it would otherwise show as a network that is worse than it was.
 */
import { createHash } from "node:crypto";
import { TrainerError } from "../errors.js";

/**
 * Element types and how they lie in memory; F16 and BF16 stay as their bits. The order is the format's own,
 * by which tensors are sorted, widest last, so that our files are byte for byte what the official writer
 * makes.
 */
const arrays = {
  BOOL: Uint8Array,
  U8: Uint8Array,
  I8: Int8Array,
  I16: Int16Array,
  U16: Uint16Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I32: Int32Array,
  U32: Uint32Array,
  F32: Float32Array,
  F64: Float64Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
} as const;
const typeNames = Object.keys(arrays) as Dtype[];

export type Dtype = keyof typeof arrays;

export interface StoredTensor {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Row by row, in the class that `dtype` stands for: little-endian like the format, wherever Node runs. */
  readonly data: TypedArray;
}

type TypedArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array;

export interface SafetensorsContent {
  readonly tensors: Map<string, StoredTensor>;
  readonly metadata: Record<string, string>;
}

/** As in the reference implementation: no honest header is longer. */
const longestHeader = 100_000_000;
const metadataName = "__metadata__";
/** Metadata that a run's weights have: the SHA-256 of everything else in the file. Other programs pass it over. */
const checksumName = "fitloop.checksum";

/**
 * The file's bytes, in the order the official writer chooses.
 *
 * @throws TrainerError ERR_WEIGHTS for data that contradicts its shape or type
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, StoredTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const sorted = [...tensors].sort(([nameA, a], [nameB, b]) => {
    const byType = typeNames.indexOf(b.dtype) - typeNames.indexOf(a.dtype);
    return byType !== 0 ? byType : Number(nameA > nameB) - Number(nameA < nameB);
  });

  const entries: [string, unknown][] = Object.keys(metadata).length > 0 ? [[metadataName, metadata]] : [];
  let end = 0;
  for (const [name, { dtype, shape, data }] of sorted) {
    if (name === metadataName) throw damaged("Writing safetensors", `"${metadataName}" cannot name a tensor`);
    if (!(data instanceof arrays[dtype]) || data.length !== elements(shape)) {
      const found = `${data.constructor.name} of ${data.length}`;
      throw damaged("Writing safetensors", `"${name}" is ${dtype} ${showShape(shape)}, and its data is ${found}`);
    }
    const begin = end;
    end += data.byteLength;
    entries.push([name, { dtype, shape, data_offsets: [begin, end] }]);
  }

  const header = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const headerLength = Math.ceil(header.length / 8) * 8;
  const bytes = new Uint8Array(8 + headerLength + end).fill(0x20, 8 + header.length, 8 + headerLength);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerLength), true);
  bytes.set(header, 8);
  let at = 8 + headerLength;
  for (const [, { data }] of sorted) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}

/**
 * What a file holds; the data is copied, so it may be kept and changed.
 *
 * @param where whose bytes these are, for messages: a path
 * @throws TrainerError ERR_WEIGHTS that says what is wrong and at which tensor or byte
 */
export function readSafetensors(bytes: Uint8Array, where = "safetensors"): SafetensorsContent {
  const { header, dataStart } = readHeader(bytes, where);
  const metadata = readMetadata(header[metadataName], where);
  const entries = Object.entries(header)
    .filter(([name]) => name !== metadataName)
    .map(([name, value]) => readEntry(name, value, where))
    .sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkTiling(entries, bytes.length - dataStart, where);
  const tensors = new Map<string, StoredTensor>();
  for (const { name, dtype, shape, begin, end } of entries) {
    // A copy of its own starts where typed arrays may start; in the file a tensor may lie anywhere.
    const { buffer } = new Uint8Array(bytes.subarray(dataStart + begin, dataStart + end));
    tensors.set(name, { dtype, shape, data: new arrays[dtype](buffer) });
  }
  const stated = metadata[checksumName];
  if (stated !== undefined) {
    const found = checksumOf(tensors, metadata);
    if (stated !== found)
      throw damaged(where, `expected the checksum ${stated}, got ${found}: it was damaged or changed`);
  }
  return { tensors, metadata };
}

/** As `writeSafetensors`, with a checksum that `readSafetensors` compares. */
export function writeCheckedSafetensors(
  tensors: ReadonlyMap<string, StoredTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  return writeSafetensors(tensors, { ...metadata, [checksumName]: checksumOf(tensors, metadata) });
}

/** Whether a file carries a checksum, as far as its header can be read. */
export function isChecked(bytes: Uint8Array): boolean {
  try {
    const { header } = readHeader(bytes, "");
    return readMetadata(header[metadataName], "")[checksumName] !== undefined;
  } catch {
    return false;
  }
}

/** Of names, types, shapes, values and metadata: whatever order the file has them in. */
function checksumOf(
  tensors: ReadonlyMap<string, StoredTensor>,
  { [checksumName]: _, ...metadata }: Readonly<Record<string, string>>,
): string {
  const byName = ([a]: [string, unknown], [b]: [string, unknown]): number => Number(a > b) - Number(a < b);
  const hash = createHash("sha256").update(JSON.stringify(Object.entries(metadata).sort(byName)));
  for (const [name, { dtype, shape, data }] of [...tensors].sort(byName)) {
    hash.update(JSON.stringify([name, dtype, shape]));
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return `sha256:${hash.digest("hex")}`;
}

/** The numbers of a floating-point tensor as float32 (F64 rounds); undefined for integers. */
export function toFloat32({ dtype, data }: StoredTensor): Float32Array | undefined {
  if (dtype === "F32") return data as Float32Array;
  if (dtype === "F64") return Float32Array.from(data as Float64Array);
  if (dtype === "BF16") {
    // bfloat16 is the upper half of a float32.
    return new Float32Array(Uint32Array.from(data as Uint16Array, (bits) => bits << 16).buffer);
  }
  if (dtype === "F16") return Float32Array.from(data as Uint16Array, halfToNumber);
  return undefined;
}

/** IEEE half precision: 1 sign, 5 exponent, 10 fraction bits. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

// ---------------------------------------------------------------------------------------------------- header

interface Entry {
  name: string;
  dtype: Dtype;
  shape: number[];
  begin: number;
  end: number;
}

function readHeader(bytes: Uint8Array, where: string): { header: Record<string, unknown>; dataStart: number } {
  if (bytes.length < 8) {
    throw damaged(where, `expected at least 8 bytes, the length of the header, got ${bytes.length}`);
  }
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  if (length > longestHeader) {
    throw damaged(where, `the header claims ${length} bytes, expected at most ${longestHeader}`);
  }
  const dataStart = 8 + Number(length);
  if (dataStart > bytes.length) {
    throw damaged(where, `the header claims ${length} bytes, and only ${bytes.length - 8} follow: it is cut short`);
  }
  let text: string;
  try {
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    text = decoder.decode(bytes.subarray(8, dataStart));
  } catch (cause) {
    throw damaged(where, "the header is not UTF-8", cause);
  }
  const start = text.slice(0, 1);
  if (start !== "{") throw damaged(where, `the header begins with ${show(start)} and not with "{"`);
  let header: Record<string, unknown>;
  try {
    header = JSON.parse(text) as Record<string, unknown>;
  } catch (cause) {
    throw damaged(where, `the header is not JSON (${(cause as Error).message})`, cause);
  }
  const twice = repeatedKey(text);
  if (twice !== undefined) throw damaged(where, `the header has ${show(twice)} twice`);
  return { header, dataStart };
}

/** A key that one object of this valid JSON has twice, where JSON.parse would keep the last in silence. */
function repeatedKey(json: string): string | undefined {
  const open: Set<string>[] = [];
  const keysAndBraces = /("[^"\\]*(?:\\.[^"\\]*)*")\s*:|"[^"\\]*(?:\\.[^"\\]*)*"|[{}]/g;
  for (const [token, text] of json.matchAll(keysAndBraces)) {
    if (token === "{") open.push(new Set());
    else if (token === "}") open.pop();
    else if (text !== undefined) {
      const key = text.includes("\\") ? (JSON.parse(text) as string) : text.slice(1, -1);
      const known = open.at(-1)!;
      if (known.has(key)) return key;
      known.add(key);
    }
  }
  return undefined;
}

function readMetadata(value: unknown, where: string): Record<string, string> {
  if (value === undefined) return {};
  if (!isObject(value) || Object.values(value).some((text) => typeof text !== "string")) {
    throw damaged(where, `"${metadataName}" is ${show(value)}, expected a map from text to text`);
  }
  return value as Record<string, string>;
}

function readEntry(name: string, value: unknown, where: string): Entry {
  const fail = (what: string): TrainerError => damaged(where, `tensor ${show(name)} ${what}`);
  if (!isObject(value)) throw fail(`is ${show(value)}, expected an object`);
  const { dtype, shape, data_offsets: offsets, ...rest } = value;
  const [extra] = Object.keys(rest);
  if (extra !== undefined) throw fail(`has ${show(extra)}, which the format does not know`);
  if (typeof dtype !== "string" || !Object.hasOwn(arrays, dtype)) {
    throw fail(`has dtype ${show(dtype)}, expected one of ${typeNames.join(", ")}`);
  }
  if (!isCounts(shape)) throw fail(`has shape ${show(shape)}, expected a list of whole numbers from 0`);
  if (!isCounts(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    throw fail(`has data_offsets ${show(offsets)} and not [begin, end]`);
  }
  const [begin, end] = offsets as [number, number];
  const wanted = elements(shape) * arrays[dtype as Dtype].BYTES_PER_ELEMENT;
  if (!Number.isSafeInteger(wanted)) throw fail(`has shape ${showShape(shape)}, which no file can hold`);
  if (end - begin !== wanted) {
    throw fail(`is ${dtype} ${showShape(shape)}, which takes ${wanted} bytes, and its offsets leave ${end - begin}`);
  }
  return { name, dtype: dtype as Dtype, shape, begin, end };
}

/** Entries, in the order of their data, have to cover all of it once. */
function checkTiling(entries: readonly Entry[], length: number, where: string): void {
  let at = 0;
  let before = "the header";
  for (const { name, begin, end } of entries) {
    if (begin < at) throw damaged(where, `tensor ${show(name)} begins at byte ${begin}, inside ${before}`);
    if (begin > at) {
      throw damaged(where, `${begin - at} bytes between ${before} and tensor ${show(name)} belong to no tensor`);
    }
    if (end > length) {
      throw damaged(
        where,
        `tensor ${show(name)} ends at byte ${end} of the data, which has ${length}: it is cut short`,
      );
    }
    at = end;
    before = `tensor ${show(name)}`;
  }
  if (at < length) throw damaged(where, `${length - at} bytes follow ${before} and belong to no tensor`);
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isCounts = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((each) => Number.isSafeInteger(each) && each >= 0);

const elements = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

const showShape = (shape: readonly number[]): string => `[${shape.join(", ")}]`;

function show(value: unknown): string {
  let text: string;
  try {
    text = JSON.stringify(value) ?? "missing";
  } catch {
    return "a value nested too deeply to be shown"; // the stack ends, at some thousands of levels
  }
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

const damaged = (where: string, what: string, cause?: unknown): TrainerError =>
  new TrainerError("ERR_WEIGHTS", `${where}: ${what}.`, { cause });
