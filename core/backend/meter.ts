/** Times the calls into TensorFlow, one by one. Costs about a microsecond a call, of about 1,500 a training step. */
import * as tf from "@tensorflow/tfjs-core";

export interface NativeCall {
  /** A step. */
  readonly calls: number;
  readonly milliseconds: number;
}

export interface NativeMeter {
  /** Since the beginning or the last `reset`. */
  milliseconds(): number;
  /** By operation, the most expensive first; divided by `steps`. */
  calls(steps: number): (NativeCall & { readonly name: string })[];
  reset(): void;
  /** Leaves the backend as it was. */
  stop(): void;
}

type Binding = Record<string, unknown>;

/** @returns undefined on a backend that has no such border */
export function meterNative(): NativeMeter | undefined {
  const backend = tf.backend() as unknown as { binding?: Binding };
  const { binding } = backend;
  if (!binding) return undefined;
  const found = new Map<string, { calls: number; milliseconds: number }>();
  const timed = (name: string, call: (...args: unknown[]) => unknown) =>
    (...args: unknown[]): unknown => {
      const start = performance.now();
      try {
        return call.apply(binding, args);
      } finally {
        const own = name === "executeOp" ? String(args[0]) : name;
        const entry = found.get(own) ?? { calls: 0, milliseconds: 0 };
        entry.calls++;
        entry.milliseconds += performance.now() - start;
        found.set(own, entry);
      }
    };
  // The binding itself is read-only.
  const metered: Binding = {};
  for (const name of Object.getOwnPropertyNames(binding)) {
    const value = binding[name];
    metered[name] = typeof value === "function" ? timed(name, value as (...args: unknown[]) => unknown) : value;
  }
  backend.binding = metered;
  return {
    milliseconds: () => [...found.values()].reduce((sum, { milliseconds }) => sum + milliseconds, 0),
    calls: (steps) =>
      [...found]
        .map(([name, { calls, milliseconds }]) => ({ name, calls: calls / steps, milliseconds: milliseconds / steps }))
        .sort((a, b) => b.milliseconds - a.milliseconds),
    reset: () => found.clear(),
    stop: () => void (backend.binding = binding),
  };
}
