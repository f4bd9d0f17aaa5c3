/**
 * What checking costs: every image of a folder the first time and from then on, and the checksums of weights, records and
 * report data. `npm run bench -- checks FOLDER`. Processor time is printed first: another program on the machine lengthens
 * the wall clock alone.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { imageFolder } from "../core/data/index.js";
import { readSafetensors, writeCheckedSafetensors, writeSafetensors } from "../core/nn/safetensors.js";
import { makePart } from "../core/parts.js";
import { readCheckedJson, toCheckedJson } from "../run/checked-json.js";

const [path] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "fitloop-checks-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

async function timed<T>(name: string, work: () => T | Promise<T>): Promise<T> {
  const [used, since] = [process.cpuUsage(), performance.now()];
  const result = await work();
  const { user, system } = process.cpuUsage(used);
  const [processor, wall] = [(user + system) / 1000, performance.now() - since].map((each) =>
    each.toFixed(1).padStart(9),
  );
  console.log(`${name.padEnd(48)}${processor} ms processor${wall} ms`);
  return result;
}

if (path !== undefined) {
  for (const validateAll of [false, true]) {
    process.env.FITLOOP_CACHE = join(folder, String(validateAll)); // without notes of earlier checks
    const load = () => makePart(imageFolder({ path, validateAll })).load({});
    const what = validateAll ? "decoded and hashed" : "headers and hashes, validateAll: false";
    const { train } = await timed(`${what}, first time`, load);
    await new Promise((done) => setTimeout(done, 100));
    await timed(`${what}, again (${train.length} for training)`, load);
  }
}

const weights = Float32Array.from({ length: 11_700_000 }, (_, at) => Math.sin(at)); // as ResNet-18
const tensors = new Map([["weight", { dtype: "F32", shape: [weights.length], data: weights } as const]]);
for (const round of ["", ", again"]) {
  const plain = await timed(`46.8 MB of weights written, no checksum${round}`, () => writeSafetensors(tensors));
  const checked = await timed(`46.8 MB of weights written${round}`, () => writeCheckedSafetensors(tensors));
  await timed(`read, no checksum${round}`, () => readSafetensors(plain));
  await timed(`read${round}`, () => readSafetensors(checked));
}

const file = join(folder, "x.json");
const counts = Array.from({ length: 1_000_000 }, (_, at) => at % 3);
await timed("confusion matrix of 1,000 classes written", () => writeFileSync(file, toCheckedJson({ counts })));
await timed("read", () => readCheckedJson(file, z.looseObject({ counts: z.array(z.number()) })));
writeFileSync(file, toCheckedJson({ text: "x".repeat(3000) }));
await timed("a record of 3 KB read 1,000 times", () => {
  for (let count = 0; count < 1000; count++) readCheckedJson(file, z.looseObject({}));
});
