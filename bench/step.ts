/**
 * Our training step beside PyTorch's, on the same network, batch, precision and threads, taking turns in one run.
 *
 *   npm run bench -- step --python PATH [--network resnet18-64] [--precision float32|bfloat16] [--threads 2] [--rounds 5]
 *                         [--steps 3] [--no-compile] [--no-capture]
 *
 * PATH is a Python with PyTorch; bench/step.py is run by it twice: eager in channels_last (autocast for bfloat16), and
 * with torch.compile. A step is forward, backward, update and the loss read back; ours has its loader, augmentation and
 * plugins besides. The ratio is of medians within a round, and its median over rounds, against the faster of the two.
 * The last line tells which share of our step is spent outside native calls: loader, hooks, JavaScript.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { median } from "./common/intervals.js";
import { oneOf, whole } from "./common/options.js";
import { startPeer } from "./common/peer.js";

const { values } = parseArgs({
  options: {
    python: { type: "string", default: "python3" },
    network: { type: "string", default: "resnet18-64" },
    precision: { type: "string", default: "float32" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "5" },
    steps: { type: "string", default: "3" },
    compile: { type: "boolean", default: true },
    capture: { type: "boolean", default: true },
  },
  allowNegative: true,
});
const precision = oneOf("precision", values.precision, ["float32", "bfloat16"]);
const rounds = whole("rounds", values.rounds);
const steps = whole("steps", values.steps);
process.env.TF_NUM_INTRAOP_THREADS = values.threads;

const { loadBackend, sgd, Trainer } = await import("../core/index.js");
const { timeNativeCalls } = await import("../core/backend/native-timing.js");
const { resnet9, resnet18, resnet50, wrn } = await import("../core/models/index.js");
const { l2, labelSmoothing, randomCropFlip, squeezeExcite } = await import("../plugins/index.js");

/** bench/step.py knows the same ones. */
const networks = {
  "resnet18-64": { model: resnet18({ width: 64, stem: "cifar" }), size: 32, batch: 128, plugins: [] },
  "resnet18-16": { model: resnet18({ width: 16, stem: "cifar" }), size: 32, batch: 128, plugins: [] },
  "resnet9-64": { model: resnet9({ width: 64 }), size: 32, batch: 128, plugins: [] },
  "wrn-16-4": { model: wrn({ depth: 16, width: 4 }), size: 32, batch: 128, plugins: [] },
  "resnet50-se": { model: resnet50({ stem: "imagenet" }), size: 224, batch: 16, plugins: [squeezeExcite()] },
};
const network = oneOf("network", values.network, Object.keys(networks) as (keyof typeof networks)[]);
const { model, size, batch, plugins } = networks[network];

/** Steps of ours before the first round: two are recorded, one is the graph's first. */
const warmUp = 4;
const total = batch * (warmUp + rounds * steps);

/** Doors that rounds wait behind. */
const doors = Array.from({ length: rounds + 1 }, () => {
  let open!: () => void;
  return { opened: new Promise<void>((resolve) => (open = resolve)), open };
});
let batchesRead = 0;
const pixels = Uint8Array.from({ length: size * size * 3 }, (_, index) => (index * 37) % 256);
/** Random images in memory: the loader, the hooks and the augmentation work as in a real run. */
const split = {
  length: total,
  labels: Int32Array.from({ length: total }, (_, index) => index % 100),
  async read(indices: ArrayLike<number>) {
    const round = Math.max(0, Math.floor((batchesRead++ - warmUp) / steps) + 1);
    await doors[round]!.opened;
    return Array.from(indices, () => ({ pixels, height: size, width: size }));
  },
  describe: (index: number) => `#${index}`,
};
const data = {
  name: "bench",
  options: {},
  load: async () => ({
    classes: Array.from({ length: 100 }, (_, index) => String(index)),
    height: size,
    width: size,
    train: split,
    mean: [0.5, 0.5, 0.5] as const,
    deviation: [0.25, 0.25, 0.25] as const,
    fingerprint: "bench",
  }),
};

interface Answer {
  seconds: number[];
  megabytes: number;
  torch?: string;
}

/** A PyTorch that has warmed up and makes steps when asked. */
async function startPyTorch(...flags: string[]) {
  const args = ["--network", values.network, "--batch", String(batch), "--threads", values.threads, ...flags];
  const peer = startPeer(values.python, join(import.meta.dirname, "step.py"), args, "torch and torchvision");
  const { torch } = await peer.answer<Answer>();
  return { torch, run: () => peer.answer<Answer>(`run ${steps}`), end: peer.end };
}

const half = precision === "bfloat16" ? ["--bf16"] : [];
const peers = {
  eager: await startPyTorch(...half),
  ...(values.compile ? { compiled: await startPyTorch("--compile", ...half) } : {}),
};

const backend = await loadBackend({ name: "tensorflow" });
const native = timeNativeCalls()!;
const trainer = new Trainer({
  name: "bench",
  data,
  model,
  optimizer: sgd({ momentum: 0.9, nesterov: true }),
  learningRate: 0.01,
  epochs: 1,
  batchSize: batch,
  holdout: 0,
  backend: "tensorflow",
  precision,
  capture: values.capture,
  plugins: [...plugins, randomCropFlip(), labelSmoothing(), l2({ decay: 5e-4 })],
});
trainer.events.on("warning", ({ message }) => console.error(message));
let since = 0;
const taken: { seconds: number; outside: number }[] = [];
let roundOver: () => void = () => {};
trainer.events.on("step", ({ step }) => {
  const seconds = (performance.now() - since) / 1000;
  taken.push({ seconds, outside: seconds - native.milliseconds() / 1000 });
  native.reset();
  since = performance.now();
  if (step >= warmUp && (step - warmUp) % steps === 0) roundOver();
});
/** Lets ours go on to the end of a round; the steps of it. */
async function ourTurn(round: number): Promise<typeof taken> {
  const over = new Promise<void>((resolve) => (roundOver = resolve));
  native.reset();
  since = performance.now();
  doors[round]!.open();
  await over;
  return taken.splice(0);
}
const fitted = trainer.fit();
await ourTurn(0);

const ours: typeof taken = [];
const theirs: Record<string, { seconds: number[]; megabytes: number }> = {};
const ratios: number[] = [];
for (let round = 1; round <= rounds; round++) {
  const mine = await ourTurn(round);
  ours.push(...mine);
  let best = Number.POSITIVE_INFINITY;
  for (const [name, peer] of Object.entries(peers)) {
    const { seconds, megabytes } = await peer.run();
    const so = (theirs[name] ??= { seconds: [], megabytes: 0 });
    so.seconds.push(...seconds);
    so.megabytes = megabytes;
    best = Math.min(best, median(seconds));
  }
  ratios.push(best / median(mine.map(({ seconds }) => seconds)));
}
const megabytes = process.resourceUsage().maxRSS / 1024;
await fitted;
for (const peer of Object.values(peers)) peer.end();

const rate = (seconds: number): string => (batch / seconds).toFixed(1).padStart(8);
const memory = (value: number): string => `${(value / 1024).toFixed(2)} GiB`.padStart(10);
console.log(
  `${values.network}, batch ${batch} at ${size} px, ${values.threads} threads, ${precision}: images/s (median step), peak memory`,
);
const way = values.capture ? "as graphs" : "operation by operation";
const mine = rate(median(ours.map(({ seconds }) => seconds)));
console.log(
  `fitloop             ${mine}${memory(megabytes)}   TensorFlow ${backend.version}, ${way}, with loader, crop and flip, smoothing, L2`,
);
for (const [name, { seconds, megabytes: peak }] of Object.entries(theirs)) {
  console.log(
    `PyTorch ${name.padEnd(12)}${rate(median(seconds))}${memory(peak)}   ${peers.eager.torch}, channels_last, batch in memory`,
  );
}
console.log(
  `ratio to the faster ${median(ratios).toFixed(2)} (rounds ${ratios.map((ratio) => ratio.toFixed(2)).join(" ")})`,
);
console.log(
  `outside native calls ${(median(ours.map(({ seconds, outside }) => outside / seconds)) * 100).toFixed(1)} % of our step`,
);
