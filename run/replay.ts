/** Looking into one step of a run: what each tap made of what it was given, and how large each gradient was. */

import * as tf from "@tensorflow/tfjs-core";
import { percent, short } from "../core/format.js";
import type { HookName, HookSignatures, Hooks, TapOptions } from "../core/loop/hooks.js";
import type { Plugin } from "../core/loop/plugin.js";
import type { Batch, Gradients } from "../core/loop/types.js";

/** Hooks of a step whose value a tap may change, in the order in which they fire. */
const watched = ["beforeBatch", "afterLoss", "afterBackward", "resolveLearningRate", "beforeStep"] as const;
type Watched = (typeof watched)[number];

/** What one tap did in one micro-batch. */
export interface TapChange {
  readonly microBatch: number;
  readonly hook: Watched;
  readonly plugin: string;
  /** In words, with figures; "nothing" where the value came back as it went in. */
  readonly change: string;
}

export interface Replayed {
  /** Every tap of the micro-batches looked at. */
  readonly changes: readonly TapChange[];
  /** Parameter -> norm of the gradient that the optimizer used. */
  readonly gradientNorms: ReadonlyMap<string, number>;
}

/**
 * The plugins of a run, each watched at its taps in the step after `done` others, and one more that reads the gradients at
 * last. `forget` clears what was seen: the step is made again.
 */
export function watchedPlugins(
  plugins: readonly Plugin[],
  done: number,
): { plugins: Plugin[]; probe: Plugin; replayed: Replayed; forget(): void } {
  const changes: TapChange[] = [];
  const gradientNorms = new Map<string, number>();
  let microBatch = 0; // the rate is asked for with a run's progress, which counts none: that of the step under way
  const watch = (plugin: Plugin): Plugin => ({
    ...plugin,
    apply: (context) =>
      plugin.apply({
        ...context,
        hooks: watchedHooks(context.hooks, (hook, before, after, at) => {
          microBatch = at.microBatch ?? microBatch;
          if (at.step !== done) return;
          changes.push({ microBatch, hook, plugin: plugin.name, change: tf.tidy(() => describe(hook, before, after)) });
        }),
      }),
  });
  const probe: Plugin = {
    name: "replay-probe",
    options: {},
    apply({ hooks }) {
      hooks.beforeStep.tap({ stage: "last" }, (gradients, { step }) => {
        if (step === done) for (const [name, gradient] of gradients) gradientNorms.set(name, norm(gradient));
        return gradients;
      });
    },
  };
  const forget = (): void => {
    changes.length = 0;
    gradientNorms.clear();
  };
  return { plugins: plugins.map(watch), probe, replayed: { changes, gradientNorms }, forget };
}

/** `at` is the hook's second argument: a step, or a run's progress. */
type Seen = (hook: Watched, before: unknown, after: unknown, at: { step: number; microBatch?: number }) => void;

function watchedHooks(hooks: Hooks, seen: Seen): Hooks {
  const wrapped = (hook: HookName, handler: (...args: unknown[]) => unknown) => {
    if (!(watched as readonly string[]).includes(hook)) return handler;
    return (...args: unknown[]): unknown => {
      const after = handler(...args);
      seen(hook as Watched, args[0], after, args[1] as Parameters<Seen>[3]);
      return after;
    };
  };
  // Not around `hooks` itself, which is frozen: a proxy must show what a frozen thing holds.
  return new Proxy({} as Hooks, {
    get(_, name: HookName) {
      const { tap } = hooks[name] as { tap: (...args: unknown[]) => void };
      return {
        tap(...args: [TapOptions, HookSignatures[HookName]] | [HookSignatures[HookName]]): void {
          const handler = args.at(-1) as (...args: unknown[]) => unknown;
          tap(...args.slice(0, -1), typeof handler === "function" ? wrapped(name, handler) : handler);
        },
      };
    },
  });
}

function describe(hook: Watched, before: unknown, after: unknown): string {
  if (hook === "beforeBatch") return batchChange(before as Batch, after as Batch);
  if (hook === "afterLoss") return numberChange("loss", scalar(before), scalar(after));
  if (hook === "resolveLearningRate") return numberChange("rate", before as number, after as number);
  return gradientChange(before as Gradients, after as Gradients);
}

const scalar = (value: unknown): number => ((value as tf.Tensor).dataSync() as Float32Array)[0]!;
const norm = (tensor: tf.Tensor): number => tf.tidy(() => scalar(tf.norm(tf.cast(tensor, "float32"))));

function numberChange(what: string, before: number, after: number): string {
  return Object.is(before, after) ? "nothing" : `${what} ${short(before, 6)} -> ${short(after, 6)}`;
}

function batchChange(before: Batch, after: Batch): string {
  const parts = [
    tensorChange("images", before.images, after.images),
    tensorChange("targets", before.targets, after.targets),
  ].filter((part) => part !== undefined);
  return parts.join("; ") || "nothing";
}

function tensorChange(what: string, before: tf.Tensor, after: tf.Tensor): string | undefined {
  if (before === after) return undefined;
  if (String(before.shape) !== String(after.shape)) return `${what} [${before.shape}] -> [${after.shape}]`;
  const [from, to] = [before.dataSync(), after.dataSync()] as [Float32Array, Float32Array];
  const changed = to.reduce((count, value, at) => count + Number(!Object.is(value, from[at])), 0);
  if (changed === 0) return undefined;
  const distance = to.reduce((sum, value, at) => sum + Math.abs(value - from[at]!), 0) / to.length;
  return `${percent(changed / to.length)} of the ${what} changed, by ${short(distance, 6)} on average`;
}

function gradientChange(before: Gradients, after: Gradients): string {
  const whole = (gradients: Gradients): number => Math.hypot(...[...gradients.values()].map(norm));
  const changed = [...after].filter(([name, gradient]) => {
    const was = before.get(name)!;
    return was !== gradient && tensorChange("", was, gradient) !== undefined;
  });
  if (changed.length === 0) return "nothing";
  return `${changed.length} of ${after.size} gradients changed; norm of all ${short(whole(before), 6)} -> ${short(whole(after), 6)}`;
}
