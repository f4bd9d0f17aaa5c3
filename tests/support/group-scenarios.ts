/**
 * Trainings of milliseconds for the tests of groups: `node --import tsx group-scenarios.ts NAME…` runs them one after the other, in
 * a process that is a rank or trains alone, and prints a line of JSON for each.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import * as tf from "@tensorflow/tfjs-core";
import { currentNativeCalls } from "../../core/backend/graph/native-calls.js";
import { shapes } from "../../core/data/index.js";
import {
  evaluate,
  type Part,
  type Plugin,
  plainView,
  sgd,
  stream,
  Trainer,
  type TrainerConfig,
  TrainerError,
} from "../../core/index.js";
import { resnet18 } from "../../core/models/index.js";
import { fitWeights, microConfig, microNet } from "../../core/testing/index.js";
import {
  cutmix,
  dataParallel,
  dropout,
  earlyStopping,
  ema,
  gradientAccumulation,
  gradientClipping,
  l2,
  labelSmoothing,
  plugins,
  randomCropFlip,
  stochasticDepth,
} from "../../plugins/index.js";
import { fromCheckpoint, toCheckpoint } from "../../run/checkpoint-writer.js";
import type { Checkpoint } from "../../run/checkpoints.js";

const rank = Number(process.env.RANK ?? 0);
const group = dataParallel({
  port: Number(process.env.PORT ?? 21000),
  watchdogSeconds: 60,
  startSeconds: Number(process.env.START ?? 60),
});

/** 66 images in batches of 65: no share is like the other, and one process has none of the last batch. */
const uneven = (plugins: TrainerConfig["plugins"] = []): TrainerConfig => ({
  ...microConfig(),
  data: shapes({ classes: 6, size: 8, train: 66, test: 7 }),
  model: microNet({ norm: false }),
  optimizer: sgd({ momentum: 0.9, nesterov: true }),
  epochs: 10,
  batchSize: 65,
  holdout: 0,
  plugins: [group, ...plugins],
});

const everything = (...more: Plugin[]): TrainerConfig => ({
  ...microConfig(),
  data: shapes({ classes: 4, size: 8, train: 60, test: 13 }),
  model: resnet18({ width: 2, stem: "cifar" }),
  epochs: 3,
  batchSize: 11,
  plugins: [
    group,
    dropout({ rate: 0.2 }),
    randomCropFlip({ padding: 1 }),
    cutmix({ probability: 0.5 }),
    labelSmoothing(),
    l2({ decay: 1e-3 }),
    gradientAccumulation({ factor: 2 }),
    gradientClipping({}),
    ema({ decay: 0.9 }),
    earlyStopping({ patience: 100 }),
    ...more,
  ],
});

/** A NaN in the images of one process, in its third micro-batch. */
const poison: Plugin = {
  name: "poison",
  options: {},
  apply({ hooks }) {
    hooks.beforeBatch.tap((batch, { microBatch }) => {
      if (rank !== 1 || microBatch !== 2) return batch;
      const values = batch.images.dataSync().slice();
      values[5] = Number.NaN;
      return { ...batch, images: tf.tensor4d(values, batch.images.shape) };
    });
  },
};

const outcomeOf = (error: unknown): object => {
  if (!(error instanceof TrainerError)) throw error;
  return { code: error.code, message: error.message };
};

async function diverging(onDivergence: TrainerConfig["onDivergence"]): Promise<object> {
  const diverged: unknown[] = [];
  const before = (trainer: Trainer): void =>
    trainer.events.on("diverged", ({ first: _, ...event }) => void diverged.push(event)); // the tensor is that of one rank
  try {
    const { hash } = await fitWeights({ ...everything(poison), onDivergence }, { before });
    return { hash, diverged };
  } catch (error) {
    return { diverged, ...outcomeOf(error) };
  }
}

/** What the process listens on, `address:port` in hexadecimal as the system has it. */
function listening(): string[] {
  const sockets = readdirSync("/proc/self/fd").flatMap((name) => {
    try {
      return [/^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${name}`))?.[1] ?? ""];
    } catch {
      return []; // closed meanwhile
    }
  });
  return ["tcp", "tcp6"].flatMap((table) =>
    readFileSync(`/proc/self/net/${table}`, "utf8")
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .filter((columns) => columns[3] === "0A" && sockets.includes(columns[9]!))
      .map((columns) => columns[1]!),
  );
}

const scenarios: Record<string, () => Promise<object>> = {
  law: async () => fitWeights(uneven([randomCropFlip({ padding: 1 }), labelSmoothing(), l2({ decay: 5e-4 })])),
  draws: async () => fitWeights(uneven([dropout({ rate: 0.3 }), stochasticDepth({ rate: 0.3 })])),
  /** And how many messages of each length were sent. */
  async everything() {
    const lengths = new Map<number, number>();
    const count: Plugin = {
      name: "count",
      options: {},
      apply({ hooks }) {
        hooks.onFitStart.tap({ stage: "first" }, () => {
          const native = currentNativeCalls()!;
          const { executeOp } = native;
          native.executeOp = (name, attributes, inputs, outputs) => {
            const found = executeOp(name, attributes, inputs, outputs);
            if (name === "CollectiveReduceV2") {
              const length = found[0]!.shape[0]!;
              lengths.set(length, (lengths.get(length) ?? 0) + 1);
            }
            return found;
          };
          hooks.onFitEnd.tap(() => void (native.executeOp = executeOp));
        });
      },
    };
    const { hash, summary } = await fitWeights(everything(count));
    const { seconds: _, imagesPerSecond: __, costs: ___, ...figures } = summary;
    return { hash, figures, messages: Object.fromEntries(lengths) };
  },
  again: async () => ({ hash: (await fitWeights(everything())).hash }),
  async evaluation() {
    const trainer = new Trainer(everything());
    const { loaders, createState, ...session } = await trainer.prepare(undefined, trainer.group);
    const { height, width } = session.data;
    const { weights } = createState();
    const evaluation = { purpose: "final", weights, source: "current", views: [plainView] } as const;
    const found = await evaluate({ ...session, classes: 4, height, width, loader: loaders.test!, evaluation });
    return {
      ...found,
      outputs: { probabilities: [...found!.outputs!.probabilities], labels: [...found!.outputs!.labels] },
    };
  },
  halt: () => diverging("halt"),
  skip: () => diverging({ skip: 3 }),
  rollback: () => diverging({ rollback: 2 }),
  /** The signal comes to one process. */
  async stop() {
    const controller = new AbortController();
    const teller: Plugin = {
      name: "teller",
      options: {},
      apply({ hooks }) {
        hooks.onStep.tap(({ step }) => void (rank === 1 && step === 3 && controller.abort("SIGINT")));
      },
    };
    const { hash, summary } = await fitWeights(everything(teller), { signal: controller.signal });
    return { hash, steps: summary.steps, stopReason: summary.stopReason };
  },
  async "other config"() {
    return fitWeights({ ...everything(), seed: 7 + rank }).then(({ hash }) => ({ hash }), outcomeOf);
  },
  /** An answer of a plugin that looks at something of its process. */
  async "other answer"() {
    const clock: Plugin = {
      name: "clock",
      options: {},
      apply: ({ hooks }) => void hooks.shouldStop.tap(() => (rank === 1 ? "it is late" : undefined)),
    };
    return fitWeights(everything(clock)).then(({ hash }) => ({ hash }), outcomeOf);
  },
  /** A learning rate that follows from what a plugin sees in its process. */
  async "other weights"() {
    const odd: Plugin = {
      name: "odd",
      options: {},
      apply: ({ hooks }) => void hooks.resolveLearningRate.tap((rate) => (rank === 1 ? rate * 1.1 : rate)),
    };
    return fitWeights(everything(odd)).then(({ hash }) => ({ hash }), outcomeOf);
  },
  /** Every state of a run in this process, and what resuming from each ends with. */
  async resumes() {
    const places: Checkpoint[] = [];
    const { hash } = await fitWeights(everything(), {
      onResumePoint: (snapshot) => void places.push(structuredClone(toCheckpoint(snapshot, 0))),
    });
    const states = places.map(({ tensors, meta }) => {
      const digest = createHash("sha256");
      for (const { data } of tensors.values())
        digest.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      return [digest.digest("hex"), (meta as { plugins: unknown }).plugins];
    });
    const ends = new Set<string>();
    const every = Number(process.env.EVERY ?? 1);
    for (const place of places.filter((_, at) => at % every === 0)) {
      ends.add((await fitWeights(everything(), { from: () => fromCheckpoint(structuredClone(place)) })).hash);
    }
    return { hash, states, ends: [...ends] };
  },
  /** Each plugin alone; those that need a file of their own are left out. */
  async plugins() {
    const options: Record<string, object> = {
      swa: { start: 0.5 },
      lookahead: { every: 2 },
      whitening: { layer: "stem" },
    };
    const needFiles = ["data-parallel", "distill", "finetune"];
    const hashes: Record<string, string> = {};
    for (const [name, make] of Object.entries(plugins).filter(([each]) => !needFiles.includes(each))) {
      const plugin = (make as (options?: object) => Part<Plugin>)(options[name]);
      hashes[name] = (await fitWeights(microConfig({ plugins: [group, plugin], holdout: 0.25 }))).hash;
    }
    return { hashes };
  },
  ports: async () => ({ listening: listening() }),
  /** Sums of a length, with the threads and megabytes of the process on the way. */
  async soak() {
    const trainer = new Trainer(everything());
    await trainer.prepare(undefined, trainer.group);
    const values = Float32Array.from({ length: 20_000 }, stream(1, "soak", rank).normal);
    const seen: object[] = [];
    const sums = Number(process.env.SUMS ?? 20_000);
    for (let n = 0; n <= sums; n++) {
      tf.tidy(() => void trainer.group.sum(tf.tensor1d(values)).dataSync());
      if (n % (sums / 4) !== 0) continue;
      const threads = Number(/Threads:\s*(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))![1]);
      seen.push({ threads, megabytes: process.memoryUsage.rss() / 1e6, tensors: tf.memory().numTensors });
    }
    return { seen };
  },
};

for (const name of process.argv.slice(2)) {
  const result = await scenarios[name]!();
  process.stdout.write(`${JSON.stringify({ name, ...result })}\n`);
}
process.exit(0);
