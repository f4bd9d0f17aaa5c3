/** Fine-tuning: starts a run with the weights of a file instead of random ones. */
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { type CommonWeights, commonWeights, definePlugin, TrainerError } from "../../core/index.js";

const options = z.strictObject({
  path: z.string().describe("safetensors file with PyTorch's names and layouts, from PyTorch or from a run"),
  head: z
    .array(z.string())
    .optional()
    .describe("parts that may stay new where shapes differ; default: the model's last stage"),
  newHead: z.boolean().default(false).describe("start with a new head even where the shapes match"),
});

const partOf = (name: string, parts: readonly string[]): boolean => parts.some((part) => name.startsWith(`${part}.`));

/**
 * Which weights of a file a model takes: those of its own names and shapes, and of the head none where one of
 * its shapes differs, since a kernel and a bias belong together.
 *
 * @throws TrainerError ERR_WEIGHTS if nothing fits, or a shape outside of the head differs
 */
export function chooseWeights(
  { weights, different }: Pick<CommonWeights, "weights" | "different">,
  head: readonly string[],
  newHead: boolean,
  path: string,
): string[] {
  const wrong = different.filter((name) => !partOf(name, head));
  if (wrong.length > 0) {
    const text = `${path} is of another network: shapes or types of ${wrong.slice(0, 5).join(", ")} differ.`;
    throw new TrainerError("ERR_WEIGHTS", `${text} Only the head (${head.join(", ")}) may; "head" names it.`);
  }
  const fresh = newHead || different.length > 0;
  const taken = [...weights.keys()].filter((name) => !fresh || !partOf(name, head));
  if (taken.length > 0) return taken;
  throw new TrainerError("ERR_WEIGHTS", `No weight of ${path} has a name of the model's. Is it of this network?`);
}

export const finetune = definePlugin({
  name: "finetune",
  summary: "Starts with the weights of a file instead of random ones",
  options,
  apply({ path, newHead, ...given }, { hooks, events }) {
    let loaded = false;
    // Early: whatever looks at the first weights, as an average does, sees these.
    hooks.onFitStart.tap({ stage: "early" }, async (run) => {
      // A resumed run has its own. Its steps do not tell: inside the first accumulation window there is none yet, and
      // running statistics have moved.
      if (loaded) return;
      const bytes = await readFile(path).catch((cause: unknown) => {
        throw new TrainerError("ERR_WEIGHTS", `${path} cannot be read: ${(cause as Error).message}`, {
          cause,
        });
      });
      const found = commonWeights(bytes, run.model.layer, path);
      try {
        const head = given.head ?? run.model.stages.at(-1)!;
        const taken = chooseWeights(found, head, newHead, path);
        run.replaceWeights(new Map(taken.map((name) => [name, found.weights.get(name)!.clone()])));
        const left = [...run.weights().keys()].filter((name) => !taken.includes(name));
        const message =
          `finetune: ${taken.length} of ${run.weights().size} weights are from ${path}. ` +
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
