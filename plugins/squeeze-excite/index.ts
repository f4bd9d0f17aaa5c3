/** Squeeze-and-excitation (Hu et al. 2018) at the end of every residual branch. */
import { z } from "zod";
import { squeezeExcite as block, definePlugin, layers, TrainerError } from "../../core/index.js";

const options = z.strictObject({
  reduction: z.int().positive().default(16).describe("ratio of the branch's channels to the hidden channels"),
});

/** Channels in the middle: C / r, section 3. Rounding would be another network, so what does not divide is refused. */
export function squeezed(channels: number, reduction: number, name: string): number {
  if (channels % reduction === 0) return channels / reduction;
  throw new TrainerError(
    "ERR_OPTION",
    `block "${name}" has ${channels} channels, which ${reduction} does not divide. ` +
      'Choose another "reduction", or another width of the model.',
  );
}

export const squeezeExcite = definePlugin({
  name: "squeeze-excite",
  summary: "Squeeze-and-excitation: channel attention in every residual branch",
  options,
  apply({ reduction }, { hooks }) {
    hooks.buildBlock.tap((branch, { name, channels }) =>
      layers.append(branch, "se", block({ channels, squeezed: squeezed(channels, reduction, name) })),
    );
  },
});
