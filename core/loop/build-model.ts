/** A config's network as its plugins make it. */
import type { ResolvedConfig } from "../config/config.js";
import type { Model, NetworkInfo } from "../nn/model.js";
import type { HookCalls } from "./hook-set.js";

/** In float32; `inPrecision` comes after it. */
export function buildModel(
  { model }: Pick<ResolvedConfig, "model">,
  hooks: Pick<HookCalls, "buildBlock" | "buildHead" | "buildNetwork">,
  info: NetworkInfo,
): Model {
  const built = model.build({
    ...info,
    buildBlock: (branch, block) => hooks.buildBlock(branch, block),
    buildHead: (head, features) => hooks.buildHead(head, features),
  });
  return { ...built, layer: hooks.buildNetwork(built.layer, info) };
}
