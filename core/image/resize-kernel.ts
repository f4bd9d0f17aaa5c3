/**
 * Scaling of RGB bytes in WebAssembly with vector instructions: a tenth of the time of a loop in JavaScript, and of libvips'
 * scaling, most of which is the making of its pipeline.
 *
 * A module of one function, written below instruction by instruction, since a compiler for it would be the largest tool of this
 * project. Each row of the result is a weighted sum of rows, in float32, and each of its pixels a weighted sum of that row's.
 */

/** Weights of a side: value `place` of the result is the sum over `taps` source values from `starts[place]` on. */
export interface SideWeights {
  readonly taps: number;
  readonly starts: Int32Array;
  /** [places, taps] */
  readonly weights: Float32Array;
}

const i32 = 0x7f;
const v128 = 0x7b;

/** LEB128. */
function leb(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (;;) {
    const byte = rest & 0x7f;
    rest >>= 7;
    const done = (rest === 0 && (byte & 0x40) === 0) || (rest === -1 && (byte & 0x40) !== 0);
    bytes.push(done ? byte : byte | 0x80);
    if (done) return bytes;
  }
}
/** Without a sign. */
function size(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...size(value >>> 7)];
}

// Instructions; the names are WebAssembly's.
const get = (local: number): number[] => [0x20, ...size(local)];
const set = (local: number): number[] => [0x21, ...size(local)];
const constant = (value: number): number[] => [0x41, ...leb(value)];
const add = [0x6a];
const lessUnsigned = [0x49];
const load = [0x28, 2, 0];
const store = [0x36, 0, 0];
const simd = (code: number, ...more: number[]): number[] => [0xfd, ...size(code), ...more];
const vector = {
  load: simd(0x00, 0, 0),
  load32Splat: simd(0x09, 2, 0),
  storeAt: (offset: number): number[] => simd(0x0b, 0, offset),
  zero: simd(0x0c, ...new Array<number>(16).fill(0)),
  half: simd(0x0c, ...[0, 1, 2, 3].flatMap(() => [0, 0, 0, 0x3f])),
  extendBytes: simd(0x89), // i16x8.extend_low_i8x16_u
  extendHighBytes: simd(0x8a),
  extendWords: simd(0xa9), // i32x4.extend_low_i16x8_u
  extendHighWords: simd(0xaa),
  toFloat: simd(0xfa), // f32x4.convert_i32x4_s
  toInteger: simd(0xf8), // i32x4.trunc_sat_f32x4_s
  toWords: simd(0x85), // i16x8.narrow_i32x4_s
  toBytes: simd(0x66), // i8x16.narrow_i16x8_u, which keeps 0 to 255
  lane: simd(0x1b, 0), // i32x4.extract_lane 0
  add: simd(0xe4),
  multiply: simd(0xe6),
};
/** local += value */
const advance = (local: number, value: number[]): number[] => [...get(local), ...value, ...add, ...set(local)];
/** Does `body` at least once, and again while local < end. */
const repeat = (body: number[], local: number, end: number[]): number[] => [
  ...[0x03, 0x40],
  ...body,
  ...get(local),
  ...end,
  ...lessUnsigned,
  ...[0x0d, 0],
  0x0b,
];

/** Parameters, in their order: places in memory, sizes in bytes. */
const [source, stride, down, downSize, across, acrossSize, row, rowEnd, out, outEnd, outRow] = Array.from(
  { length: 11 },
  (_, at) => at,
) as [number, number, number, number, number, number, number, number, number, number, number];
const [value, from, weight, entry, end, pixel, endOfRow] = Array.from({ length: 7 }, (_, at) => 11 + at) as [
  ...[number, number, number, number, number, number, number],
];
const sums = [18, 19, 20, 21];
const sum = sums[0]!;
const [factor, sixteen] = [22, 23];

/** An entry of a table is the place of its first value, and the weights. */
const openEntry = (table: number, tableSize: number, origin: number[]): number[] => [
  ...get(table),
  ...constant(4),
  ...add,
  ...set(weight),
  ...get(table),
  ...get(tableSize),
  ...add,
  ...set(end),
  ...get(table),
  ...load,
  ...origin,
  ...add,
  ...set(from),
];

const body = [
  ...repeat(
    [
      // Rows to one row of floats, sixteen values at a time.
      ...get(row),
      ...set(value),
      ...constant(0),
      ...set(entry), // bytes of the source row that are done
      ...repeat(
        [
          ...openEntry(down, downSize, [...get(source), ...add, ...get(entry)]),
          ...sums.flatMap((sum) => [...vector.zero, ...set(sum)]),
          ...repeat(
            [
              ...get(weight),
              ...vector.load32Splat,
              ...set(factor),
              ...get(from),
              ...vector.load,
              ...set(sixteen),
              ...sums.flatMap((sum, quarter) => [
                ...get(sum),
                ...get(sixteen),
                ...(quarter < 2 ? vector.extendBytes : vector.extendHighBytes),
                ...(quarter % 2 === 0 ? vector.extendWords : vector.extendHighWords),
                ...vector.toFloat,
                ...get(factor),
                ...vector.multiply,
                ...vector.add,
                ...set(sum),
              ]),
              ...advance(from, get(stride)),
              ...advance(weight, constant(4)),
            ],
            weight,
            get(end),
          ),
          ...sums.flatMap((sum, quarter) => [...get(value), ...get(sum), ...vector.storeAt(16 * quarter)]),
          ...advance(entry, constant(16)),
          ...advance(value, constant(64)),
        ],
        value,
        get(rowEnd),
      ),
      ...advance(down, get(downSize)),
      // The row to pixels: four bytes are written, of which the next pixel overwrites the last.
      ...get(across),
      ...set(pixel),
      ...get(out),
      ...get(outRow),
      ...add,
      ...set(endOfRow),
      ...repeat(
        [
          ...openEntry(pixel, acrossSize, get(row)),
          ...vector.half,
          ...set(sum),
          ...repeat(
            [
              ...get(sum),
              ...get(from),
              ...vector.load,
              ...get(weight),
              ...vector.load32Splat,
              ...vector.multiply,
              ...vector.add,
              ...set(sum),
              ...advance(from, constant(12)),
              ...advance(weight, constant(4)),
            ],
            weight,
            get(end),
          ),
          ...get(out),
          ...get(sum),
          ...vector.toInteger,
          ...vector.zero,
          ...vector.toWords,
          ...vector.zero,
          ...vector.toBytes,
          ...vector.lane,
          ...store,
          ...advance(pixel, get(acrossSize)),
          ...advance(out, constant(3)),
        ],
        out,
        get(endOfRow),
      ),
    ],
    out,
    get(outEnd),
  ),
];

const section = (id: number, content: number[]): number[] => [id, ...size(content.length), ...content];
const vectorOf = (...items: number[][]): number[] => [...size(items.length), ...items.flat()];
const text = (name: string): number[] => [...size(name.length), ...Buffer.from(name)];
const locals = [...vectorOf([7, i32], [6, v128])];
const code = [...locals, ...body, 0x0b];

const moduleBytes = Uint8Array.from([
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
  ...section(1, vectorOf([0x60, ...vectorOf(...new Array<number[]>(11).fill([i32])), 0])),
  ...section(3, vectorOf([0])),
  ...section(5, vectorOf([0, 1])),
  ...section(7, vectorOf([...text("memory"), 2, 0], [...text("resize"), 0, 0])),
  ...section(10, vectorOf([...size(code.length), ...code])),
]);

interface Kernel {
  readonly memory: WebAssembly.Memory;
  readonly resize: (...parameters: number[]) => void;
}
let kernel: Kernel | undefined;

const page = 65_536;
const aligned = (bytes: number): number => (bytes + 79) & ~15; // and room for reading and writing past an end

/** Puts the weights of a side into memory: entries of a start in bytes and the weights. */
function writeTable(memory: DataView, at: number, { taps, starts, weights }: SideWeights, unit: number): void {
  const words = new Int32Array(memory.buffer, at, starts.length * (1 + taps));
  const floats = new Float32Array(memory.buffer, at, words.length);
  for (let place = 0; place < starts.length; place++) {
    words[place * (1 + taps)] = starts[place]! * unit;
    for (let tap = 0; tap < taps; tap++) floats[place * (1 + taps) + 1 + tap] = weights[place * taps + tap]!;
  }
}

/**
 * @param pixels [height, width, 3] with rows of `width` pixels
 * @param down weights of the rows, `across` of the columns
 * @returns [rows, columns, 3]
 */
export function resizePixels(
  pixels: Uint8Array,
  width: number,
  { down, across }: { down: SideWeights; across: SideWeights },
): Uint8Array {
  kernel ??= new WebAssembly.Instance(new WebAssembly.Module(moduleBytes)).exports as unknown as Kernel;
  const { memory, resize } = kernel;
  // Columns that no pixel needs are not summed.
  const left = across.starts.reduce((least, start) => Math.min(least, start), width);
  const right = across.starts.reduce((most, start) => Math.max(most, start + across.taps), 0);
  const [rows, columns] = [down.starts.length, across.starts.length];
  const [downBytes, acrossBytes] = [4 + 4 * down.taps, 4 + 4 * across.taps];
  const outBytes = rows * columns * 3;
  let used = 0;
  const place = (bytes: number): number => {
    const at = used;
    used += aligned(bytes);
    return at;
  };
  const downAt = place(rows * downBytes);
  const acrossAt = place(columns * acrossBytes);
  const rowAt = place((right - left) * 12);
  const outAt = place(outBytes);
  const sourceAt = place(pixels.length);
  if (memory.buffer.byteLength < used) memory.grow(Math.ceil((used - memory.buffer.byteLength) / page));
  const view = new DataView(memory.buffer);
  writeTable(view, downAt, down, width * 3);
  writeTable(view, acrossAt, { ...across, starts: across.starts.map((start) => start - left) }, 12);
  const bytes = new Uint8Array(memory.buffer);
  bytes.set(pixels, sourceAt);
  resize(
    ...[sourceAt + left * 3, width * 3, downAt, downBytes, acrossAt, acrossBytes],
    ...[rowAt, rowAt + (right - left) * 12, outAt, outAt + outBytes, columns * 3],
  );
  return bytes.slice(outAt, outAt + outBytes);
}
