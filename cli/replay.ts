/** `trainer replay`: repeats one recorded step of a run from the nearest checkpoint, and shows what went on in it. */
import { join } from "node:path";
import type { Command } from "commander";
import { reasonOf, TrainerError } from "../core/errors.js";
import { imagesOf } from "../core/loop/divergence.js";
import type { Events } from "../core/loop/events.js";
import { Trainer } from "../core/loop/trainer.js";
import { makePart } from "../core/parts.js";
import { fromCheckpoint, isBetweenSteps } from "../run/checkpoint-writer.js";
import { type Checkpoint, listCheckpoints, readCheckpoint } from "../run/checkpoints.js";
import { compareData } from "../run/data-record.js";
import { lengthAt } from "../run/extension.js";
import { runFiles } from "../run/files.js";
import { toJson } from "../run/json.js";
import { readMetrics } from "../run/metrics.js";
import { configOfRun } from "../run/origin.js";
import { type Replayed, watchedPlugins } from "../run/replay.js";
import { findRun, type Resumable } from "../run/resume.js";
import { openTrainedNetwork } from "../run/trained-network.js";
import { whole } from "./options.js";
import { addConfigOption, ownConfig } from "./own-config.js";
import { print, table, tell, tellWarning, tellWarnings } from "./terminal.js";

interface ReplayOptions {
  config?: string;
  step: number;
  json?: boolean;
  allowChange: string[];
}

export function addReplay(program: Command): void {
  addConfigOption(program.command("replay <run>"))
    .summary("repeat one step and inspect it")
    .description("repeat one step of a run and show its loss, gradients and what each plugin changed")
    .requiredOption("--step <n>", "optimizer step, counted from 1", whole(1))
    .option(
      "--allow-change <key>",
      "config or data: use a changed config file, or changed images",
      (key: string, all: string[]) => [...all, key],
      [],
    )
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
Repeats the run from the nearest checkpoint before the step, or from the start,
and writes nothing. Use it to find out why a step diverged. It shows the taps of
beforeBatch, afterLoss, afterBackward, resolveLearningRate and beforeStep.

Example:
  trainer replay runs/quickstart-1 --step 100`,
    )
    .action(replay);
}

type Figures = Pick<Events["step"], "step" | "loss" | "learningRate" | "gradientNorm">;

async function replay(path: string, { step, json, allowChange, config: file }: ReplayOptions): Promise<void> {
  const run = findRun(path, {})!;
  const made = await configOfRun(run, { own: await ownConfig(run.folder, file), allowChange });
  const { epochs = made.epochs, since } = lengthAt(run.record, step); // a run may have been extended since
  const config = { ...made, epochs };
  if (config.maxTime !== undefined) {
    const text = `The schedule of ${run.folder} followed measured time (maxTime), so its steps cannot be repeated.`;
    throw new TrainerError("ERR_OPTION", text);
  }
  const checkpoint = checkpointBefore(run, step, since);
  const metrics = readMetrics(join(run.folder, runFiles.metrics));
  if (metrics.problem !== undefined) tellWarning(metrics.problem);
  const recorded = metrics.lines.find((line) => line.event === "step" && line.step === step) as Figures | undefined;

  const { plugins, probe, replayed, forget } = watchedPlugins((config.plugins ?? []).map(makePart), step - 1);
  // Operation by operation: the watched taps read values back, and a graph could not. The bits are the same.
  const trainer = new Trainer({ ...config, plugins, capture: false, maxSteps: undefined }, [probe]);
  const goesBack = typeof trainer.config.onDivergence === "object" && "rollback" in trainer.config.onDivergence;
  const stop = new AbortController();
  let figures: Figures | undefined;
  let diverged: Events["diverged"] | undefined;
  tellWarnings(trainer.events);
  trainer.events.on("fit:start", ({ totalSteps }) => {
    if (step > totalSteps) stop.abort("no such step");
  });
  trainer.events.on("diverged", (event) => {
    if (event.step + 1 === step || !goesBack) {
      diverged = event;
      stop.abort("replayed");
    } else {
      figures = undefined; // the run goes back, and may make the step again
      forget();
    }
  });
  trainer.events.on("step", (event) => {
    if (event.step !== step || diverged) return;
    figures = event;
    // Of a step that was made twice the metrics hold the second one.
    if (goesBack && recorded && !Object.is(recorded.loss, event.loss)) return;
    stop.abort("replayed"); // nothing is evaluated: the test set is read by the run alone
  });
  const steps = step - (checkpoint?.step ?? 0);
  tell(`from ${checkpoint?.path ?? "the beginning"}: ${steps} ${steps === 1 ? "step" : "steps"}`);
  try {
    await trainer.fit({
      signal: stop.signal,
      checkData: (data) => compareData({ record: run.record, allowed: allowChange }, data, tellWarning),
      openNetwork: openTrainedNetwork,
      from: checkpoint && (() => fromCheckpoint(checkpoint)),
    });
  } catch (error) {
    if (!diverged) throw error;
  }
  if (!figures && !diverged) {
    throw new TrainerError("ERR_OPTION", `The run in ${run.folder} has no step ${step}.`);
  }
  const found: Found = { figures, diverged, recorded };
  const text = json ? toJson(asJson(step, replayed, found), 2) : describe(step, replayed, found);
  print(text);
}

/** The checkpoint that was named; else the newest whole one from which all of the step's micro-batches are still to come. */
function checkpointBefore(
  { folder, checkpoint: named }: Resumable,
  step: number,
  since: number,
): (Checkpoint & { path: string }) | undefined {
  const changed = `the length of the run was changed after step ${since}, and earlier steps had another schedule`;
  if (named !== undefined) {
    const checkpoint = readCheckpoint(named);
    if (checkpoint.step < since) {
      throw new TrainerError("ERR_OPTION", `${named} is of step ${checkpoint.step}: ${changed}. Name a later one.`);
    }
    if (checkpoint.step < step) return { ...checkpoint, path: named };
    throw new TrainerError(
      "ERR_OPTION",
      `${named} is of step ${checkpoint.step}, after step ${step}. Name an earlier one.`,
    );
  }
  const earlier = listCheckpoints(join(folder, runFiles.checkpoints)).filter(
    (each) => each.step >= since && each.step < step && isBetweenSteps(each),
  );
  for (const { path } of earlier.reverse()) {
    try {
      return { ...readCheckpoint(path), path };
    } catch (error) {
      tell(`${path} is passed over: ${reasonOf(error)}`);
    }
  }
  if (since > 0) {
    const text = `Step ${step} cannot be repeated: ${changed}. There is no checkpoint from step ${since} to step ${step - 1}.`;
    throw new TrainerError("ERR_OPTION", text);
  }
  return undefined;
}

interface Found {
  figures?: Figures;
  diverged?: Events["diverged"];
  recorded?: Figures;
}

function asJson(step: number, { changes, gradientNorms }: Replayed, found: Found): object {
  return { step, ...found, gradientNorms: Object.fromEntries(gradientNorms), changes };
}

function describe(step: number, { changes, gradientNorms }: Replayed, { figures, diverged, recorded }: Found): string {
  const lines = [`step ${step}`, ""];
  if (figures) {
    const names = ["loss", "learningRate", "gradientNorm"] as const;
    const rows = names.map((name) => [
      name,
      String(figures[name]),
      recorded ? String(recorded[name]) : "not recorded",
      recorded && (Object.is(recorded[name], figures[name]) ? "the same" : "differs"),
    ]);
    lines.push(table([["", "replayed", "recorded", ""], ...rows.map((row) => row.map((cell) => cell ?? ""))], "  "));
  }
  if (diverged) {
    const { what, value, first } = diverged;
    lines.push(
      `  diverged: the ${what} is ${value}${first === undefined ? "" : `; first not finite: ${first}`}`,
      `  images of the micro-batch, with their indices in the training data: ${imagesOf(diverged)}`,
    );
  }
  lines.push("", "what each tap changed", "");
  const rows = changes.map(({ microBatch, hook, plugin, change }) => [`  ${hook}`, plugin, `${microBatch}`, change]);
  lines.push(columnsOf([["  hook", "plugin", "micro-batch", "change"], ...rows]));
  if (gradientNorms.size > 0) {
    lines.push("", "norm of each gradient that the optimizer used", "");
    lines.push(columnsOf([...gradientNorms].map(([name, norm]) => [`  ${name}`, String(Number(norm.toPrecision(6)))])));
  }
  return lines.join("\n");
}

/** Rows of text, every column left-aligned. */
function columnsOf(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
