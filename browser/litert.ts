/** The runtime of LiteRT models: LiteRT.js on WebAssembly, with the kernels that every browser of today can run. */
import { getGlobalLiteRtPromise, loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";
import type { OpenModel } from "./classifier.js";

const program = "litert_wasm_compat_internal";

export const openModel: OpenModel = async ({ model: name, input }, file) => {
  await (getGlobalLiteRtPromise() ?? load(file)); // once a page
  const model = await loadAndCompile(await file(name), { accelerator: "wasm" });
  const shape = [1, input.size, input.size, 3];
  return {
    async run(image) {
      const pixels = new Tensor(input.type === "uint8" ? Uint8Array.from(image) : image, shape);
      const [answer] = await model.run(pixels);
      const values = Float32Array.from((await answer!.data()) as Float32Array);
      pixels.delete();
      answer!.delete();
      return values;
    },
    dispose: () => model.delete(),
  };
};

async function load(file: Parameters<OpenModel>[1]): Promise<void> {
  const script = new Blob([await file(`${program}.js`)], { type: "text/javascript" });
  // The script takes its program from here, not from an address of its own.
  Object.assign(globalThis, { Module: { wasmBinary: await file(`${program}.wasm`) } });
  const address = URL.createObjectURL(script);
  await loadLiteRt(`${address}#${program}.js`);
  URL.revokeObjectURL(address);
}
