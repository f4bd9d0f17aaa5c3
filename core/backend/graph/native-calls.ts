/**
 * The calls of tf.js into TensorFlow's addon, as plain functions that can be replaced: the addon's own object is
 * read-only. The recorder and the timing replace them for a while.
 */
import * as tf from "@tensorflow/tfjs-core";

/** An attribute of an operation, as tfjs-node hands it over. */
export interface Attribute {
  readonly name: string;
  /** One of the addon's TF_ATTR_… */
  readonly type: number;
  readonly value: unknown;
}

/** A value of TensorFlow's as the addon describes it. `dtype` is one of TensorFlow's numbers. */
export interface OutputInfo {
  readonly id: number;
  readonly shape: number[];
  readonly dtype: number;
}

/** The functions of tfjs-node's addon that a training step uses. Ids are never used twice. */
export interface NativeCalls {
  executeOp(name: string, attributes: Attribute[], inputs: number[], outputs: number): OutputInfo[];
  createTensor(shape: number[], dtype: number, values: unknown): number;
  deleteTensor(id: number): void;
  tensorDataSync(id: number): unknown;
  loadSavedModel(folder: string, tags: string): number;
  runSavedModel(session: number, inputs: number[], inputNames: string, outputNames: string): OutputInfo[];
  deleteSavedModel(session: number): void;
}

/** TensorFlow's numbers of types and kinds of attributes, as the addon exports them. */
export type NativeConstants = Readonly<
  Record<`TF_ATTR_${"STRING" | "INT" | "FLOAT" | "BOOL" | "TYPE" | "SHAPE"}`, number> &
    Record<`TF_${"FLOAT" | "INT32" | "BOOL"}`, number>
>;

/** A copy of the addon's object whose functions can be replaced. */
export function openNativeCalls(addon: object): NativeCalls & NativeConstants {
  const entries = Object.getOwnPropertyNames(addon).map((name): [string, unknown] => {
    const value = (addon as Record<string, unknown>)[name];
    return [name, typeof value === "function" ? value.bind(addon) : value];
  });
  return Object.fromEntries(entries) as unknown as NativeCalls & NativeConstants;
}

/** The native calls of tf.js' current backend; undefined on a backend without an addon. */
export function currentNativeCalls(): (NativeCalls & NativeConstants) | undefined {
  return (tf.backend() as unknown as { native?: NativeCalls & NativeConstants }).native;
}
