/** Every plugin, by its factory's name and, for records and the command line, by its own. */
import { cosine } from "./cosine/index.js";
import { cosineRestarts } from "./cosine-restarts/index.js";
import { dropout } from "./dropout/index.js";
import { earlyStopping } from "./early-stopping/index.js";
import { gradientAccumulation } from "./gradient-accumulation/index.js";
import { gradientClipping } from "./gradient-clipping/index.js";
import { l2 } from "./l2/index.js";
import { labelSmoothing } from "./label-smoothing/index.js";
import { multiStep } from "./multi-step/index.js";
import { oneCycle } from "./one-cycle/index.js";
import { randomCropFlip } from "./random-crop-flip/index.js";
import { squeezeExcite } from "./squeeze-excite/index.js";
import { warmup } from "./warmup/index.js";

export {
  cosine,
  cosineRestarts,
  dropout,
  earlyStopping,
  gradientAccumulation,
  gradientClipping,
  l2,
  labelSmoothing,
  multiStep,
  oneCycle,
  randomCropFlip,
  squeezeExcite,
  warmup,
};

/** Plugin name -> factory. */
export const plugins = {
  cosine,
  "cosine-restarts": cosineRestarts,
  dropout,
  "early-stopping": earlyStopping,
  "gradient-accumulation": gradientAccumulation,
  "gradient-clipping": gradientClipping,
  l2,
  "label-smoothing": labelSmoothing,
  "multi-step": multiStep,
  "one-cycle": oneCycle,
  "random-crop-flip": randomCropFlip,
  "squeeze-excite": squeezeExcite,
  warmup,
} as const;
