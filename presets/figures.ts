/** Accuracy and time of the presets, as measured. `npm run figures` writes them into the documentation too. */
import results from "../results/presets.json" with { type: "json" };

export interface Figures {
  /** One line: data and network. */
  readonly task: string;
  /** Per cent on the test set: mean and standard deviation over seeds. */
  readonly top1?: { readonly mean: number; readonly deviation: number; readonly seeds: readonly number[] };
  /** The test images, of a preset that takes any. */
  readonly test?: string;
  /** What was run; N stands for the seed. */
  readonly command?: string;
  readonly time?: string;
  /** A time by calculation, of a preset that was not measured. */
  readonly estimate?: string;
  readonly date?: string;
  /** Where it was measured, if not on the machine of the others. */
  readonly machine?: string;
}

export const { machine } = results;

/** Preset name -> what was measured. */
export const figures = results.presets satisfies Record<string, Figures>;
