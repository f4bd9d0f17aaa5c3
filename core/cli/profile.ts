/** `trainer profile`: where the time of a step goes, from a few steps of a run that is then forgotten. */
import type { Command } from "commander";
import type { Backend } from "../backend/index.js";
import { meterNative, type NativeCall } from "../backend/meter.js";
import { TrainerError } from "../errors.js";
import { Trainer } from "../loop/trainer.js";
import { toJson } from "../run/json.js";
import { addRunOptions, configFrom, whole, type RunOptions } from "./options.js";
import { percent, table, tell, tellWarnings } from "./terminal.js";

interface ProfileOptions extends RunOptions {
  steps: number;
  operations: number;
}

export function addProfile(program: Command): void {
  addRunOptions(program.command("profile"))
    .description("where the time of a step goes: native operations, plugins, and the rest")
    .option("--steps <n>", "optimizer steps to look at, after two that are not", whole(1), 10)
    .option("--operations <n>", "how many operations to list", whole(1), 15)
    .addHelpText(
      "after",
      `
Steps are timed from one to the next, the loader's part included. On TensorFlow the calls into the native library
are timed one by one, by operation; on wasm there is no such border, and only plugins and the rest are told apart.
Nothing is written.

Example:
  trainer profile --preset cifar100-small --data cifar-100-binary.tar.gz`,
    )
    .action(profile);
}

/** Steps that a process needs to warm up: allocators, caches, compiled JavaScript. */
const warmUp = 2;

interface Profile {
  backend: string;
  threads: number;
  steps: number;
  pictures: number;
  millisecondsPerStep: number;
  imagesPerSecond: number;
  /** Bytes: the process's, and tf.js' tensors'. */
  memory: { resident: number; heap: number };
  native?: { millisecondsPerStep: number; operations: (NativeCall & { name: string })[] };
  plugins: Record<string, number>;
  /** Milliseconds a step outside native calls; on wasm, outside plugins. */
  rest: number;
}

async function profile({ steps, operations, ...options }: ProfileOptions): Promise<void> {
  const { config } = await configFrom(options);
  const trainer = new Trainer({ ...config, maxSteps: undefined, evaluateEvery: Number.MAX_SAFE_INTEGER });
  const stop = new AbortController();
  const looked = { steps: 0, pictures: 0, milliseconds: 0 };
  let meter: ReturnType<typeof meterNative>;
  let before = new Map<string, number>(); // plugin -> milliseconds by the end of the warm-up
  let since = 0;
  let total = 0;
  if (!options.quiet) tellWarnings(trainer.events);
  trainer.events.on("fit:start", ({ totalSteps }) => (total = totalSteps));
  trainer.events.on("step", ({ step, samples }) => {
    const now = performance.now();
    if (step > warmUp) {
      looked.steps++;
      looked.pictures += samples;
      looked.milliseconds += now - since;
    } else if (step === warmUp) {
      meter = meterNative();
      before = pluginMilliseconds(trainer);
    }
    since = performance.now();
    if (step >= warmUp + steps) stop.abort("profiled"); // nothing is evaluated
  });
  trainer.events.on("epoch:start", () => (since = performance.now())); // what lies between epochs is no step
  let after = new Map<string, number>();
  let backend!: Backend;
  const hooks = trainer.hooks.for("profile", false);
  hooks.onFitStart.tap((run) => void ({ backend } = run));
  hooks.onStep.tap({ stage: "last" }, () => void (after = pluginMilliseconds(trainer)));
  try {
    await trainer.fit({ signal: stop.signal, log: options.quiet ? undefined : tell });
  } finally {
    meter?.stop();
  }
  if (looked.steps === 0) {
    throw new TrainerError("ERR_OPTION", `The run has ${total} steps, and a profile needs more than ${warmUp}: give --epochs.`);
  }
  const native = meter && { millisecondsPerStep: meter.milliseconds() / looked.steps, operations: meter.calls(looked.steps) };
  const plugins = Object.fromEntries(
    [...after].flatMap(([name, milliseconds]): [string, number][] => {
      const spent = (milliseconds - (before.get(name) ?? 0)) / looked.steps;
      return name === "profile" || spent === 0 ? [] : [[name, spent]];
    }),
  );
  const each = looked.milliseconds / looked.steps;
  const { rss, heapUsed } = process.memoryUsage();
  const found: Profile = {
    backend: `${backend.name} ${backend.version}`,
    threads: backend.threads,
    steps: looked.steps,
    pictures: looked.pictures,
    millisecondsPerStep: each,
    imagesPerSecond: (1000 * looked.pictures) / looked.milliseconds,
    memory: { resident: rss, heap: heapUsed },
    native,
    plugins,
    rest: each - (native?.millisecondsPerStep ?? Object.values(plugins).reduce((sum, spent) => sum + spent, 0)),
  };
  process.stdout.write(`${options.json ? toJson(found) : described(found, operations)}\n`);
}

/** Of every plugin in all of its taps so far. */
function pluginMilliseconds(trainer: Trainer): Map<string, number> {
  return new Map(
    [...trainer.hooks.costs()].map(([plugin, hooks]) => [
      plugin,
      [...hooks.values()].reduce((sum, { milliseconds }) => sum + milliseconds, 0),
    ]),
  );
}

function described(found: Profile, most: number): string {
  const { native, plugins, millisecondsPerStep: each } = found;
  const row = (name: string, milliseconds: number, ...more: string[]): string[] => [
    name,
    milliseconds.toFixed(2),
    percent(milliseconds / each),
    ...more,
  ];
  const listed = native?.operations.slice(0, most) ?? [];
  const others = native?.operations.slice(most) ?? [];
  const lines = [
    `${found.backend} on ${found.threads} threads: ${each.toFixed(1)} ms a step of ` +
      `${Math.round(found.pictures / found.steps)} pictures, ${Math.round(found.imagesPerSecond)} images/s, over ${found.steps} steps`,
    `memory: ${(found.memory.resident / 1e9).toFixed(2)} GB of the process, ${(found.memory.heap / 1e6).toFixed(0)} MB of JavaScript's heap`,
    "",
    table([
      ["", "ms a step", "share", "calls"],
      ...(native
        ? [
            row("native calls", native.millisecondsPerStep, String(native.operations.reduce((sum, { calls }) => sum + calls, 0).toFixed(0))),
            row("outside them", found.rest),
          ]
        : [row("outside plugins", found.rest, "")]),
      ...listed.map(({ name, calls, milliseconds }) => row(`  ${name}`, milliseconds, calls.toFixed(0))),
      ...(others.length > 0
        ? [
            row(
              `  ${others.length} more`,
              others.reduce((sum, { milliseconds }) => sum + milliseconds, 0),
              others.reduce((sum, { calls }) => sum + calls, 0).toFixed(0),
            ),
          ]
        : []),
    ]),
  ];
  const taps = Object.entries(plugins).sort(([, a], [, b]) => b - a);
  if (taps.length > 0) {
    lines.push("", table([["plugin, its native calls included", "ms a step", "share"], ...taps.map(([name, spent]) => row(name, spent))]));
  }
  return lines.join("\n");
}
