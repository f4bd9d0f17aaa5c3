/** The option `pretrained` of a network: weights of a model repository to start with. */
import { z } from "zod";
import { TrainerError } from "../errors.js";
import type { ModelSource } from "../nn/model.js";
import { parseRepository } from "../pretrained/repository-name.js";

function problemOf(name: string): string | undefined {
  try {
    parseRepository(name);
    return undefined;
  } catch (error) {
    if (error instanceof TrainerError) return error.message;
    throw error;
  }
}

export const pretrainedOption = z
  .string()
  .superRefine((name, context) => {
    const message = problemOf(name);
    if (message !== undefined) context.addIssue({ code: "custom", message });
  })
  .optional()
  .describe('weights to start with, of the Hugging Face Hub: "owner/name" or "owner/name@revision"');

/** How a network starts with these weights; nothing where it starts with random ones. */
export function startingWith(pretrained: string | undefined): Pick<ModelSource, "firstWeights"> {
  if (pretrained === undefined) return {};
  return {
    async firstWeights(model, { data, log }) {
      // Loaded here: a network that is only used has no need of the code that downloads.
      const [{ openWeights }, { firstWeights }, { normalisationNote }] = await Promise.all([
        import("../pretrained/open.js"),
        import("../pretrained/choose.js"),
        import("../pretrained/preprocessing.js"),
      ]);
      const { bytes, where, config } = await openWeights(`hf:${pretrained.replace(/^hf:/, "")}`, { log });
      // A classifier of as many classes, but of others, means nothing here.
      const newHead = config?.classes !== undefined && String(config.classes) !== String(data.classes);
      const found = firstWeights(bytes, model, { where, newHead });
      const warning = normalisationNote(config, data);
      if (warning === undefined) return found;
      return { ...found, event: "warning", message: `${found.message} ${warning}` };
    },
  };
}
