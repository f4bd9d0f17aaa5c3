/** Times the calls into TensorFlow, one by one. Costs about a microsecond a call, of about 1,500 a training step. */
import { currentBorder } from "./graph/native-calls.js";

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
  /** Takes back the calls since the last `keep`, such as those between two epochs. */
  drop(): void;
  keep(): void;
  /** Leaves the backend as it was. */
  stop(): void;
}

/** Functions of the addon that say little by their names. */
const shown: Readonly<Record<string, string>> = {
  runSavedModel: "graphs (forward and backward pass, optimizer's step)",
  tensorDataSync: "reading values back",
  createTensor: "uploading values",
  deleteTensor: "freeing tensors",
};

/** One call, in milliseconds of `performance.now()`. */
export interface CallSpan {
  readonly name: string;
  readonly start: number;
  readonly milliseconds: number;
}

/** @returns undefined on a backend that has no such border */
export function meterNative(onKept: (calls: readonly CallSpan[]) => void = () => {}): NativeMeter | undefined {
  const border = currentBorder() as unknown as Record<string, unknown> | undefined;
  if (!border) return undefined;
  const before = { ...border };
  const found = new Map<string, { calls: number; milliseconds: number }>();
  let since: CallSpan[] = []; // the last `keep`
  const keep = (): void => {
    for (const { name, milliseconds } of since) {
      const entry = found.get(name) ?? { calls: 0, milliseconds: 0 };
      entry.calls++;
      entry.milliseconds += milliseconds;
      found.set(name, entry);
    }
    onKept(since);
    since = [];
  };
  const timed =
    (name: string, call: (...args: unknown[]) => unknown) =>
    (...args: unknown[]): unknown => {
      const start = performance.now();
      try {
        return call(...args);
      } finally {
        const own = name === "executeOp" ? String(args[0]) : (shown[name] ?? name);
        since.push({ name: own, start, milliseconds: performance.now() - start });
      }
    };
  for (const [name, value] of Object.entries(before)) {
    if (typeof value === "function") border[name] = timed(name, value as (...args: unknown[]) => unknown);
  }
  return {
    milliseconds: () => [...found.values(), ...since].reduce((sum, { milliseconds }) => sum + milliseconds, 0),
    calls(steps) {
      keep();
      return [...found]
        .map(([name, { calls, milliseconds }]) => ({ name, calls: calls / steps, milliseconds: milliseconds / steps }))
        .sort((a, b) => b.milliseconds - a.milliseconds);
    },
    reset() {
      found.clear();
      since = [];
    },
    drop: () => void (since = []),
    keep,
    stop: () => void Object.assign(border, before),
  };
}
