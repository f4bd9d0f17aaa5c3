/** A model as a run with one plugin builds it. */

import type { Model, ModelSource, Plugin } from "../../core/index.js";
import { mountPlugin } from "../../core/testing/index.js";

export function buildModel(source: ModelSource, plugin?: Plugin): Model {
  const identityPlugin: Plugin = { name: "none", options: {}, apply: () => undefined };
  const { call } = mountPlugin(plugin ?? identityPlugin);
  return source.build({ classes: 100, buildBlock: call.buildBlock, buildHead: call.buildHead });
}
