/** The runtime of LiteRT models: LiteRT.js on WebAssembly, with the kernels that need no relaxed SIMD. */
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
  const inGlobal = "\nglobalThis.ModuleFactory = ModuleFactory;"; // where LiteRT.js looks for it, also of a module
  const script = new Blob([await file(`${program}.js`), inGlobal], { type: "text/javascript" });
  // The script takes its program from here, not from an address of its own.
  Object.assign(globalThis, { Module: { wasmBinary: await file(`${program}.wasm`) } });
  const address = URL.createObjectURL(script);
  const { importScripts } = globalThis as { importScripts?: (...addresses: string[]) => void }; // of a worker
  try {
    if (importScripts) {
      // LiteRT.js would load the script by it, and a worker that is a module has it only to refuse.
      await import(/* @vite-ignore */ /* webpackIgnore: true */ address);
      const others = (...addresses: string[]): void => {
        const wanted = addresses.filter((each) => !each.startsWith(address));
        if (wanted.length > 0) importScripts(...wanted);
      };
      Object.assign(globalThis, { importScripts: others });
    }
    await loadLiteRt(`${address}#${program}.js`);
  } finally {
    if (importScripts) Object.assign(globalThis, { importScripts });
    URL.revokeObjectURL(address);
  }
}
