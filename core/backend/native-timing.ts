/** Times the calls into TensorFlow, one by one. Costs about a microsecond a call, of about 1,500 a training step. */
import { currentNativeCalls } from "./graph/native-calls.js";

export interface NativeCall {
  /** A step. */
  readonly calls: number;
  readonly milliseconds: number;
}

export interface NativeTiming {
  /** Since the beginning or the last `reset`. */
  milliseconds(): number;
  /** By operation, the most expensive first; divided by `steps`. */
  calls(steps: number): (NativeCall & { readonly name: string })[];
  reset(): void;
  /** Forgets the calls since the last `commit`, such as those between two epochs. */
  discard(): void;
  commit(): void;
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

/** @returns undefined on a backend without native calls */
export function timeNativeCalls(onCommit: (calls: readonly CallSpan[]) => void = () => {}): NativeTiming | undefined {
  const native = currentNativeCalls() as unknown as Record<string, unknown> | undefined;
  if (!native) return undefined;
  const before = { ...native };
  const found = new Map<string, { calls: number; milliseconds: number }>();
  let since: CallSpan[] = []; // the last `commit`
  const commit = (): void => {
    for (const { name, milliseconds } of since) {
      const entry = found.get(name) ?? { calls: 0, milliseconds: 0 };
      entry.calls++;
      entry.milliseconds += milliseconds;
      found.set(name, entry);
    }
    onCommit(since);
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
    if (typeof value === "function") native[name] = timed(name, value as (...args: unknown[]) => unknown);
  }
  return {
    milliseconds: () => [...found.values(), ...since].reduce((sum, { milliseconds }) => sum + milliseconds, 0),
    calls(steps) {
      commit();
      return [...found]
        .map(([name, { calls, milliseconds }]) => ({ name, calls: calls / steps, milliseconds: milliseconds / steps }))
        .sort((a, b) => b.milliseconds - a.milliseconds);
    },
    reset() {
      found.clear();
      since = [];
    },
    discard: () => void (since = []),
    commit,
    stop: () => void Object.assign(native, before),
  };
}
