import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TrainerError } from "../../../core/errors.js";
import {
  isChecked,
  readSafetensors,
  type StoredTensor,
  toFloat32,
  writeCheckedSafetensors,
  writeSafetensors,
} from "../../../core/nn/safetensors.js";
import { goldenBytes } from "../../golden/torch/read.js";

const utf8 = new TextEncoder();

/** A file around any header: what a writer with a mistake would leave. */
function file(header: unknown, data: number | Uint8Array = 0, { length }: { length?: bigint } = {}): Uint8Array {
  const json = typeof header === "string" ? header : JSON.stringify(header);
  const text = header instanceof Uint8Array ? header : utf8.encode(json);
  const body = typeof data === "number" ? new Uint8Array(data) : data;
  const bytes = new Uint8Array(8 + text.length + body.length);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(body, 8 + text.length);
  return bytes;
}

const f32 = (shape: number[], begin: number, end: number): unknown => ({
  dtype: "F32",
  shape,
  data_offsets: [begin, end],
});

const samples: Record<string, StoredTensor> = {
  "a float": { dtype: "F32", shape: [2, 3], data: Float32Array.of(1, -2, 3.5, NaN, -0, Infinity) },
  "a double": { dtype: "F64", shape: [1], data: Float64Array.of(Math.PI) },
  "a scalar": { dtype: "I64", shape: [], data: BigInt64Array.of(-(2n ** 62n)) },
  nothing: { dtype: "F32", shape: [0, 7], data: new Float32Array(0) },
  "three bytes": { dtype: "U8", shape: [3], data: Uint8Array.of(1, 2, 255) },
  half: { dtype: "F16", shape: [1], data: Uint16Array.of(0x3c00) },
  'naïve "name"\n': { dtype: "I32", shape: [2], data: Int32Array.of(-1, 7) },
};

describe("files by PyTorch", () => {
  it.each(["layers.safetensors", "resnet-trace/resnet18.initial.safetensors", "gradcam/gradcam.safetensors"])(
    "%s is read, and written again byte for byte",
    (path) => {
      const bytes = goldenBytes(path);
      const { tensors, metadata } = readSafetensors(bytes);
      expect(tensors.size).toBeGreaterThan(0);
      expect(Buffer.compare(writeSafetensors(tensors, metadata), bytes)).toBe(0);
    },
  );
});

it("refuses a header that is nested 200,000 levels deep", () => {
  for (const [open, close] of [
    ["[", "]"],
    ['{"b":', "}"],
  ] as const) {
    const deep = `{"a":${open.repeat(2e5)}1${close.repeat(2e5)}}`;
    expect(() => readSafetensors(file(deep))).toThrow(TrainerError);
  }
});

describe("what is written", () => {
  it("comes back, with its metadata, wherever the bytes lie in memory", () => {
    const bytes = writeSafetensors(new Map(Object.entries(samples)), { format: "pt", note: "ü" });
    for (const shift of [0, 1, 4, 7]) {
      const moved = new Uint8Array(bytes.length + shift).subarray(shift);
      moved.set(bytes);
      const { tensors, metadata } = readSafetensors(moved);
      expect(Object.fromEntries(tensors)).toEqual(samples);
      expect(metadata).toEqual({ format: "pt", note: "ü" });
    }
  });

  it("is the bytes the format's description asks for", () => {
    const bytes = writeSafetensors(
      new Map([
        ["b", samples["three bytes"]!],
        ["a", samples["a double"]!],
      ]),
      { k: "v" },
    );
    const header =
      '{"__metadata__":{"k":"v"},"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},' +
      '"b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}}';
    const padded = header.padEnd(Math.ceil(header.length / 8) * 8, " ");
    expect(new TextDecoder().decode(bytes.subarray(8, 8 + padded.length))).toBe(padded);
    expect(new DataView(bytes.buffer).getBigUint64(0, true)).toBe(BigInt(padded.length));
    expect([...bytes.subarray(8 + padded.length)]).toEqual([0x18, 0x2d, 0x44, 0x54, 0xfb, 0x21, 0x09, 0x40, 1, 2, 255]);
  });

  it("holds for any tensors", () => {
    const tensor = fc
      .tuple(fc.array(fc.nat(4), { maxLength: 4 }), fc.constantFrom("F32", "U8", "I32", "F64"))
      .chain(([shape, dtype]) => {
        const size = shape.reduce((product, each) => product * each, 1);
        const make = { F32: Float32Array, U8: Uint8Array, I32: Int32Array, F64: Float64Array }[dtype]!;
        const numbers = fc.array(fc.integer({ min: 0, max: 255 }), { minLength: size, maxLength: size });
        return numbers.map((each) => ({ dtype, shape, data: make.from(each) }) as StoredTensor);
      });
    // "__proto__" and the like are names as good as any.
    const name = fc.oneof(fc.string(), fc.constantFrom("__proto__", "constructor", "0", ""));
    fc.assert(
      fc.property(fc.array(fc.tuple(name, tensor)), (entries) => {
        const tensors = new Map(entries.filter(([each]) => each !== "__metadata__"));
        const back = readSafetensors(writeSafetensors(tensors)).tensors;
        expect(new Map([...back].sort())).toEqual(new Map([...tensors].sort()));
      }),
      { numRuns: 100 },
    );
  });

  it("is a copy: changing it changes no file", () => {
    const bytes = writeSafetensors(new Map([["a", samples["a float"]!]]));
    const before = Uint8Array.from(bytes);
    (readSafetensors(bytes).tensors.get("a")!.data as Float32Array).fill(0);
    expect(bytes).toEqual(before);
  });

  it.each<[string, StoredTensor, RegExp]>([
    ["too few numbers", { dtype: "F32", shape: [3], data: new Float32Array(2) }, /F32 \[3\].*Float32Array of 2/],
    ["another class", { dtype: "F32", shape: [2], data: new Float64Array(2) }, /F32 \[2\].*Float64Array of 2/],
  ])("refuses %s", (_, tensor, message) => {
    expect(() => writeSafetensors(new Map([["a", tensor]]))).toThrow(message);
  });

  it("refuses the name of the metadata", () => {
    expect(() => writeSafetensors(new Map([["__metadata__", samples["half"]!]]))).toThrow(/cannot name a tensor/);
  });
});

describe("what is refused", () => {
  const cases: Record<string, [Uint8Array, RegExp]> = {
    "an empty file": [new Uint8Array(0), /at least 8 bytes.*got 0/],
    "less than a length": [new Uint8Array(7), /at least 8 bytes.*got 7/],
    "a header longer than the file": [file("{}", 0, { length: 3n }), /claims 3 bytes, and only 2 follow/],
    "too long a header": [file("{}", 0, { length: 100_000_001n }), /claims 100000001 bytes/],
    "a length of 2^64 - 1": [file("{}", 0, { length: 2n ** 64n - 1n }), /claims 18446744073709551615 bytes/],
    "no header": [file(""), /begins with "" and not/],
    "a header that is not UTF-8": [file(Uint8Array.of(0x7b, 0xff, 0x7d)), /not UTF-8/],
    "a byte order mark": [file("\uFEFF{}"), /begins with/],
    "leading blanks": [file("  {}"), /begins with/],
    "an array": [file("[]"), /begins with/],
    "half a header": [file('{"a":'), /not JSON/],
    "text behind the header": [file("{} x"), /not JSON/],
    "one name twice": [
      file(`{"a":${JSON.stringify(f32([1], 0, 4))},"a":${JSON.stringify(f32([1], 0, 4))}}`, 4),
      /"a" twice/,
    ],
    "one name twice, escaped": [
      file(`{"a":${JSON.stringify(f32([1], 0, 4))},"\\u0061":${JSON.stringify(f32([1], 4, 8))}}`, 8),
      /"a" twice/,
    ],
    "one field twice": [
      file('{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4),
      /"dtype" twice/,
    ],
    "a tensor that is a number": [file({ a: 1 }), /"a" is 1, expected an object/],
    "a tensor that is null": [file({ a: null }), /"a" is null/],
    "a tensor that is a list": [file({ a: [] }), /"a" is \[\]/],
    "an unknown field": [file({ a: { dtype: "U8", shape: [0], data_offsets: [0, 0], x: 1 } }), /"a" has "x"/],
    "no dtype": [file({ a: { shape: [1], data_offsets: [0, 4] } }, 4), /dtype missing/],
    "an unknown dtype": [file({ a: { dtype: "F33", shape: [1], data_offsets: [0, 4] } }, 4), /dtype "F33"/],
    "a dtype of the language": [file({ a: { dtype: "toString", shape: [1], data_offsets: [0, 4] } }, 4), /"toString"/],
    "a shape that is a number": [file({ a: { dtype: "U8", shape: 1, data_offsets: [0, 1] } }, 1), /shape 1/],
    "a negative size": [file({ a: f32([-1], 0, 4) }, 4), /shape \[-1\]/],
    "a fraction": [file({ a: f32([1.5], 0, 6) }, 6), /shape \[1.5\]/],
    "a size beyond 2^53": [file('{"a":{"dtype":"F32","shape":[9007199254740993],"data_offsets":[0,4]}}', 4), /shape/],
    "sizes whose product overflows": [file({ a: f32([2 ** 31, 2 ** 31, 2], 0, 8) }, 8), /no file can hold/],
    "one offset": [file({ a: { dtype: "U8", shape: [1], data_offsets: [0] } }, 1), /data_offsets \[0\]/],
    "offsets turned round": [file({ a: f32([1], 4, 0) }, 4), /data_offsets \[4,0\]/],
    "a negative offset": [file({ a: f32([1], -4, 0) }, 4), /data_offsets/],
    "less room than the shape takes": [file({ a: f32([2], 0, 4) }, 4), /takes 8 bytes, and its offsets leave 4/],
    "more room than the shape takes": [file({ a: f32([1], 0, 8) }, 8), /takes 4 bytes, and its offsets leave 8/],
    "data cut short": [file({ a: f32([2], 0, 8) }, 7), /ends at byte 8 of the data, which has 7/],
    "bytes at the end": [file({ a: f32([1], 0, 4) }, 5), /1 bytes follow tensor "a"/],
    "bytes without a tensor": [file("{}", 3), /3 bytes follow the header/],
    "a gap": [file({ a: f32([1], 0, 4), b: f32([1], 8, 12) }, 12), /4 bytes between tensor "a" and tensor "b"/],
    "a gap at the start": [file({ a: f32([1], 4, 8) }, 8), /4 bytes between the header and tensor "a"/],
    "an overlap": [file({ a: f32([2], 0, 8), b: f32([1], 4, 8) }, 8), /"b" begins at byte 4, inside tensor "a"/],
    "two tensors in one place": [file({ a: f32([1], 0, 4), b: f32([1], 0, 4) }, 4), /inside tensor "a"/],
    "metadata that is a list": [file({ __metadata__: ["x"] }), /expected a map from text to text/],
    "metadata with a number": [file({ __metadata__: { x: 1 } }), /expected a map from text to text/],
  };

  it.each(Object.entries(cases))("%s", (_, [bytes, message]) => {
    const read = (): unknown => readSafetensors(bytes, "some/file.safetensors");
    expect(read).toThrow(TrainerError);
    expect(read).toThrow(message);
    expect(read).toThrow(/^some\/file\.safetensors: /);
    expect(read).toThrow(expect.objectContaining({ code: "ERR_WEIGHTS" }));
  });

  it("any damage to a header: an error of ours, or a file that still says the same of its data", () => {
    const bytes = writeSafetensors(new Map(Object.entries(samples)), { format: "pt" });
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    let refused = 0;
    for (let at = 0; at < 8 + length; at++) {
      for (const change of [1, 2, 16, 128]) {
        const damaged = Uint8Array.from(bytes);
        damaged[at]! ^= change;
        try {
          readSafetensors(damaged);
        } catch (error) {
          if (!(error instanceof TrainerError)) throw error;
          refused++;
        }
      }
    }
    // Names and metadata may change unseen; lengths, types, shapes and offsets may not.
    expect(refused).toBeGreaterThan(2.5 * length);
  });
});

describe("a file with a checksum", () => {
  const tensors = new Map(Object.entries(samples));
  const bytes = writeCheckedSafetensors(tensors, { of: "a test", "fitloop.preprocessing": "{}" });

  it("is what the format says, and knows that it has one", () => {
    const { tensors: read, metadata } = readSafetensors(bytes);
    expect([...read.keys()].sort()).toEqual([...tensors.keys()].sort());
    expect(metadata).toMatchObject({
      of: "a test",
      "fitloop.checksum": expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
    });
    expect(isChecked(bytes)).toBe(true);
    expect(isChecked(writeSafetensors(tensors))).toBe(false);
    expect(isChecked(bytes.subarray(0, 100))).toBe(false);
  });

  it("may have its tensors in another order", () => {
    const { metadata } = readSafetensors(bytes);
    const again = writeSafetensors(
      new Map([...tensors].reverse()),
      Object.fromEntries(Object.entries(metadata).reverse()),
    );
    expect(() => readSafetensors(again)).not.toThrow();
  });

  it("is refused for each bit that changes a name, a type, a shape, a value or the metadata", () => {
    const same = (read: ReturnType<typeof readSafetensors>): string =>
      JSON.stringify(
        [...read.tensors].map(([name, { dtype, shape, data }]) => [name, dtype, shape, String(data)]).sort(),
      );
    const before = same(readSafetensors(bytes));
    for (let at = 0; at < bytes.length; at++) {
      for (const bit of [0, 2, 5]) {
        const damaged = bytes.slice();
        damaged[at]! ^= 1 << bit;
        try {
          const read = readSafetensors(damaged, "w.safetensors");
          // The name of the checksum itself: then the file has none, which the reader of a run reports.
          if (isChecked(damaged)) expect(same(read), `bit ${bit} of byte ${at}`).toBe(before);
        } catch (error) {
          expect(error).toMatchObject({ code: "ERR_WEIGHTS" });
        }
      }
    }
    const last = bytes.slice();
    last[last.length - 1]! ^= 1;
    expect(() => readSafetensors(last, "w.safetensors")).toThrow(
      /w\.safetensors: expected the checksum sha256:\w+, got sha256:\w+: it was damaged or changed/,
    );
  });
});

describe("toFloat32", () => {
  it("reads half precision", () => {
    const bits = [0x0000, 0x8000, 0x0001, 0x03ff, 0x0400, 0x3555, 0x3c00, 0xc000, 0x7bff, 0x7c00, 0xfc00, 0x7e00];
    const numbers = [
      0,
      -0,
      2 ** -24,
      1023 * 2 ** -24,
      2 ** -14,
      0.333251953125,
      1,
      -2,
      65504,
      Infinity,
      -Infinity,
      NaN,
    ];
    const tensor: StoredTensor = { dtype: "F16", shape: [bits.length], data: Uint16Array.from(bits) };
    expect([...toFloat32(tensor)!]).toEqual(numbers);
  });

  it("reads bfloat16", () => {
    const bits = [0x0000, 0x8000, 0x3f80, 0xc000, 0x4049, 0x7f7f, 0x0001, 0x7f80, 0xff80, 0x7fc0];
    const numbers = [0, -0, 1, -2, 3.140625, 255 * 2 ** 120, 2 ** -133, Infinity, -Infinity, NaN];
    const tensor: StoredTensor = { dtype: "BF16", shape: [bits.length], data: Uint16Array.from(bits) };
    expect([...toFloat32(tensor)!]).toEqual(numbers);
  });

  it("rounds double precision, and leaves integers alone", () => {
    expect([...toFloat32({ dtype: "F64", shape: [1], data: Float64Array.of(0.1) })!]).toEqual([Math.fround(0.1)]);
    expect(toFloat32({ dtype: "I32", shape: [1], data: Int32Array.of(1) })).toBeUndefined();
  });
});
