import { expect, it } from "vitest";
import { bfloat16Instructions } from "../../../core/backend/processor.js";

it.each([
  ["processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16 amx_bf16 amx_tile\n", ["amx_bf16", "avx512_bf16"]],
  ["processor\t: 0\nflags\t\t: fpu avx2 avx512_bf16x\n", []],
  ["processor\t: 0\nFeatures\t: fp asimd bf16 i8mm\n", ["bf16"]],
  ["processor\t: 0\nmodel name\t: flags: avx512_bf16\n", undefined],
])("%j", (text, found) => expect(bfloat16Instructions(() => text)).toEqual(found));

it("is not known where the system does not tell", () => {
  const missing = (): never => {
    throw new Error("ENOENT");
  };
  expect(bfloat16Instructions(missing)).toBeUndefined();
});
