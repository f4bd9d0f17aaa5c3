/** Pretrained weights by a name or a path, as bytes. */
import { readWeights } from "../nn/read-weights.js";
import { type PretrainedConfig, readPretrainedConfig } from "./preprocessing.js";
import { type RepositoryOptions, repositoryFiles } from "./repository.js";
import { parseRepository, repositoryText } from "./repository-name.js";

/** What `--weights` and the option `path` of `finetune` name: "hf:owner/name[@revision]", or a file. */
export const isRepository = (source: string): boolean => source.startsWith("hf:");

export interface OpenedWeights {
  readonly bytes: Uint8Array;
  /** For messages: the repository's name, or the path. */
  readonly where: string;
  /** Of a repository with a `config.json`. */
  readonly config?: PretrainedConfig;
}

/**
 * Reads a weights file, or downloads it from its repository the first time.
 *
 * @throws TrainerError ERR_WEIGHTS, ERR_DOWNLOAD
 */
export async function openWeights(source: string, options: RepositoryOptions = {}): Promise<OpenedWeights> {
  if (!isRepository(source)) return { bytes: await readWeights(source), where: source };
  const repository = parseRepository(source);
  const { weights, config } = await repositoryFiles(repository, options);
  return {
    bytes: await readWeights(weights),
    where: repositoryText(repository),
    ...(config !== undefined && { config: readPretrainedConfig(config) }),
  };
}
