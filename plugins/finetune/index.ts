/** Fine-tuning: starts a run with the weights of a file instead of random ones. */
import { z } from "zod";
import { type CommonWeights, commonWeights, definePlugin, readWeights, TrainerError } from "../../core/index.js";

const options = z.strictObject({
  path: z.string().describe("safetensors file with PyTorch's names and layouts, from PyTorch or from a run"),
  head: z.array(z.string()).optional().describe("parts that may start new; default: the model's last stage"),
  newHead: z.boolean().default(false).describe("start with a new head even where the shapes match"),
  partial: z.boolean().default(false).describe("allow parts outside the head that only the file or the model has"),
});

const partOf = (name: string, parts: readonly string[]): boolean => parts.some((part) => name.startsWith(`${part}.`));

const shortList = (names: readonly string[]): string =>
  names.length > 5 ? `${names.slice(0, 5).join(", ")} and ${names.length - 5} more` : names.join(", ");

export interface Choice {
  /** Top-level parts that may begin new. */
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

export const finetune = definePlugin({
  name: "finetune",
  summary: "Starts with the weights of a file instead of random ones",
  options,
  apply({ path, newHead, partial, ...given }, { hooks, events }) {
    let loaded = false;
    // Early: plugins that read the first weights, such as averages, see these.
    hooks.onFitStart.tap({ stage: "early" }, async (run) => {
      // A resumed run has its own. Its steps do not tell: inside the first accumulation window there is none yet, and
      // running statistics have moved.
      if (loaded) return;
      const found = commonWeights(await readWeights(path), run.model.layer, path);
      try {
        const head = given.head ?? run.model.stages.at(-1)!;
        const backbone = run.model.stages.flat().filter((part) => !head.includes(part));
        const taken = chooseWeights(found, { head, backbone, newHead, partial }, path);
        run.replaceWeights(new Map(taken.map((name) => [name, found.weights.get(name)!.clone()])));
        const left = [...run.weights().keys()].filter((name) => !taken.includes(name));
        const how = [
          ...(found.prefix === "" ? [] : [`without the prefix "${found.prefix}"`]),
          ...(found.convertedFrom.length === 0 ? [] : [`${found.convertedFrom.join(" and ")} converted to float32`]),
        ];
        const message =
          `finetune: ${taken.length} of ${run.weights().size} weights are from ${path}` +
          `${how.length > 0 ? ` (${how.join(", ")})` : ""}. ` +
          `New: ${left.join(", ") || "none"}. Not used: ${found.unexpected.join(", ") || "none"}.`;
        events.emit("warning", { message });
        loaded = true;
      } finally {
        for (const value of found.weights.values()) value.dispose();
      }
    });
    return {
      save: () => ({ values: { loaded } }),
      load: ({ values }) => void ({ loaded } = values as { loaded: boolean }),
    };
  },
});
