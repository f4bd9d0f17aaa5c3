/** How a model repository is named, and where its files belong. */
import { join } from "node:path";
import { cacheRoot } from "../cache.js";
import { TrainerError } from "../errors.js";

export interface Repository {
  readonly owner: string;
  readonly name: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
}

export const weightsName = "model.safetensors";
export const configName = "config.json";

/**
 * "owner/name", "owner/name@revision", both also after "hf:".
 *
 * @throws TrainerError ERR_OPTION for another form
 */
export function parseRepository(text: string): Repository {
  const parts = /^(?:hf:)?([\w.-]+)\/([\w.-]+)(?:@([\w.-]+))?$/.exec(text);
  const [, owner, name, revision = "main"] = parts ?? [];
  if (owner === undefined || name === undefined || [owner, name, revision].some((part) => /^\.+$/.test(part))) {
    throw new TrainerError(
      "ERR_OPTION",
      'expected "owner/name" or "owner/name@revision" of a model repository, such as ' +
        `"timm/tf_efficientnet_lite0.in1k", got "${text}"`,
    );
  }
  return { owner, name, revision };
}

/** As a message names it: without the revision where that is the usual one. */
export const repositoryText = ({ owner, name, revision }: Repository): string =>
  `${owner}/${name}${revision === "main" ? "" : `@${revision}`}`;

/** Where the files of a repository belong. */
export const repositoryFolder = ({ owner, name, revision }: Repository): string =>
  join(cacheRoot(), "weights", owner, name, revision);
