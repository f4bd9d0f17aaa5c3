/** The package entry `fitloop/models`. */
export { modelByName, models, type ModelName } from "./by-name.js";
export { efficientNetB0, type EfficientNetOptions } from "./efficientnet.js";
export { resnet9, type ResNet9Options } from "./resnet9.js";
export { resnet101, resnet18, resnet34, resnet50, type ResNetOptions } from "./resnet.js";
export { wrn, type WideResNetOptions } from "./wide-resnet.js";
