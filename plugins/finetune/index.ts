/** Fine-tuning: starts a run with the weights of a file instead of random ones. */
import { z } from "zod";
import { definePlugin, firstWeights, isRepository, normalisationNote, openWeights } from "../../core/index.js";

const options = z.strictObject({
  path: z
    .string()
    .describe('safetensors file with PyTorch\'s names, from PyTorch or a run; or "hf:owner/name[@revision]"'),
  head: z.array(z.string()).optional().describe("parts that may start new; default: the model's last stage"),
  newHead: z.boolean().default(false).describe("start with a new head even where the shapes match"),
  partial: z.boolean().default(false).describe("allow parts outside the head that only the file or the model has"),
});

export const finetune = definePlugin({
  name: "finetune",
  summary: "Starts with the weights of a file instead of random ones",
  options,
  async checkFiles({ path }) {
    if (!isRepository(path)) await openWeights(path); // those of a repository would be downloaded
  },
  apply({ path, ...choice }, { hooks, events }) {
    let loaded = false;
    // Early: plugins that read the first weights, such as averages, see these.
    hooks.onFitStart.tap({ stage: "early" }, async (run) => {
      // A resumed run has its own. Its steps do not tell: inside the first accumulation window there is none yet, and
      // running statistics have moved.
      if (loaded) return;
      const { bytes, where, config } = await openWeights(path);
      const { weights, message, event } = firstWeights(bytes, run.model, { ...choice, where });
      run.replaceWeights(weights);
      events.emit(event, { message: `finetune: ${message}` });
      const note = normalisationNote(config, run.data);
      if (note !== undefined) events.emit("warning", { message: `finetune: ${note}` });
      loaded = true;
    });
    return {
      save: () => ({ values: { loaded } }),
      load: ({ values }) => void ({ loaded } = values as { loaded: boolean }),
    };
  },
});
