/** `trainer data preview`: the effect of augmentation on training images, plugin by plugin, in one PNG. */
import { existsSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import type { Command } from "commander";
import type { TrainerConfig } from "../core/config/config.js";
import type { Data, DataSource, Image } from "../core/data/dataset.js";
import { subset } from "../core/data/holdout.js";
import { createLoader } from "../core/data/loader.js";
import { asImage } from "../core/data/normalise.js";
import { TrainerError } from "../core/errors.js";
import { makeFolders } from "../core/files.js";
import { sheet } from "../core/image/sheet.js";
import { assumedEpochs, progressAt } from "../core/loop/position.js";
import type { Session } from "../core/loop/session.js";
import { Trainer } from "../core/loop/trainer.js";
import * as ops from "../core/nn/ops.js";
import { makePart } from "../core/parts.js";
import { toJson } from "../run/json.js";
import { writing } from "../run/output.js";
import { openTrainedNetwork } from "../run/trained-network.js";
import { addRunOptions, configFrom, type RunOptions, whole } from "./options.js";
import { plain, print, tell, tellWarning } from "./terminal.js";

interface PreviewOptions extends RunOptions {
  out: string;
  images: number;
  variants: number;
}

/** What every block has in common. */
interface Drawing {
  images: number;
  variants: number;
  log?: (line: string) => void;
  warn: (message: string) => void;
}

/** One row of the drawing: an image and its augmented variants. */
type Row = readonly [original: Image, ...variants: Image[]];

export function addPreview(data: Command): void {
  addRunOptions(data.command("preview"))
    .description("draw augmented images: each plugin alone, then all together")
    .option("--out <file>", "PNG file to write; it must not exist yet", "preview.png")
    .option("--images <n>", "number of training images", whole(1), 4)
    .option("--variants <k>", "augmented variants of each image", whole(1), 6)
    .addHelpText(
      "after",
      `
The first column shows the originals. A heading names the plugins of each block
of rows; they are also printed. The same seed draws the same image, bit for bit.

Example:
  trainer data preview --preset quickstart --out augmented.png`,
    )
    .action(preview);
}

async function preview({ out, images, variants, ...options }: PreviewOptions): Promise<void> {
  const file = resolve(out);
  if (existsSync(file)) throw new TrainerError("ERR_OUTPUT", `${file} already exists. Choose another path with --out.`);
  const { config } = await configFrom(options);
  const once = { ...config, data: loadedOnce(makePart(config.data)) };
  const warn = eachOnce(tellWarning); // every block is drawn from the same data
  const draw = (plugins: readonly string[]): Promise<Row[]> =>
    variantsOf(once, plugins, { images, variants, log: options.quiet ? undefined : tell, warn });
  const blocks: { plugins: string[]; rows: Row[] }[] = [];
  const unchanged: string[] = []; // a tap of beforeBatch may change targets alone
  for (const name of tapping(new Trainer(once))) {
    const rows = await draw([name]);
    if (rows.some(changes)) blocks.push({ plugins: [name], rows });
    else unchanged.push(name);
  }
  if (blocks.length === 0) {
    throw new TrainerError("ERR_OPTION", "No plugin of this config changes these images, so there is nothing to draw.");
  }
  const together = blocks.flatMap(({ plugins }) => plugins);
  if (together.length > 1) blocks.push({ plugins: together, rows: await draw(together) });
  const png = await sheet(blocks.map(({ plugins, rows }) => ({ heading: plugins.join(" + "), rows })));
  writing(file, () => {
    makeFolders(dirname(file));
    writeFileSync(file, png, { flag: "wx" });
  });
  const rows = blocks[0]!.rows.length;
  const lines = blocks.map(({ plugins }, at) => `rows ${at * rows + 1} to ${(at + 1) * rows}: ${plugins.join(", ")}`);
  if (unchanged.length > 0) lines.push(`no image changed by: ${unchanged.join(", ")}`);
  const record = { file, images: rows, variants, blocks: blocks.map(({ plugins }) => plugins), unchanged };
  print(options.json ? toJson(record) : [...lines.map(plain), plain(file)].join("\n"));
}

const changes = ([original, ...variants]: Row): boolean =>
  variants.some(({ pixels }) => pixels.some((value, at) => value !== original.pixels[at]));

/** Plugins that receive images, in the order of their first tap. */
function tapping({ hooks }: Pick<Trainer, "hooks">): string[] {
  const taps = hooks.taps().filter(({ hook }) => ["resolveCrop", "beforeSample", "beforeBatch"].includes(hook));
  return [...new Set(taps.map(({ plugin }) => plugin))];
}

/** Passes a message on when it comes for the first time. */
function eachOnce(say: (message: string) => void): (message: string) => void {
  const said = new Set<string>();
  return (message) => {
    if (!said.has(message)) say(message);
    said.add(message);
  };
}

/** Every block draws from the same data, which is loaded once. */
function loadedOnce(source: DataSource): DataSource {
  let data: Promise<Data> | undefined;
  return { ...source, load: (context) => (data ??= source.load(context)) };
}

async function variantsOf(
  config: TrainerConfig,
  names: readonly string[],
  { images, variants, log, warn }: Drawing,
): Promise<Row[]> {
  const plugins = (config.plugins ?? []).filter(({ name }) => names.includes(name));
  const trainer = new Trainer({ ...config, plugins });
  trainer.events.on("warning", ({ message }) => warn(message));
  const session = await trainer.prepare(log);
  const { call } = trainer.hooks;
  await call.onFitStart(runOf(trainer, session));
  const { data, trainIndices } = session;
  const count = Math.min(images, trainIndices.length);
  // Spread evenly: data sets are often sorted by class.
  const places = Array.from(
    { length: count },
    (_, at) => trainIndices[Math.floor((at * trainIndices.length) / count)]!,
  );
  const split = subset(data.train, places);
  const loader = createLoader({
    ...data,
    split,
    batchSize: count,
    seed: trainer.config.seed,
    shuffle: false,
    region: trainer.hooks.taps().some(({ hook }) => hook === "resolveCrop")
      ? (crop, source, epoch) => call.resolveCrop(crop, source, epoch)
      : undefined,
    transform: (sample, epoch) => call.beforeSample(sample, epoch),
  });
  const rows: [Image, ...Image[]][] = (await split.read(places.map((_, at) => at))).map((image) => [image]);
  for (let variant = 0; variant < variants; variant++) {
    for await (const raw of loader.epoch(variant)) {
      // Spread over the run: a plugin's effect may depend on the epoch.
      const epoch = Math.floor((variant * (trainer.config.epochs ?? assumedEpochs)) / variants);
      const pixels = tf.tidy(() => {
        const oneHot = tf.oneHot(tf.tensor1d(raw.labels, "int32"), data.classes.length).toFloat() as tf.Tensor2D;
        const inputs = tf.tensor4d(raw.images, [count, data.height, data.width, 3]);
        const batch = call.beforeBatch(
          { images: inputs, targets: oneHot, labels: raw.labels, indices: raw.indices },
          {
            epoch,
            step: epoch * session.stepsPerEpoch,
            microBatch: variant,
            batchInEpoch: 0,
            batchesInEpoch: session.loaders.train.batchesInEpoch,
            samples: count,
            share: variant / variants,
            groups: session.groups,
            weights: new Map(),
          },
        );
        return ops.resize(batch.images, data.height, data.width).dataSync() as Float32Array;
      });
      const size = data.height * data.width * 3;
      rows.forEach((row, at) => row.push(asImage(pixels.subarray(at * size, (at + 1) * size), data)));
    }
  }
  return rows;
}

/** What plugins receive at the start: a preview has no weights and trains none. */
function runOf({ config }: Trainer, session: Session): Parameters<Trainer["hooks"]["call"]["onFitStart"]>[0] {
  const { backend, data, model, inputSize, trainIndices, validationIndices } = session;
  return {
    config,
    data,
    model,
    inputSize,
    trainIndices,
    validationIndices,
    backend,
    progress: progressAt(0, config, session),
    plan: () => "",
    weights: () => new Map(),
    replaceWeights: () => {},
    openNetwork: openTrainedNetwork,
  };
}
