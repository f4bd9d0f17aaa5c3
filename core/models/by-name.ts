/** Networks by the name a record gives them, so that a run's folder alone can build its model again. */
import { TrainerError } from "../errors.js";
import type { ModelSource } from "../nn/model.js";
import { suggestion } from "../options.js";
import type { Part } from "../parts.js";
import { airbench } from "./airbench.js";
import { efficientNetB0, efficientNetLite0, efficientNetLite1, efficientNetLite2 } from "./efficientnet.js";
import { mobileNetV3Large, mobileNetV3Small } from "./mobilenet.js";
import { resnet18, resnet34, resnet50, resnet101 } from "./resnet.js";
import { resnet9 } from "./resnet9.js";
import { wrn } from "./wide-resnet.js";

/** Factories by the `name` of what they make. */
export const models = {
  airbench,
  resnet9,
  resnet18,
  resnet34,
  resnet50,
  resnet101,
  wrn,
  "efficientnet-b0": efficientNetB0,
  "efficientnet-lite0": efficientNetLite0,
  "efficientnet-lite1": efficientNetLite1,
  "efficientnet-lite2": efficientNetLite2,
  "mobilenet-v3-small": mobileNetV3Small,
  "mobilenet-v3-large": mobileNetV3Large,
} as const;

export type ModelName = keyof typeof models;

/**
 * The network a record names.
 *
 * @throws TrainerError ERR_UNKNOWN_NAME for a name not in `models`, ERR_OPTION for options it does not take
 */
export function modelByName(name: string, options: Readonly<Record<string, unknown>> = {}): Part<ModelSource> {
  if (!Object.hasOwn(models, name)) {
    const near = suggestion(name, Object.keys(models));
    throw new TrainerError("ERR_UNKNOWN_NAME", `There is no model "${name}"${near}.`);
  }
  // Each factory checks what comes against its own schema, so a record may hold anything.
  return models[name as ModelName](options as never);
}
