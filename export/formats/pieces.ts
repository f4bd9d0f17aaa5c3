/**
 * A file in pieces, so that no model is in memory a second time: a tensor becomes bytes when its piece is written, and only
 * then. Lengths are known before, as headers and offsets need them.
 */
import { PbfWriter } from "pbf";

/** Bytes, or how many there are and how to make them. */
export type Piece = Uint8Array | { readonly length: number; bytes(): Uint8Array };

/** A whole file. It can be written several times: each makes the bytes anew. */
export interface Pieces extends Iterable<Uint8Array> {
  readonly length: number;
}

export const lengthOf = (parts: readonly Piece[]): number => parts.reduce((sum, { length }) => sum + length, 0);

export const inPieces = (parts: readonly Piece[]): Pieces => ({
  length: lengthOf(parts),
  *[Symbol.iterator]() {
    for (const part of parts) {
      const bytes = part instanceof Uint8Array ? part : part.bytes();
      if (bytes.length !== part.length)
        throw new Error(`expected a piece of ${part.length} bytes, got ${bytes.length}`);
      yield bytes;
    }
  },
});

/** In memory, for what is small. */
export const joined = (file: Iterable<Uint8Array>): Buffer => Buffer.concat([...file]);

/** A message of protobuf as a field of another. */
export function field(tag: number, parts: readonly Piece[]): Piece[] {
  const header = new PbfWriter();
  header.writeVarint((tag << 3) | 2);
  header.writeVarint(lengthOf(parts));
  return [header.finish(), ...parts];
}

/** Fields of protobuf that are small. */
export function fields(write: (pbf: PbfWriter) => void): Uint8Array {
  const writer = new PbfWriter();
  write(writer);
  return writer.finish();
}
