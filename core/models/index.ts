/** The package entry `fitloop/models`. */
export { type AirbenchOptions, airbench } from "./airbench.js";
export { type ModelName, modelByName, models } from "./by-name.js";
export {
  type EfficientNetOptions,
  efficientNetB0,
  efficientNetLite0,
  efficientNetLite1,
  efficientNetLite2,
} from "./efficientnet.js";
export { type MobileNetV3Options, mobileNetV3Large, mobileNetV3Small } from "./mobilenet.js";
export { type ResNetOptions, resnet18, resnet34, resnet50, resnet101 } from "./resnet.js";
export { type ResNet9Options, resnet9 } from "./resnet9.js";
export { type WideResNetOptions, wrn } from "./wide-resnet.js";
