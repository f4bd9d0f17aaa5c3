/** Recipes: typed functions from a few options to a config. */
import type { TrainerConfig } from "../core/index.js";
import { cifar100Baseline } from "./cifar100-baseline.js";
import { cifar100Small } from "./cifar100-small.js";
import type { PresetOptions } from "./preset.js";
import { quickstart } from "./quickstart.js";

export { cifar100Baseline, cifar100Small, quickstart, type PresetOptions };

export interface Preset {
  /** One line for `trainer presets`. */
  summary: string;
  create(options?: PresetOptions): TrainerConfig;
}

/** Preset name -> recipe. */
export const presets = {
  quickstart: {
    summary: "drawn shapes and a tiny ResNet: a whole run in a minute, no file needed",
    create: quickstart,
  },
  "cifar100-small": {
    summary: "CIFAR-100, ResNet-18 of a quarter width: half an hour on two cores",
    create: cifar100Small,
  },
  "cifar100-baseline": {
    summary: "CIFAR-100, ResNet-18 with the usual recipe, 200 epochs: hours on a GPU, days on a CPU",
    create: cifar100Baseline,
  },
} as const satisfies Record<string, Preset>;
