/** The package entry `fitloop/models`. */
export { type AirbenchOptions, airbench } from "./airbench.js";
export { type ModelName, modelByName, models } from "./by-name.js";
export {
  type EfficientNetLiteOptions,
  type EfficientNetOptions,
  efficientNetB0,
  efficientNetLite0,
  efficientNetLite1,
  efficientNetLite2,
} from "./efficientnet.js";
export { type ResNetOptions, resnet18, resnet34, resnet50, resnet101 } from "./resnet.js";
export { type ResNet9Options, resnet9 } from "./resnet9.js";
export { type WideResNetOptions, wrn } from "./wide-resnet.js";
