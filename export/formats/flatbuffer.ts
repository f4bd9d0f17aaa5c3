/** Tables of a FlatBuffer without generated code: fields by their slot, as a schema numbers them. */
import { Builder } from "flatbuffers";
import type { Piece } from "./pieces.js";

const alignment = 16;

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
  /** Aligned to 16 bytes. They lie after all tables, so that they can be made when they are written. */
  bytes(data: Piece): Offset;
  list(offsets: readonly Offset[]): Offset;
  /** Slot -> field. */
  table(fields: Readonly<Record<number, Field>>): Offset;
  finish(root: Offset, identifier: string): Piece[];
}

export function createFlatBuffer(): FlatBuffer {
  const builder = new Builder(4096);
  builder.prep(alignment, 0); // what is finished is a whole number of these
  /** The large arrays, which are written after the builder's tables. */
  const payload: Piece[] = [];
  let payloadLength = 0;
  const append = (piece: Piece): void => {
    payload.push(piece);
    payloadLength += piece.length;
  };
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
      // The builder counts from its end to the front, so the payload has a negative offset: that of the array's length.
      append(new Uint8Array(alignment - 4 - (payloadLength % alignment)));
      const place = -payloadLength;
      const length = Buffer.alloc(4);
      length.writeUInt32LE(data.length);
      append(length);
      append(data);
      append(new Uint8Array((alignment - (data.length % alignment)) % alignment));
      return place;
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
      return [builder.asUint8Array().slice(), ...payload];
    },
  };
}
