/** A model as a run with one plugin builds it. */

import type { Model, ModelSource, Plugin } from "../../core/index.js";
import { type Given, makePart } from "../../core/parts.js";
import { mountPlugin } from "../../core/testing/index.js";

export function buildModel(source: Given<ModelSource>, plugin?: Given<Plugin>): Model {
  const identityPlugin: Plugin = { name: "none", options: {}, apply: () => undefined };
  const { call } = mountPlugin(plugin ?? identityPlugin);
  return makePart(source).build({
    inputSize: 32,
    classes: 100,
    buildBlock: call.buildBlock,
    buildHead: call.buildHead,
  });
}
