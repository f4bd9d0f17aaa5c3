/** `trainer data preview`: what augmentation makes of a run's pictures, plugin by plugin, in one PNG. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import type { Command } from "commander";
import type { TrainerConfig } from "../core/config/config.js";
import type { Data, DataSource, Picture } from "../core/data/dataset.js";
import { subset } from "../core/data/holdout.js";
import { createLoader } from "../core/data/loader.js";
import { asPicture } from "../core/data/normalise.js";
import { TrainerError } from "../core/errors.js";
import { sheet } from "../core/image/sheet.js";
import { progressAt, type Session } from "../core/loop/session.js";
import { Trainer } from "../core/loop/trainer.js";
import * as ops from "../core/nn/ops.js";
import { toJson } from "../run/json.js";
import { addRunOptions, configFrom, type RunOptions, whole } from "./options.js";
import { writing } from "./output.js";
import { plain, print, tell, tellWarnings } from "./terminal.js";

interface PreviewOptions extends RunOptions {
  out: string;
  pictures: number;
  variants: number;
}

/** One row of the drawing: a picture, and what the plugins made of it. */
type Row = readonly [original: Picture, ...variants: Picture[]];

export function addPreview(data: Command): void {
  addRunOptions(data.command("preview"))
    .description("draw what augmentation does: originals and variants, plugin by plugin, then all together")
    .option("--out <file>", "the PNG to write; it must not be there yet", "preview.png")
    .option("--pictures <n>", "how many training pictures", whole(1), 4)
    .option("--variants <k>", "how many variants of each", whole(1), 6)
    .addHelpText(
      "after",
      `
The first column holds the originals. Above each block of rows stands whose work it is; standard output says it too.
The same seed draws the same bits.

Example:
  trainer data preview --preset quickstart --out augmented.png`,
    )
    .action(preview);
}

async function preview({ out, pictures, variants, ...options }: PreviewOptions): Promise<void> {
  const file = resolve(out);
  if (existsSync(file)) throw new TrainerError("ERR_OUTPUT", `${file} is there already. Name another with --out.`);
  const { config } = await configFrom(options);
  const once = { ...config, data: loadedOnce(config.data) };
  const whole = new Trainer(once);
  if (!options.quiet) tellWarnings(whole.events);
  const draw = (plugins: readonly string[]): Promise<Row[]> =>
    variantsOf(once, plugins, { pictures, variants, log: options.quiet ? undefined : tell });
  const blocks: { plugins: string[]; rows: Row[] }[] = [];
  const unchanged: string[] = []; // a tap of beforeBatch may change targets alone
  for (const name of tapping(whole)) {
    const rows = await draw([name]);
    if (rows.some(changes)) blocks.push({ plugins: [name], rows });
    else unchanged.push(name);
  }
  if (blocks.length === 0) {
    throw new TrainerError("ERR_OPTION", "No plugin of this run changed these pictures: there is nothing to draw.");
  }
  const together = blocks.flatMap(({ plugins }) => plugins);
  if (together.length > 1) blocks.push({ plugins: together, rows: await draw(together) });
  const png = await sheet(blocks.map(({ plugins, rows }) => ({ heading: plugins.join(" + "), rows })));
  writing(file, () => {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, png, { flag: "wx" });
  });
  const rows = blocks[0]!.rows.length;
  const said = blocks.map(({ plugins }, at) => `rows ${at * rows + 1} to ${(at + 1) * rows}: ${plugins.join(", ")}`);
  if (unchanged.length > 0) said.push(`no picture changed by: ${unchanged.join(", ")}`);
  const record = { file, pictures: rows, variants, blocks: blocks.map(({ plugins }) => plugins), unchanged };
  print(options.json ? toJson(record) : [...said.map(plain), plain(file)].join("\n"));
}

const changes = ([original, ...variants]: Row): boolean =>
  variants.some(({ pixels }) => pixels.some((value, at) => value !== original.pixels[at]));

/** Plugins that are given pictures, in the order in which they first are. */
function tapping({ hooks }: Pick<Trainer, "hooks">): string[] {
  const taps = hooks.taps().filter(({ hook }) => hook === "beforeSample" || hook === "beforeBatch");
  return [...new Set(taps.map(({ plugin }) => plugin))];
}

/** Every block asks for the same data. */
function loadedOnce(source: DataSource): DataSource {
  let data: Promise<Data> | undefined;
  return { ...source, load: (context) => (data ??= source.load(context)) };
}

async function variantsOf(
  config: TrainerConfig,
  names: readonly string[],
  { pictures, variants, log }: { pictures: number; variants: number; log?: (line: string) => void },
): Promise<Row[]> {
  const plugins = (config.plugins ?? []).filter(({ name }) => names.includes(name));
  const trainer = new Trainer({ ...config, plugins });
  const session = await trainer.prepare(log);
  const { call } = trainer.hooks;
  await call.onFitStart(runOf(trainer, session));
  const { data, trainIndices } = session;
  const count = Math.min(pictures, trainIndices.length);
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
    transform: (sample, epoch) => call.beforeSample(sample, epoch),
  });
  const rows: [Picture, ...Picture[]][] = (await split.read(places.map((_, at) => at))).map((picture) => [picture]);
  for (let variant = 0; variant < variants; variant++) {
    for await (const raw of loader.epoch(variant)) {
      // Spread over the run: what a plugin does may depend on how far it is.
      const epoch = Math.floor((variant * trainer.config.epochs) / variants);
      const pixels = tf.tidy(() => {
        const oneHot = tf.oneHot(tf.tensor1d(raw.labels, "int32"), data.classes.length).toFloat() as tf.Tensor2D;
        const images = tf.tensor4d(raw.images, [count, data.height, data.width, 3]);
        const batch = call.beforeBatch(
          { images, targets: oneHot, labels: raw.labels, indices: raw.indices },
          {
            epoch,
            step: epoch * session.stepsPerEpoch,
            microBatch: variant,
            batchInEpoch: 0,
            batchesInEpoch: session.loaders.train.batchesInEpoch,
            samples: count,
            groups: session.groups,
            weights: new Map(),
          },
        );
        return ops.resize(batch.images, data.height, data.width).dataSync() as Float32Array;
      });
      const size = data.height * data.width * 3;
      rows.forEach((row, at) => row.push(asPicture(pixels.subarray(at * size, (at + 1) * size), data)));
    }
  }
  return rows;
}

/** What plugins are told at the start of a run that has no weights and moves none. */
function runOf({ config }: Trainer, session: Session): Parameters<Trainer["hooks"]["call"]["onFitStart"]>[0] {
  const { backend, data, model, inputSize, trainIndices, heldIndices } = session;
  return {
    config,
    data,
    model,
    inputSize,
    trainIndices,
    heldIndices,
    backend,
    progress: progressAt(0, config, session),
    plan: () => "",
    weights: () => new Map(),
    replaceWeights: () => {},
  };
}
