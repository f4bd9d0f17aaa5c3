/** `trainer profile`: times a few training steps and lists where the time goes. Writes no run. */

import { rmSync, writeFileSync } from "node:fs";
import type { Command } from "commander";
import type { Backend } from "../core/backend/index.js";
import { type CallSpan, type NativeCall, timeNativeCalls } from "../core/backend/native-timing.js";
import type { TrainerConfig } from "../core/config/config.js";
import { TrainerError } from "../core/errors.js";
import { percent } from "../core/format.js";
import { Trainer } from "../core/loop/trainer.js";
import { toJson } from "../run/json.js";
import { writing } from "../run/output.js";
import { openTrainedNetwork } from "../run/trained-network.js";
import { addRunOptions, configFrom, type RunOptions, whole } from "./options.js";
import { print, table, tell, tellWarnings } from "./terminal.js";

interface ProfileOptions extends RunOptions {
  steps: number;
  operations: number;
  trace?: string;
}

export function addProfile(program: Command): void {
  addRunOptions(program.command("profile"))
    .description("time training steps: native operations, plugins, and the rest")
    .summary("find out where the time of a step goes")
    .option("--steps <n>", "optimizer steps to time, after four to warm up", whole(1), 10)
    .option("--operations <n>", "number of operations to list", whole(1), 15)
    .option("--trace <file>", "write a trace of every call, for Perfetto or chrome://tracing")
    .addHelpText(
      "after",
      `
The time of a step includes the loader. On TensorFlow every call into the native
library is timed. A graph can only be timed as a whole, so a run with graphs is
timed a second time without them. On wasm only plugins are timed separately.
The command writes no file but the trace.

Example:
  trainer profile --preset cifar100-small --data cifar-100-binary.tar.gz`,
    )
    .action(profile);
}

/** Warm-up of allocators, caches and compiled JavaScript, and of graphs, which are recorded twice. */
const warmUp = 4;

/** All milliseconds are per step. */
interface Measured {
  steps: number;
  images: number;
  millisecondsPerStep: number;
  imagesPerSecond: number;
  native?: { millisecondsPerStep: number; operations: (NativeCall & { name: string })[] };
  plugins: Record<string, number>;
  /** Outside native calls; on wasm, outside plugins. */
  rest: number;
}

interface Profile extends Measured {
  backend: string;
  threads: number;
  precision: string;
  /** Bytes of the process, and of JavaScript's heap. */
  memory: { resident: number; heap: number };
  /** The same steps without graphs, where the run uses graphs: only a graph's total can be timed. */
  single?: Measured;
}

async function profile({ steps, operations, trace: file, ...options }: ProfileOptions): Promise<void> {
  const { config } = await configFrom(options);
  const trace = file === undefined ? undefined : createTrace();
  // Reserves the file before minutes are spent.
  if (file !== undefined) writing(file, () => writeFileSync(file, "", { flag: "wx" }), "--trace");
  try {
    const found = await profileOf(config, { steps, quiet: options.quiet }, trace);
    if (file !== undefined) writeFileSync(file, JSON.stringify({ traceEvents: trace!.events, displayTimeUnit: "ms" }));
    print(options.json ? toJson(found) : described(found, operations));
  } catch (error) {
    if (file !== undefined) rmSync(file, { force: true });
    throw error;
  }
}

async function profileOf(
  config: TrainerConfig,
  timed: { steps: number; quiet?: boolean },
  trace?: ReturnType<typeof createTrace>,
): Promise<Profile> {
  const { backend, ...measured } = await measure(config, { ...timed, trace: trace?.process("as it runs") });
  const { rss, heapUsed } = process.memoryUsage();
  const graphs = measured.native?.operations.some(({ name }) => name.startsWith("graphs"));
  const single = graphs
    ? await measure({ ...config, capture: false }, { ...timed, trace: trace?.process("without graphs") })
    : undefined;
  return {
    ...measured,
    backend: `${backend.name} ${backend.version}`,
    threads: backend.threads,
    precision: config.precision ?? "float32",
    memory: { resident: rss, heap: heapUsed },
    single: single && withoutBackend(single),
  };
}

async function measure(
  config: TrainerConfig,
  { steps, quiet, trace }: { steps: number; quiet?: boolean; trace?: Span },
): Promise<Measured & { backend: Backend }> {
  const { epochs = steps } = config;
  const trainer = new Trainer({
    ...config,
    epochs,
    maxTime: undefined,
    maxSteps: undefined,
    evaluateEvery: Number.MAX_SAFE_INTEGER,
  });
  const stop = new AbortController();
  const seen = { steps: 0, images: 0, milliseconds: 0 };
  let timing: ReturnType<typeof timeNativeCalls>;
  let before = new Map<string, number>(); // plugin -> milliseconds by the end of the warm-up
  let since = 0;
  let total = 0;
  if (!quiet) tellWarnings(trainer.events);
  trainer.events.on("fit:start", ({ totalSteps }) => (total = totalSteps));
  trainer.events.on("step", ({ step, samples }) => {
    const now = performance.now();
    if (step > warmUp) {
      seen.steps++;
      seen.images += samples;
      seen.milliseconds += now - since;
      timing?.commit();
      trace?.("steps", { name: `step ${step}`, start: since, milliseconds: now - since });
    } else if (step === warmUp) {
      timing = timeNativeCalls(trace && ((calls) => calls.forEach((call) => trace("TensorFlow", call))));
      before = pluginMilliseconds(trainer);
    }
    since = performance.now();
    if (step >= warmUp + steps) stop.abort("profiled"); // nothing is evaluated
  });
  trainer.events.on("epoch:start", () => {
    since = performance.now(); // the time between epochs belongs to no step
    timing?.discard();
  });
  let after = new Map<string, number>();
  let backend!: Backend;
  const hooks = trainer.hooks.for("profile", false);
  hooks.onFitStart.tap((run) => void ({ backend } = run));
  hooks.onStep.tap({ stage: "last" }, () => void (after = pluginMilliseconds(trainer)));
  try {
    await trainer.fit({ signal: stop.signal, log: quiet ? undefined : tell, openNetwork: openTrainedNetwork });
  } finally {
    timing?.discard();
    timing?.stop();
  }
  if (seen.steps === 0) {
    throw new TrainerError(
      "ERR_OPTION",
      `The run has ${total} steps, but a profile needs more than ${warmUp}. Raise --epochs.`,
    );
  }
  const native = timing && {
    millisecondsPerStep: timing.milliseconds() / seen.steps,
    operations: timing.calls(seen.steps),
  };
  const plugins = Object.fromEntries(
    [...after].flatMap(([name, milliseconds]): [string, number][] => {
      const spent = (milliseconds - (before.get(name) ?? 0)) / seen.steps;
      return name === "profile" || spent === 0 ? [] : [[name, spent]];
    }),
  );
  const each = seen.milliseconds / seen.steps;
  return {
    backend,
    steps: seen.steps,
    images: seen.images,
    millisecondsPerStep: each,
    imagesPerSecond: (1000 * seen.images) / seen.milliseconds,
    native,
    plugins,
    rest: each - (native?.millisecondsPerStep ?? Object.values(plugins).reduce((sum, spent) => sum + spent, 0)),
  };
}

const withoutBackend = ({ backend: _, ...measured }: Measured & { backend: Backend }): Measured => measured;

/** Adds a span of time to a line of the trace. */
type Span = (line: string, span: CallSpan) => void;

/** Events in the trace format of Chrome and Perfetto; times in microseconds. */
function createTrace(): { process(name: string): Span; events: object[] } {
  const events: object[] = [];
  let processes = 0;
  return {
    events,
    process(name) {
      const pid = ++processes;
      const lines: string[] = [];
      events.push({ ph: "M", pid, name: "process_name", args: { name } });
      return (line, { name: span, start, milliseconds }) => {
        if (!lines.includes(line)) {
          lines.push(line);
          events.push({ ph: "M", pid, tid: lines.length, name: "thread_name", args: { name: line } });
        }
        events.push({
          ph: "X",
          pid,
          tid: 1 + lines.indexOf(line),
          name: span,
          ts: 1000 * start,
          dur: 1000 * milliseconds,
        });
      };
    },
  };
}

/** Milliseconds of each plugin in all of its taps so far. */
function pluginMilliseconds(trainer: Trainer): Map<string, number> {
  return new Map(
    [...trainer.hooks.costs()].map(([plugin, hooks]) => [
      plugin,
      [...hooks.values()].reduce((sum, { milliseconds }) => sum + milliseconds, 0),
    ]),
  );
}

function described(found: Profile, most: number): string {
  const { plugins, single, millisecondsPerStep: each } = found;
  const lines = [
    `${found.backend} on ${found.threads} threads, ${found.precision}: ${each.toFixed(1)} ms per step of ` +
      `${Math.round(found.images / found.steps)} images, ${Math.round(found.imagesPerSecond)} images/s, over ${found.steps} steps`,
    `memory: ${(found.memory.resident / 1e9).toFixed(2)} GB in the process, ${(found.memory.heap / 1e6).toFixed(0)} MB in JavaScript's heap`,
    "",
    operationTable(found, most),
  ];
  if (single)
    lines.push(
      "",
      `without graphs (--no-capture): ${single.millisecondsPerStep.toFixed(1)} ms per step`,
      "",
      operationTable(single, most),
    );
  const taps = Object.entries(plugins).sort(([, a], [, b]) => b - a);
  if (taps.length > 0) {
    const rows = taps.map(([name, spent]) => row(name, spent, each));
    lines.push("", table([["plugin, with its native calls", "ms/step", "share"], ...rows]));
  }
  return lines.join("\n");
}

const row = (name: string, milliseconds: number, each: number, ...more: string[]): string[] => [
  name,
  milliseconds.toFixed(2),
  percent(milliseconds / each),
  ...more,
];

function operationTable({ native, rest, millisecondsPerStep: each }: Measured, most: number): string {
  const listed = native?.operations.slice(0, most) ?? [];
  const others = native?.operations.slice(most) ?? [];
  const sum = (key: "calls" | "milliseconds", of: readonly NativeCall[]): number =>
    of.reduce((total, call) => total + call[key], 0);
  return table([
    ["", "ms/step", "share", "calls"],
    ...(native
      ? [
          row("native calls", native.millisecondsPerStep, each, sum("calls", native.operations).toFixed(0)),
          row("outside native calls", rest, each),
        ]
      : [row("outside plugins", rest, each, "")]),
    ...listed.map(({ name, calls, milliseconds }) => row(`  ${name}`, milliseconds, each, calls.toFixed(0))),
    ...(others.length > 0
      ? [row(`  ${others.length} more`, sum("milliseconds", others), each, sum("calls", others).toFixed(0))]
      : []),
  ]);
}
