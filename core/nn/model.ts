/** What the loop needs to know of a network. Concrete networks are in core/models; a user's own can come from anywhere. */
import type { Layer, Weights } from "./layer.js";

/** A residual branch, as `buildBlock` sees it. */
export interface BlockInfo {
  /** Full name of the block: "layer3.1". */
  readonly name: string;
  /** Place among all blocks, from 0 at the input, and how many there are: what stochastic depth counts by. */
  readonly index: number;
  readonly count: number;
  /** Channels at the end of the branch. */
  readonly channels: number;
}

/** The layer between pooled features and classifier, as `buildHead` sees it. */
export interface HeadInfo {
  readonly features: number;
  readonly classes: number;
}

/** The whole network, as `buildNetwork` sees it. */
export interface NetworkInfo {
  readonly classes: number;
  /** Side of the images in pixels. */
  readonly inputSize: number;
}

/** What building a network asks of its surroundings. */
export interface BuildContext {
  readonly classes: number;
  /** Side of the images that the network gets, in pixels: some stems depend on it. */
  readonly inputSize: number;
  /** Passes a branch (after its last norm, before the add) through the plugins. */
  buildBlock(branch: Layer, block: BlockInfo): Layer;
  buildHead(head: Layer, info: HeadInfo): Layer;
}

export interface Model {
  /** [batch, height, width, 3] -> logits [batch, classes]. */
  readonly layer: Layer;
  /**
   * Names of the top-level parts from the input to the head, grouped as layer-wise rates and freezing count them:
   * [["conv1", "bn1"], ["layer1"], …, ["fc"]]. Every parameter's name starts with exactly one of them.
   */
  readonly stages: readonly (readonly string[])[];
  /** Full name of the layer whose output Grad-CAM uses by default: the last feature map before pooling. */
  readonly features: string;
}

/** A network as a config names it: plain options make it recordable. */
export interface ModelSource {
  readonly name: string;
  readonly options: Readonly<Record<string, unknown>>;
  build(context: BuildContext): Model;
  /**
   * Weights to start with instead of random ones: called where a run starts, before `onFitStart`, and not where it resumes.
   *
   * @param model what `build` gave, in the run's precision
   * @returns weights by name, which are the caller's, and a sentence about what was loaded and what starts new: a warning,
   *   unless `event` says "note"
   */
  firstWeights?(
    model: Model,
    context: {
      readonly data: {
        readonly classes: readonly string[];
        readonly mean: readonly number[];
        readonly deviation: readonly number[];
      };
      readonly log?: (line: string) => void;
    },
  ): Promise<{ weights: Weights; message: string; event?: "note" | "warning" }>;
}
