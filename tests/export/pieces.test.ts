import { describe, expect, it } from "vitest";
import { litert } from "../../export/formats/litert.js";
import { onnx } from "../../export/formats/onnx.js";
import { inPieces, joined } from "../../export/formats/pieces.js";
import { savedModel } from "../../export/formats/saved-model.js";
import { tfjs } from "../../export/formats/tfjs.js";
import { description, everyOperation } from "../support/every-operation.js";

describe("inPieces", () => {
  it("makes each piece when it is written, and anew each time", () => {
    const made: string[] = [];
    const piece = (name: string): { length: number; bytes(): Buffer } => ({
      length: name.length,
      bytes() {
        made.push(name);
        return Buffer.from(name);
      },
    });
    const file = inPieces([piece("ant"), Buffer.from("+"), piece("bee")]);
    expect(file.length).toBe(7);
    expect(made).toEqual([]);
    const pieces = file[Symbol.iterator]() as Generator<Uint8Array>;
    pieces.next();
    expect(made).toEqual(["ant"]);
    expect([...pieces].map(String)).toEqual(["+", "bee"]);
    expect(joined(file).toString()).toBe("ant+bee");
    expect(made).toEqual(["ant", "bee", "ant", "bee"]);
  });

  it("refuses a piece of another length, which would shift all that is behind it", () => {
    expect(() => [...inPieces([{ length: 3, bytes: () => new Uint8Array(2) }])]).toThrow("3 bytes, got 2");
  });
});

it.each(["float32", "float16", "int8-dynamic"] as const)("the length of a file is that of its bytes: %s", (kind) => {
  const files = [
    onnx(everyOperation, { kind }, description),
    litert(everyOperation, { kind }, description),
    savedModel(everyOperation, description),
    ...tfjs(everyOperation, kind, description).values(),
  ];
  for (const file of files) expect(file.length).toBe(joined(file).length);
});
