/**
 * Our training step beside PyTorch's, on the same network, batch and threads, taking turns in one run.
 *
 *   npm run bench -- step --python PATH [--width 64] [--batch 128] [--threads 2] [--rounds 5] [--steps 3]
 *
 * PATH is a Python with PyTorch; bench/step.py is run by it. A step is forward, backward, update and the loss read
 * back. The last lines tell which share of our step is spent outside the native calls: loader, hooks, JavaScript.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    python: { type: "string", default: "python3" },
    width: { type: "string", default: "64" },
    batch: { type: "string", default: "128" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "5" },
    steps: { type: "string", default: "3" },
  },
});
const width = Number(values.width);
const batchSize = Number(values.batch);
const rounds = Number(values.rounds);
const steps = Number(values.steps);
process.env.TF_NUM_INTRAOP_THREADS = values.threads;

const { loadBackend, sgd, Trainer } = await import("../core/index.js");
const { meterNative } = await import("../core/backend/meter.js");
const { resnet18 } = await import("../core/models/index.js");
const { l2, labelSmoothing, randomCropFlip } = await import("../plugins/index.js");

/** Random pictures in memory: the loader, the hooks and the augmentation work as in a real run. */
const total = batchSize * (steps + 1);
const pixels = Uint8Array.from({ length: 32 * 32 * 3 }, (_, index) => (index * 37) % 256);
const split = {
  length: total,
  labels: Int32Array.from({ length: total }, (_, index) => index % 100),
  read: (indices: ArrayLike<number>) => Array.from(indices, () => ({ pixels, height: 32, width: 32 })),
  describe: (index: number) => `#${index}`,
};
const data = {
  name: "bench",
  options: {},
  load: async () => ({
    classes: Array.from({ length: 100 }, (_, index) => String(index)),
    height: 32,
    width: 32,
    train: split,
    mean: [0.5, 0.5, 0.5] as const,
    deviation: [0.25, 0.25, 0.25] as const,
    fingerprint: "bench",
  }),
};

const python = spawn(
  values.python,
  [join(import.meta.dirname, "step.py"), "--width", values.width, "--batch", values.batch, "--threads", values.threads],
  { stdio: ["pipe", "pipe", "inherit"] },
);
const answers = createInterface({ input: python.stdout })[Symbol.asyncIterator]();
const answer = async (): Promise<{ seconds: number[]; torch?: string }> => {
  const { value, done } = await answers.next();
  if (done) throw new Error("bench/step.py ended early; is PyTorch installed in that Python?");
  return JSON.parse(value);
};
const ready = await answer();

const plugins = [randomCropFlip(), labelSmoothing(), l2({ decay: 5e-4 })];

/** One turn of ours: seconds of each step, and of each the part outside the native calls. The first is a warm-up. */
async function ourTurn(): Promise<{ seconds: number; outside: number }[]> {
  const trainer = new Trainer({
    name: "bench",
    data,
    model: resnet18({ width, stem: "cifar" }),
    optimizer: sgd({ momentum: 0.9, nesterov: true }),
    learningRate: 0.01,
    epochs: 1,
    batchSize,
    holdout: 0,
    backend: "tensorflow",
    plugins,
  });
  const taken: { seconds: number; outside: number }[] = [];
  let since = performance.now();
  trainer.events.on("step", () => {
    const seconds = (performance.now() - since) / 1000;
    taken.push({ seconds, outside: seconds - native.milliseconds() / 1000 });
    native.reset();
    since = performance.now();
  });
  await trainer.fit();
  return taken.slice(1);
}

const median = (numbers: number[]): number => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)]!;

const backend = await loadBackend({ name: "tensorflow" });
const native = meterNative()!;
const ours: { seconds: number; outside: number }[] = [];
const theirs: number[] = [];
const ratios: number[] = [];
for (let round = 0; round < rounds; round++) {
  const mine = await ourTurn();
  python.stdin.write(`run ${steps}\n`);
  const { seconds } = await answer();
  ours.push(...mine);
  theirs.push(...seconds);
  ratios.push(median(seconds) / median(mine.map((step) => step.seconds)));
}
python.stdin.end();

const rate = (seconds: number): string => (batchSize / seconds).toFixed(1).padStart(8);
const mine = median(ours.map(({ seconds }) => seconds));
const outside = median(ours.map(({ seconds, outside }) => outside / seconds));
console.log(`ResNet-18 (CIFAR stem), width ${width}, batch ${batchSize}, ${values.threads} threads, float32, images/s (median step)`);
console.log(`fitloop    ${rate(mine)}   TensorFlow ${backend.version}, with loader, crop and flip, smoothing, L2`);
console.log(`PyTorch    ${rate(median(theirs))}   ${String(ready.torch)} eager, channels_last, batch in memory`);
console.log(`ratio ${median(ratios).toFixed(2)} (rounds ${ratios.map((ratio) => ratio.toFixed(2)).join(" ")})`);
console.log(`outside native calls ${(outside * 100).toFixed(1)} % of our step`);
