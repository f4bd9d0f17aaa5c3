/** Which of a file's weights a network starts with: all of its backbone, and the head as a whole or not at all. */
import { TrainerError } from "../errors.js";
import type { Weights } from "../nn/layer.js";
import type { Model } from "../nn/model.js";
import { type CommonWeights, commonWeights } from "../nn/weights-file.js";

const partOf = (name: string, parts: readonly string[]): boolean => parts.some((part) => name.startsWith(`${part}.`));

const shortList = (names: readonly string[]): string =>
  names.length > 5 ? `${names.slice(0, 5).join(", ")} and ${names.length - 5} more` : names.join(", ");

export interface Choice {
  /** Top-level parts that may start new. */
  readonly head: readonly string[];
  /** The other parts of the model, which must come from the file. */
  readonly backbone: readonly string[];
  readonly newHead: boolean;
  readonly partial: boolean;
}

/**
 * Which weights of a file a model takes: all of its backbone, and the head as a whole or not at all, since a kernel and
 * a bias belong together.
 *
 * @throws TrainerError ERR_WEIGHTS for another network: a shape outside of the head differs, or (unless `partial`) the
 *   backbones of file and model have different names
 */
export function chooseWeights(
  { weights, different, missing, unexpected }: Omit<CommonWeights, "prefix" | "convertedFrom">,
  { head, backbone, newHead, partial }: Choice,
  path: string,
): string[] {
  const outside = (names: readonly string[]): string[] => names.filter((name) => !partOf(name, head));
  const roots = backbone.map((part) => part.split(".")[0]!);
  const others = outside(different);
  const lacking = partial ? [] : outside(missing);
  const extra = partial ? [] : outside(unexpected).filter((name) => partOf(name, roots));
  const found = [
    ...(others.length > 0 ? [`has other shapes or types for ${shortList(others)}`] : []),
    ...(lacking.length > 0 ? [`lacks ${shortList(lacking)}`] : []),
    ...(extra.length > 0 ? [`has ${shortList(extra)}, which the model lacks`] : []),
  ];
  if (found.length > 0) {
    const todo = partial ? "" : ', or allow parts that only one of them has with "partial: true"';
    throw new TrainerError(
      "ERR_WEIGHTS",
      `${path} has the weights of another network: it ${found.join("; it ")}. Only the head (${head.join(", ")}) may ` +
        `differ. Give the weights of this network${todo}.`,
    );
  }
  const fresh = newHead || [...different, ...missing].some((name) => partOf(name, head));
  const taken = [...weights.keys()].filter((name) => !fresh || !partOf(name, head));
  if (taken.length > 0) return taken;
  throw new TrainerError(
    "ERR_WEIGHTS",
    `${path} has no weight of this network: expected names like ${shortList([...missing])}; ` +
      `got ${shortList([...unexpected])}.`,
  );
}

export interface FirstWeightsOptions {
  /** Default: the model's last stage. */
  readonly head?: readonly string[];
  readonly newHead?: boolean;
  readonly partial?: boolean;
  /** Whose bytes these are, for messages. */
  readonly where: string;
}

/**
 * The weights that a network takes from a safetensors file, and one sentence for each group of names: taken, new, not used.
 * The weights are the caller's. `event` is "note" where only the head starts new, and "warning" where other layers do, or
 * where the file has others.
 *
 * @throws TrainerError ERR_WEIGHTS for a damaged file, or one of another network
 */
export function firstWeights(
  bytes: Uint8Array,
  model: Pick<Model, "layer" | "stages">,
  { head = model.stages.at(-1)!, newHead = false, partial = false, where }: FirstWeightsOptions,
): { weights: Weights; message: string; event: "note" | "warning" } {
  const found = commonWeights(bytes, model.layer, where);
  const weights: Weights = new Map();
  try {
    const backbone = model.stages.flat().filter((part) => !head.includes(part));
    const taken = chooseWeights(found, { head, backbone, newHead, partial }, where);
    for (const name of taken) weights.set(name, found.weights.get(name)!.clone());
    const all = [...found.weights.keys(), ...found.different, ...found.missing];
    const isNew = (name: string): boolean => !weights.has(name);
    const inFile = [...found.weights.keys(), ...found.different].filter(isNew);
    const how = [
      ...(found.prefix === "" ? [] : [`without the prefix "${found.prefix}"`]),
      ...(found.convertedFrom.length === 0 ? [] : [`${found.convertedFrom.join(" and ")} converted to float32`]),
    ];
    const [fresh, unused] = [all.filter(isNew), [...found.unexpected, ...inFile]];
    const message =
      `${taken.length} of ${all.length} weights are from ${where}${how.length > 0 ? ` (${how.join(", ")})` : ""}. ` +
      `New: ${shortList(fresh) || "none"}. Not used: ${shortList(unused) || "none"}.`;
    const onlyHead = [...fresh, ...unused].every((name) => partOf(name, head));
    return { weights, message, event: onlyHead ? "note" : "warning" };
  } finally {
    for (const value of found.weights.values()) value.dispose();
  }
}
