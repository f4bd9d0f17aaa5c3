/** Recipes: typed functions from a few options to a config. */
import type { TrainerConfig } from "../core/index.js";
import { cifar100Augmented } from "./cifar100-augmented.js";
import { cifar100Baseline } from "./cifar100-baseline.js";
import { cifar100Fast } from "./cifar100-fast.js";
import { cifar100FastDeep } from "./cifar100-fast-deep.js";
import { cifar100FastWide } from "./cifar100-fast-wide.js";
import { cifar100Native } from "./cifar100-native.js";
import { cifar100Small } from "./cifar100-small.js";
import { cifar100SmallMobile } from "./cifar100-small-mobile.js";
import { cifar100Strong, type StrongOptions } from "./cifar100-strong.js";
import { figures } from "./figures.js";
import { type FromScratchOptions, fromScratch } from "./from-scratch.js";
import type { PresetOptions } from "./preset.js";
import { quickstart } from "./quickstart.js";
import { type TransferOptions, transfer } from "./transfer.js";

export {
  cifar100Augmented,
  cifar100Baseline,
  cifar100Fast,
  cifar100FastDeep,
  cifar100FastWide,
  cifar100Native,
  cifar100Small,
  cifar100SmallMobile,
  cifar100Strong,
  type FromScratchOptions,
  fromScratch,
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
    summary: figures["quickstart"].task,
    create: quickstart,
  },
  "cifar100-small": {
    summary: figures["cifar100-small"].task,
    create: cifar100Small,
  },
  "cifar100-fast": {
    summary: figures["cifar100-fast"].task,
    create: cifar100Fast,
  },
  "cifar100-fast-wide": {
    summary: figures["cifar100-fast-wide"].task,
    create: cifar100FastWide,
  },
  "cifar100-fast-deep": {
    summary: figures["cifar100-fast-deep"].task,
    create: cifar100FastDeep,
  },
  "cifar100-small-mobile": {
    summary: figures["cifar100-small-mobile"].task,
    create: cifar100SmallMobile,
  },
  "cifar100-baseline": {
    summary: figures["cifar100-baseline"].task,
    create: cifar100Baseline,
  },
  "cifar100-native": {
    summary: figures["cifar100-native"].task,
    create: cifar100Native,
  },
  "cifar100-strong": {
    summary: figures["cifar100-strong"].task,
    create: cifar100Strong,
  },
  "cifar100-augmented": {
    summary: figures["cifar100-augmented"].task,
    create: cifar100Augmented,
  },
  transfer: {
    summary: figures["transfer"].task,
    create: transfer,
  },
  "from-scratch": {
    summary: figures["from-scratch"].task,
    create: fromScratch,
  },
} as const satisfies Record<string, Preset>;
