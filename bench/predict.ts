/**
 * A finished run in a process that never trains: seconds from the process's start to the first answer, then answers a second.
 *
 *     npm run bench -- predict runs/quickstart-1 [model.onnx]
 *
 * With a model that `trainer export RUN` wrote, ONNX Runtime answers beside it, if `onnxruntime-node` can be found: the network
 * alone on images in memory. The run's own answers include scaling and ranking, decoding apart.
 */
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Image } from "../core/data/dataset.js";
import { openRun } from "../run/index.js";

const [folder, onnx] = process.argv.slice(2);
if (folder === undefined) throw new Error("Name a run: npm run bench -- predict runs/quickstart-1");
const onnxRuntime = onnx === undefined ? undefined : findOnnxRuntime();

const run = await openRun(folder);
const { height } = (await run.gradCam(noise(224))).image;
const seconds = performance.now() / 1000;
console.log(`first answer after ${seconds.toFixed(2)} s`);

/** No dependency of this package: only this comparison needs it. */
function findOnnxRuntime() {
  try {
    return createRequire(join(process.cwd(), "package.json"))("onnxruntime-node");
  } catch (cause) {
    throw new Error("ONNX Runtime is missing. Install it: npm install --no-save onnxruntime-node", { cause });
  }
}

/** An image of noise, the same each time. */
function noise(side: number): Image {
  const pixels = Uint8Array.from({ length: side * side * 3 }, (_, at) => (at * 2654435761) >>> 24);
  return { pixels, height: side, width: side };
}

/** The best of five rounds of a second: others share the machine. */
async function perSecond(count: number, answer: () => Promise<unknown>): Promise<number> {
  await answer();
  let best = 0;
  for (let round = 0; round < 5; round++) {
    const start = performance.now();
    let done = 0;
    while (performance.now() - start < 1000) {
      await answer();
      done += count;
    }
    best = Math.max(best, done / ((performance.now() - start) / 1000));
  }
  return best;
}

for (const batch of [1, 32]) {
  const images = Array.from({ length: batch }, () => noise(height));
  const rate = await perSecond(batch, () => run.predict(images, { batchSize: batch, top: 1 }));
  console.log(`batch ${batch}: ${rate.toFixed(0)} answers a second`);
}

if (onnxRuntime) {
  const { InferenceSession, Tensor } = onnxRuntime;
  const session = await InferenceSession.create(onnx, { intraOpNumThreads: 2 });
  for (const batch of [1, 32]) {
    const values = Float32Array.from({ length: batch * height * height * 3 }, (_, at) => (at * 2654435761) >>> 24);
    const input = { [session.inputNames[0]]: new Tensor("float32", values, [batch, height, height, 3]) };
    const rate = await perSecond(batch, () => session.run(input));
    console.log(`ONNX Runtime, batch ${batch}: ${rate.toFixed(0)} answers a second`);
  }
}
