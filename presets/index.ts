/** Recipes: typed functions from a few options to a config. */
import type { TrainerConfig } from "../core/index.js";
import { cifar100Augmented } from "./cifar100-augmented.js";
import { cifar100Baseline } from "./cifar100-baseline.js";
import { cifar100Native } from "./cifar100-native.js";
import { cifar100Small } from "./cifar100-small.js";
import { cifar100Strong, type StrongOptions } from "./cifar100-strong.js";
import type { PresetOptions } from "./preset.js";
import { quickstart } from "./quickstart.js";
import { type TransferOptions, transfer } from "./transfer.js";

export {
  cifar100Augmented,
  cifar100Baseline,
  cifar100Native,
  cifar100Small,
  cifar100Strong,
  type PresetOptions,
  quickstart,
  type StrongOptions,
  type TransferOptions,
  transfer,
};

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
    summary: "CIFAR-100, ResNet-18 of a quarter width: twenty minutes on two cores",
    create: cifar100Small,
  },
  "cifar100-baseline": {
    summary: "CIFAR-100, ResNet-18 with the usual recipe, 200 epochs: hours on a GPU, days on a CPU",
    create: cifar100Baseline,
  },
  "cifar100-native": {
    summary: "CIFAR-100 at its own 32 px, SE-ResNet-50 with every strong trick: days on a GPU",
    create: cifar100Native,
  },
  "cifar100-strong": {
    summary: "the same tricks at 224 px, as a tutorial published them: three times the cost",
    create: cifar100Strong,
  },
  "cifar100-augmented": {
    summary: "cifar100-strong with turns, zoom and colours in AutoAugment's place",
    create: cifar100Augmented,
  },
  transfer: {
    summary: "your own pictures on a pretrained ResNet-50, unfrozen stage by stage: needs --data and --weights",
    create: transfer,
  },
} as const satisfies Record<string, Preset>;
