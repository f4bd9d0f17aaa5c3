/** `trainer fit`, the default: trains and keeps the run. */
import type { Command } from "commander";
import type { Emitter } from "mitt";
import { exitCodes } from "../errors.js";
import type { Events } from "../loop/events.js";
import { Trainer } from "../loop/trainer.js";
import { fitEndRecord } from "../loop/summary.js";
import { createRunFolder } from "../run/folder.js";
import { toJson } from "../run/json.js";
import { runRecord } from "../run/record.js";
import { addRunOptions, configFrom, whole, type RunOptions } from "./options.js";
import { formatResults, showProgress } from "./progress.js";
import { tell, tellWarnings } from "./terminal.js";

interface FitOptions extends RunOptions {
  out?: string;
  logEvery: number;
}

export function addFit(program: Command): void {
  addRunOptions(program.command("fit", { isDefault: true }))
    .description("train a model (the default command)")
    .option("--out <dir>", "the run's own folder; default runs/<name>-<number>")
    .option("--log-every <steps>", "keep every so many steps in metrics.jsonl", whole(1), 1)
    .addHelpText(
      "after",
      `
Examples:
  trainer --preset quickstart                      a whole run in a minute, no data needed
  trainer --preset cifar100-small --data cifar-100-binary.tar.gz
  trainer --preset cifar100-small --data … --without label-smoothing --seed 2
  trainer                                          runs the trainer.config.ts of this project

The run's folder holds config.resolved.json, metrics.jsonl, summary.json and weights.safetensors (PyTorch's
names and layouts). Ctrl-C stops after the step under way and keeps the weights; twice stops at once.

Exit codes: 0 done, 2 usage or config, 65 bad data, 70 a plugin failed, 73 no output folder, 74 I/O,
76 diverged, 130 and 143 interrupted.`,
    )
    .action(fit);
}

async function fit(options: FitOptions): Promise<void> {
  const config = await configFrom(options);
  const trainer = new Trainer(config, [runRecord({ logEvery: options.logEvery })]);
  const folder = createRunFolder({ out: options.out, name: trainer.config.name });
  if (options.json) {
    trainer.events.on("*", (event, value) => process.stdout.write(`${toJson({ event, ...value })}\n`));
  }
  // Quiet is not silent: what was skipped or replaced is said all the same.
  if (options.quiet) tellWarnings(trainer.events);
  else showProgress(trainer.events);
  const interrupt = listenForSignals(trainer.events, () => folder.removeIfEmpty());
  try {
    const log = options.quiet ? undefined : tell;
    const summary = fitEndRecord(await trainer.fit({ signal: interrupt.signal, folder: folder.path, log }));
    if (!options.json) process.stdout.write(`${formatResults(summary, folder.path)}\n`);
    if (interrupt.exitCode !== undefined) process.exitCode = interrupt.exitCode;
  } finally {
    interrupt.stop();
    folder.removeIfEmpty();
  }
}

interface Interrupt {
  readonly signal: AbortSignal;
  /** Of the signal that came, if one did. */
  readonly exitCode: number | undefined;
  stop(): void;
}

/**
 * SIGINT and SIGTERM stop the run after the step under way. A second one leaves at once, and so does the
 * first while data and backend are still loading: there is nothing to keep yet.
 */
function listenForSignals(events: Emitter<Events>, tidyUp: () => void): Interrupt {
  const controller = new AbortController();
  let exitCode: number | undefined;
  let training = false;
  events.on("fit:start", () => (training = true));
  const codes = { SIGINT: exitCodes.sigint, SIGTERM: exitCodes.sigterm } as const;
  const handlers = Object.entries(codes).map(([name, code]) => {
    const handler = (): void => {
      if (exitCode !== undefined || !training) {
        tidyUp();
        process.exit(exitCode ?? code);
      }
      exitCode = code;
      tell(`\n${name}: stopping after this step; once more to leave at once`);
      controller.abort(name);
    };
    process.on(name, handler);
    return { name, handler };
  });
  return {
    signal: controller.signal,
    get exitCode() {
      return exitCode;
    },
    stop: () => handlers.forEach(({ name, handler }) => process.off(name, handler)),
  };
}
