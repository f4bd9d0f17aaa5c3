/**
 * The processes that train one model together. Each has the whole model and a share of every batch; what they sum is the same
 * in all of them, and so is every decision that follows from sums.
 */
import { createHash } from "node:crypto";
import * as tf from "@tensorflow/tfjs-core";
import type { Backend } from "../backend/index.js";
import { TrainerError } from "../errors.js";

export interface Group {
  /** Of this process, from 0. Rank 0 writes the run's folder. */
  readonly rank: number;
  readonly size: number;
  /**
   * Called once, when the backend is loaded and before the first sum: waits for the other processes.
   *
   * @returns what a reader should know of the group, in one line
   * @throws TrainerError ERR_PEER where one does not come, ERR_BACKEND where this one cannot take part
   */
  start(backend: Backend): Promise<string | undefined>;
  /**
   * The sum of `values` over all processes, the same bits in each. All must call it, in the same order and with as many values.
   * Blocks until all did. Inside a tidy.
   *
   * @throws TrainerError ERR_PEER where a process was lost
   */
  sum(values: tf.Tensor1D): tf.Tensor1D;
}

/** A process that trains alone. */
export const alone: Group = { rank: 0, size: 1, start: async () => undefined, sum: (values) => values };

/** The rows [from, to) of n that a rank takes: as equal as can be, in the order of the ranks. */
export const rowsOf = (n: number, { rank, size }: Pick<Group, "rank" | "size">): [from: number, to: number] => [
  Math.floor((rank * n) / size),
  Math.floor(((rank + 1) * n) / size),
];

/** The numbers of every process, by rank: whole numbers below 2^24, as many in each. */
function gather({ rank, size, sum }: Group, values: readonly number[]): number[][] {
  const slots = new Float32Array(size * values.length);
  slots.set(values, rank * values.length);
  const all = tf.tidy(() => sum(tf.tensor1d(slots)).dataSync());
  return Array.from({ length: size }, (_, each) => [...all.slice(each * values.length, (each + 1) * values.length)]);
}

/**
 * Compares what must be the same in all processes. Silent differences are the worst fault: such a run has no meaning.
 *
 * @param partsOf gives names such as "config" -> contents; not called in a process that trains alone
 * @throws TrainerError ERR_PEER, the same in every process
 */
export function mustAgree(group: Group, partsOf: () => Readonly<Record<string, string | Uint8Array>>): void {
  if (group.size === 1) return;
  const parts = partsOf();
  const digests = Object.values(parts).flatMap((content) => {
    const bytes = createHash("sha256").update(content).digest();
    return [bytes.readUIntBE(0, 3), bytes.readUIntBE(3, 3)];
  });
  const [first, ...others] = gather(group, digests);
  const problems = others.flatMap((found, at) => {
    const other = Object.keys(parts).filter(
      (_, part) => found[2 * part] !== first![2 * part] || found[2 * part + 1] !== first![2 * part + 1],
    );
    return other.length > 0 ? [`rank ${at + 1} has another ${other.join(" and another ")} than rank 0`] : [];
  });
  if (problems.length === 0) return;
  throw new TrainerError(
    "ERR_PEER",
    `The processes do not train the same run: ${problems.join("; ")}. ` +
      "Start all of them with the same command, files, versions and threads.",
  );
}
