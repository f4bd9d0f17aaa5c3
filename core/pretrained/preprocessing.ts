/** What pretrained weights expect of an image, and what their answers are called: `config.json` as timm writes it. */
import { z } from "zod";
import { TrainerError } from "../errors.js";
import { readWhole } from "../files.js";

type Channels = [number, number, number];

/** How the weights saw images when they were trained and evaluated. */
export interface PretrainedImages {
  /** Channel statistics R, G, B of values in [0, 1]. */
  readonly mean: Channels;
  readonly deviation: Channels;
  /** Side in pixels. */
  readonly size: number;
  /** Share of the shorter side that the evaluation's centre square has. */
  readonly crop: number;
  readonly interpolation: string;
}

export interface PretrainedConfig {
  /** timm's name of the network: "tf_efficientnet_lite0". */
  readonly architecture?: string;
  readonly images: PretrainedImages;
  /** In the order of the classifier's outputs, where the file names them. */
  readonly classes?: readonly string[];
}

const channels = z.tuple([z.number(), z.number(), z.number()]);
const side = z.int().min(8).max(4096);

const imagesShape = z.object({
  input_size: z.tuple([z.literal(3), side, side]),
  mean: channels,
  std: channels.refine((values) => values.every((value) => value > 0), "expected numbers above 0"),
  crop_pct: z.number().gt(0).max(1).default(0.875),
  interpolation: z.string().default("bilinear"),
});

const configShape = z.object({
  architecture: z.string().optional(),
  label_names: z.array(z.string()).optional(),
  pretrained_cfg: imagesShape.extend({ label_names: z.array(z.string()).optional() }),
});

/**
 * Reads a `config.json`.
 *
 * @throws TrainerError ERR_WEIGHTS for a file that does not say how images are prepared
 */
export function readPretrainedConfig(path: string): PretrainedConfig {
  const text = readWhole(path, { most: 10_000_000 }).toString();
  const parsed = configShape.safeParse(json(text));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new TrainerError(
      "ERR_WEIGHTS",
      `${path}: expected timm's config.json with mean, std and input_size in "pretrained_cfg", got a file where ` +
        `${issue!.path.join(".") || "the whole"} is wrong (${issue!.message}). Choose weights of timm, or remove the file ` +
        "and set mean and deviation of the data yourself.",
    );
  }
  const { architecture, label_names, pretrained_cfg: images } = parsed.data;
  const classes = label_names ?? images.label_names;
  return {
    ...(architecture !== undefined && { architecture }),
    images: {
      mean: images.mean,
      deviation: images.std,
      size: images.input_size[1],
      crop: images.crop_pct,
      interpolation: images.interpolation,
    },
    ...(classes && { classes }),
  };
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What to write where the data is not normalised as the weights were trained: a sentence; undefined where it is. */
export function normalisationNote(
  config: PretrainedConfig | undefined,
  { mean, deviation }: { readonly mean: readonly number[]; readonly deviation: readonly number[] },
): string | undefined {
  if (config === undefined) return undefined;
  const wanted = config.images;
  const differs = (a: readonly number[], b: readonly number[]): boolean => a.some((each, at) => each !== b[at]);
  if (!differs(wanted.mean, mean) && !differs(wanted.deviation, deviation)) return undefined;
  const list = (values: readonly number[]): string => `[${values.join(", ")}]`;
  return (
    `The weights expect other channel statistics than the data has: write mean: ${list(wanted.mean)}, ` +
    `deviation: ${list(wanted.deviation)} into imageFolder().`
  );
}
