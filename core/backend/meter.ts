/** Times the calls into TensorFlow, one by one. Costs about a microsecond a call, of about 1,500 a training step. */
import { currentBorder } from "./border.js";

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

/** @returns undefined on a backend that has no such border */
export function meterNative(): NativeMeter | undefined {
  const border = currentBorder() as unknown as Record<string, unknown> | undefined;
  if (!border) return undefined;
  const before = { ...border };
  const found = new Map<string, { calls: number; milliseconds: number }>();
  const timed = (name: string, call: (...args: unknown[]) => unknown) =>
    (...args: unknown[]): unknown => {
      const start = performance.now();
      try {
        return call(...args);
      } finally {
        const own = name === "executeOp" ? String(args[0]) : name;
        const entry = found.get(own) ?? { calls: 0, milliseconds: 0 };
        entry.calls++;
        entry.milliseconds += performance.now() - start;
        found.set(own, entry);
      }
    };
  for (const [name, value] of Object.entries(before)) {
    if (typeof value === "function") border[name] = timed(name, value as (...args: unknown[]) => unknown);
  }
  return {
    milliseconds: () => [...found.values()].reduce((sum, { milliseconds }) => sum + milliseconds, 0),
    calls: (steps) =>
      [...found]
        .map(([name, { calls, milliseconds }]) => ({ name, calls: calls / steps, milliseconds: milliseconds / steps }))
        .sort((a, b) => b.milliseconds - a.milliseconds),
    reset: () => found.clear(),
    stop: () => void Object.assign(border, before),
  };
}
