/** Every plugin, by its factory's name and, for records and the command line, by its own. */
import { autoAugment } from "./auto-augment/index.js";
import { balancedSampler } from "./balanced-sampler/index.js";
import { biasLr } from "./bias-lr/index.js";
import { blur } from "./blur/index.js";
import { classWeights } from "./class-weights/index.js";
import { colorJitter } from "./color-jitter/index.js";
import { cosine } from "./cosine/index.js";
import { cosineRestarts } from "./cosine-restarts/index.js";
import { cutmix } from "./cutmix/index.js";
import { cutout } from "./cutout/index.js";
import { dataParallel } from "./data-parallel/index.js";
import { differentialLr } from "./differential-lr/index.js";
import { distill } from "./distill/index.js";
import { dropout } from "./dropout/index.js";
import { earlyStopping } from "./early-stopping/index.js";
import { ema } from "./ema/index.js";
import { finetune } from "./finetune/index.js";
import { gradCam } from "./grad-cam/index.js";
import { gradientAccumulation } from "./gradient-accumulation/index.js";
import { gradientClipping } from "./gradient-clipping/index.js";
import { grayscale } from "./grayscale/index.js";
import { l2 } from "./l2/index.js";
import { labelSmoothing } from "./label-smoothing/index.js";
import { linear } from "./linear/index.js";
import { lookahead } from "./lookahead/index.js";
import { maxNorm } from "./max-norm/index.js";
import { mixing } from "./mixing/index.js";
import { mixup } from "./mixup/index.js";
import { multiStep } from "./multi-step/index.js";
import { oneCycle } from "./one-cycle/index.js";
import { plateau } from "./plateau/index.js";
import { polynomial } from "./polynomial/index.js";
import { progressiveResizing } from "./progressive-resizing/index.js";
import { prune } from "./prune/index.js";
import { quantizeAware } from "./quantize-aware/index.js";
import { randAugment } from "./rand-augment/index.js";
import { randomAffine } from "./random-affine/index.js";
import { randomCropFlip } from "./random-crop-flip/index.js";
import { randomErasing } from "./random-erasing/index.js";
import { randomFlip } from "./random-flip/index.js";
import { randomResizedCrop } from "./random-resized-crop/index.js";
import { squeezeExcite } from "./squeeze-excite/index.js";
import { step } from "./step/index.js";
import { stochasticDepth } from "./stochastic-depth/index.js";
import { swa } from "./swa/index.js";
import { sixViews, testTimeAugmentation } from "./test-time-augmentation/index.js";
import { trapezoid } from "./trapezoid/index.js";
import { trivialAugment } from "./trivial-augment/index.js";
import { visualLog } from "./visual-log/index.js";
import { warmup } from "./warmup/index.js";
import { whitening } from "./whitening/index.js";

export {
  autoAugment,
  balancedSampler,
  biasLr,
  blur,
  classWeights,
  colorJitter,
  cosine,
  cosineRestarts,
  cutmix,
  cutout,
  dataParallel,
  differentialLr,
  distill,
  dropout,
  earlyStopping,
  ema,
  finetune,
  gradCam,
  gradientAccumulation,
  gradientClipping,
  grayscale,
  l2,
  labelSmoothing,
  linear,
  lookahead,
  maxNorm,
  mixing,
  mixup,
  multiStep,
  oneCycle,
  plateau,
  polynomial,
  progressiveResizing,
  prune,
  quantizeAware,
  randAugment,
  randomAffine,
  randomCropFlip,
  randomErasing,
  randomFlip,
  randomResizedCrop,
  sixViews,
  squeezeExcite,
  step,
  stochasticDepth,
  swa,
  testTimeAugmentation,
  trapezoid,
  trivialAugment,
  visualLog,
  warmup,
  whitening,
};

/** Plugin name -> factory. */
export const plugins = {
  "auto-augment": autoAugment,
  "balanced-sampler": balancedSampler,
  "bias-lr": biasLr,
  blur,
  "class-weights": classWeights,
  "color-jitter": colorJitter,
  cosine,
  "cosine-restarts": cosineRestarts,
  cutmix,
  cutout,
  "data-parallel": dataParallel,
  "differential-lr": differentialLr,
  distill,
  dropout,
  "early-stopping": earlyStopping,
  ema,
  finetune,
  "grad-cam": gradCam,
  "gradient-accumulation": gradientAccumulation,
  "gradient-clipping": gradientClipping,
  grayscale,
  l2,
  "label-smoothing": labelSmoothing,
  linear,
  lookahead,
  "max-norm": maxNorm,
  mixing,
  mixup,
  "multi-step": multiStep,
  "one-cycle": oneCycle,
  plateau,
  polynomial,
  "progressive-resizing": progressiveResizing,
  prune,
  "quantize-aware": quantizeAware,
  "rand-augment": randAugment,
  "random-affine": randomAffine,
  "random-crop-flip": randomCropFlip,
  "random-erasing": randomErasing,
  "random-flip": randomFlip,
  "random-resized-crop": randomResizedCrop,
  "squeeze-excite": squeezeExcite,
  step,
  "stochastic-depth": stochasticDepth,
  swa,
  "test-time-augmentation": testTimeAugmentation,
  trapezoid,
  "trivial-augment": trivialAugment,
  "visual-log": visualLog,
  warmup,
  whitening,
} as const;
