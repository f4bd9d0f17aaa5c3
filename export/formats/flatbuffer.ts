/** Tables of a FlatBuffer without generated code: fields by their slot, as a schema numbers them. */
import { Builder } from "flatbuffers";

/** A finished piece of the buffer. */
export type Offset = number & { readonly brand?: "offset" };

/** One field of a table. Fields that have the schema's default are left out, as generated code does. */
export type Field =
  | { readonly byte: number; readonly or?: number }
  | { readonly int: number; readonly or?: number }
  | { readonly float: number; readonly or?: number }
  | { readonly at: Offset | undefined };

export interface FlatBuffer {
  text(value: string): Offset;
  ints(values: ArrayLike<number>): Offset;
  longs(values: ArrayLike<number>): Offset;
  floats(values: ArrayLike<number>): Offset;
  /** Aligned to 16 bytes. */
  bytes(data: Uint8Array): Offset;
  list(offsets: readonly Offset[]): Offset;
  /** Slot -> field. */
  table(fields: Readonly<Record<number, Field>>): Offset;
  finish(root: Offset, identifier: string): Uint8Array;
}

/** @param capacity bytes to begin with */
export function createFlatBuffer(capacity: number): FlatBuffer {
  const builder = new Builder(capacity);
  const vector = (size: number, values: ArrayLike<number>, add: (value: number) => void): Offset => {
    builder.startVector(size, values.length, size);
    for (let at = values.length - 1; at >= 0; at--) add(values[at]!);
    return builder.endVector();
  };
  return {
    text: (value) => builder.createString(value),
    ints: (values) => vector(4, values, (value) => builder.addInt32(value)),
    longs: (values) => vector(8, values, (value) => builder.addInt64(BigInt(value))),
    floats: (values) => vector(4, values, (value) => builder.addFloat32(value)),
    list: (offsets) => vector(4, offsets, (offset) => builder.addOffset(offset)),
    bytes(data) {
      builder.startVector(1, data.length, 16);
      // In one piece: byte by byte, as the library would, takes seconds for a large model.
      const inner = builder as unknown as { space: number; bb: { setPosition(at: number): void; bytes(): Uint8Array } };
      inner.space -= data.length;
      inner.bb.setPosition(inner.space);
      inner.bb.bytes().set(data, inner.space);
      return builder.endVector();
    },
    table(fields) {
      const slots = Object.keys(fields).map(Number);
      builder.startObject(slots.length === 0 ? 0 : Math.max(...slots) + 1);
      for (const slot of slots) {
        const field = fields[slot]!;
        if ("byte" in field) builder.addFieldInt8(slot, field.byte, field.or ?? 0);
        else if ("int" in field) builder.addFieldInt32(slot, field.int, field.or ?? 0);
        else if ("float" in field) builder.addFieldFloat32(slot, field.float, field.or ?? 0);
        else if (field.at) builder.addFieldOffset(slot, field.at, 0);
      }
      return builder.endObject();
    },
    finish(root, identifier) {
      builder.finish(root, identifier);
      return builder.asUint8Array().slice();
    },
  };
}
