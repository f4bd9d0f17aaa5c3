/**
 * Training in several processes beside one with as many threads, and beside PyTorch's DistributedDataParallel with gloo, on the
 * same network and batch, taking turns.
 *
 *   npm run bench -- parallel --python PATH [--network resnet18-16|resnet18-64] [--batch 128] [--processes 2] [--rounds 3]
 *                             [--steps 8]
 *
 * PATH is a Python with PyTorch; bench/parallel.py is run by it. The batch is that of all processes together. Efficiency is the
 * images/s of N processes with one thread each over those of one process with N threads. The time of a sum has the
 * waiting for the other processes in it. Run it on idle cores: each process waits for the scheduler in every step.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { median } from "./common/intervals.js";
import { oneOf, whole } from "./common/options.js";

const { values } = parseArgs({
  options: {
    python: { type: "string", default: "python3" },
    network: { type: "string", default: "resnet18-16" },
    batch: { type: "string", default: "128" },
    processes: { type: "string", default: "2" },
    rounds: { type: "string", default: "3" },
    steps: { type: "string", default: "8" },
    rank: { type: "boolean", default: false }, // this is one of the processes
  },
});
const network = oneOf("network", values.network, ["resnet18-16", "resnet18-64"]);
const batch = whole("batch", values.batch);
const processes = whole("processes", values.processes);
const rounds = whole("rounds", values.rounds);
const steps = whole("steps", values.steps);

/** Steps before those that count: a step is recorded twice, and compared once. */
const warmUp = 4;

interface Times {
  /** Of each step. */
  readonly seconds: number[];
  /** In sums; those of PyTorch lie within its backward pass. */
  readonly summing?: number[];
}

/** One process: trains, and prints its times. */
async function train(): Promise<void> {
  const { sgd, Trainer } = await import("../core/index.js");
  const { currentNativeCalls } = await import("../core/backend/graph/native-calls.js");
  const { shapes } = await import("../core/data/index.js");
  const { resnet18 } = await import("../core/models/index.js");
  const { dataParallel, l2, labelSmoothing } = await import("../plugins/index.js");
  const times = { seconds: [] as number[], summing: [] as number[] };
  const trainer = new Trainer({
    name: "bench",
    data: shapes({ classes: 10, size: 32, train: batch * (warmUp + steps), test: 10 }),
    model: resnet18({ width: network === "resnet18-16" ? 16 : 64, stem: "cifar" }),
    optimizer: sgd({ momentum: 0.9, nesterov: true }),
    learningRate: 0.01,
    epochs: 1,
    batchSize: batch,
    holdout: 0,
    backend: "tensorflow",
    plugins: [dataParallel(), labelSmoothing(), l2({ decay: 5e-4 })],
  });
  let since = 0;
  let summing = 0;
  trainer.events.on("fit:start", () => {
    const native = currentNativeCalls()!;
    const { executeOp } = native;
    native.executeOp = (name, ...rest) => {
      const before = performance.now();
      const found = executeOp(name, ...rest);
      if (name === "CollectiveReduceV2") summing += performance.now() - before;
      return found;
    };
    since = performance.now();
  });
  trainer.events.on("step", ({ step }) => {
    if (step > warmUp) {
      times.seconds.push((performance.now() - since) / 1000);
      times.summing.push(summing / 1000);
    }
    [since, summing] = [performance.now(), 0];
  });
  await trainer.fit();
  process.stdout.write(`${JSON.stringify(times)}\n`, () => process.exit(0));
}

/** The times of rank 0 of `size` processes of `threads` threads each. */
async function timesOf(command: readonly string[], size: number, threads: number, port: number): Promise<Times> {
  const outputs = Array.from({ length: size }, (_, rank) => {
    const child = spawn(command[0]!, command.slice(1), {
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        ...process.env,
        RANK: String(rank),
        WORLD_SIZE: String(size),
        LOCAL_WORLD_SIZE: String(size),
        MASTER_ADDR: "127.0.0.1",
        MASTER_PORT: String(port),
        FITLOOP_HOSTS: Array.from({ length: size }, (_, each) => `127.0.0.1:${port + each}`).join(),
        TF_NUM_INTRAOP_THREADS: String(threads),
        OMP_NUM_THREADS: String(threads),
      },
    });
    return new Promise<string>((resolve, reject) => {
      let text = "";
      child.stdout.setEncoding("utf8").on("data", (more: string) => (text += more));
      child.on("error", reject);
      child.on("close", (code) =>
        code === 0 ? resolve(text) : reject(new Error(`${command[0]} ended with ${code}.`)),
      );
    });
  });
  const [first] = await Promise.all(outputs);
  return JSON.parse(first!.trim().split("\n").at(-1)!) as Times;
}

async function compare(): Promise<void> {
  const same = ["--network", network, "--batch", String(batch), "--steps", String(steps)];
  const ours = [process.execPath, ...process.execArgv, import.meta.filename, "--rank", ...same];
  const theirs = [values.python, join(import.meta.dirname, "parallel.py"), ...same, "--warm-up", String(warmUp)];
  const ways = [
    { name: `fitloop   1 process  × ${processes} threads`, command: ours, size: 1, threads: processes },
    { name: `fitloop   ${processes} processes × 1 thread`, command: ours, size: processes, threads: 1 },
    { name: `PyTorch   1 process  × ${processes} threads`, command: theirs, size: 1, threads: processes },
    { name: `PyTorch   ${processes} processes × 1 thread`, command: theirs, size: processes, threads: 1 },
  ];
  const found = ways.map(() => ({ seconds: [] as number[], summing: [] as number[] }));
  const efficiencies: [fitloop: number, torch: number][] = [];
  let port = 20_000 + (process.pid % 9_000);
  for (let round = 0; round < rounds; round++) {
    const rates: number[] = [];
    for (const [at, { command, size, threads }] of ways.entries()) {
      const { seconds, summing = [] } = await timesOf(command, size, threads, (port += size));
      found[at]!.seconds.push(...seconds);
      found[at]!.summing.push(...summing);
      rates.push(1 / median(seconds));
    }
    efficiencies.push([rates[1]! / rates[0]!, rates[3]! / rates[2]!]);
  }
  console.log(`${network}, batch ${batch} at 32 px, ${processes} cores: images/s (median step of ${rounds * steps})`);
  for (const [at, { name, size }] of ways.entries()) {
    const { seconds, summing } = found[at]!;
    const share =
      size > 1 && summing.length > 0 ? `   sums ${((median(summing) / median(seconds)) * 100).toFixed(1)} %` : "";
    console.log(`${name}${(batch / median(seconds)).toFixed(1).padStart(10)}${share}`);
  }
  const [fitloop, torch] = [0, 1].map((which) => efficiencies.map((pair) => pair[which]!)) as [number[], number[]];
  const shown = (list: number[]): string =>
    `${(median(list) * 100).toFixed(0)} % (rounds ${list.map((each) => (each * 100).toFixed(0)).join(" ")})`;
  console.log(`efficiency: fitloop ${shown(fitloop)}, PyTorch ${shown(torch)}`);
}

await (values.rank ? train() : compare());
