/**
 * `trainer gradcam RUN [IMAGE…]`: where a finished run looks. Of picture files it draws each; without files it draws a
 * gallery of the run's own pictures and scores how well the maps point.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { basename, extname, join, resolve } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { type Command, Option } from "commander";
import type { Data, DataSource, Picture, Split } from "../core/data/dataset.js";
import { spread } from "../core/data/holdout.js";
import { dataSource } from "../core/data/index.js";
import { normalised } from "../core/data/normalise.js";
import { TrainerError } from "../core/errors.js";
import { sheet } from "../core/image/sheet.js";
import { type GradCamOptions, gradCam } from "../core/interpret/grad-cam.js";
import { overlay, rowPng } from "../core/interpret/overlay.js";
import { foursOf, grid, lies, peak, quarters, toleranceOf } from "../core/interpret/pointing-game.js";
import type { Session } from "../core/loop/session.js";
import { Trainer } from "../core/loop/trainer.js";
import type { Weights } from "../core/nn/layer.js";
import type { Model } from "../core/nn/model.js";
import * as ops from "../core/nn/ops.js";
import { weightsFromSafetensors } from "../core/nn/weights-file.js";
import { suggestion } from "../core/options.js";
import { toJson } from "../run/json.js";
import { mustExist, openClassifier } from "./classifier.js";
import { openRun } from "./open-run.js";
import { whole } from "./options.js";
import { writing } from "./output.js";
import { percent, print, table, tell, tellWarnings } from "./terminal.js";

interface GradCamCommand {
  class?: string;
  layer?: string;
  out?: string;
  pictures?: number;
  split?: "validation" | "test";
  data?: string;
  json?: boolean;
}

/** One drawing. */
interface Drawn {
  image: string;
  class: string;
  probability: number;
  /** Of whom it is known. */
  truth?: string;
  file: string;
}

/** Hits among the pictures that were asked. */
interface Score {
  pictures: number;
  hits: number;
  /** Hits of a guess that looks at no picture. */
  guess: number;
}

export function addGradCam(program: Command): void {
  program
    .command("gradcam <run> [images...]")
    .description("draw where a run looks, with Grad-CAM: on your pictures, or on its own")
    .option("--class <name>", "whose evidence to draw; default: of each picture the most probable class")
    .option("--layer <name>", "full name of a layer, such as layer3; default: the last feature map")
    .option("--out <dir>", "where the drawings go; default gradcam/command in the run's folder")
    .option("--pictures <n>", "how many of the run's own pictures to draw; default 16", whole(1))
    .addOption(
      new Option("--split <name>", "which of the run's own; default validation, where it has one").choices([
        "validation",
        "test",
      ]),
    )
    .option("--data <path>", "where the run's data lies now, if it moved")
    .option("--json", "as JSON")
    .addHelpText(
      "after",
      `
Each drawing is the picture beside itself under its map: red speaks for the class, blue does not. Several are in
gallery.png as well, four a row in the order of the table, 64 at most. Without images the maps are scored too.
Pointing game: the map's largest place lies in the ground-truth box, or beside it by 15 pixels in 224 at most (data with
boxes: shapes, in scenes twice as wide, where the middle is no safe guess). Grid game: of four pictures made one, each
class's map points into its own quarter; guessing gives 25 %.

Examples:
  trainer gradcam runs/cifar100-small-1 cat.jpg --class lion
  trainer gradcam runs/quickstart-1`,
    )
    .action(run);
}

async function run(path: string, images: string[], options: GradCamCommand): Promise<void> {
  const own = (["pictures", "split", "data"] as const).find((name) => images.length > 0 && options[name] !== undefined);
  if (own) {
    throw new TrainerError(
      "ERR_OPTION",
      `--${own} is for the run's own pictures, and you name yours. Leave one or the other out.`,
    );
  }
  const folder = resolve(options.out ?? join(path, "gradcam", "command"));
  const found = images.length > 0 ? await ofFiles(path, images, folder, options) : await ofSplit(path, folder, options);
  print(options.json ? toJson(found) : formatted(found));
}

interface Found {
  folder: string;
  drawn: Drawn[];
  /** Of several drawings: all in one picture. */
  gallery?: string;
  pointing?: Score;
  grid?: Score;
}

function formatted({ folder, drawn, gallery, pointing, grid }: Found): string {
  const rows = drawn.map((each) => [
    each.image,
    each.class,
    percent(each.probability),
    ...(each.truth === undefined ? [] : [each.truth]),
    basename(each.file),
  ]);
  const heads = ["picture", "map of", "probability", ...(drawn[0]?.truth === undefined ? [] : ["true class"]), "file"];
  const scores = Object.entries({ "pointing game": pointing, "grid game": grid }).flatMap(([name, score]) =>
    score
      ? [[name, percent(score.hits / score.pictures), percent(score.guess / score.pictures), `${score.pictures}`]]
      : [],
  );
  return [
    table([heads, ...rows]),
    ...(scores.length > 0 ? ["", table([["", "hits", "a guess hits", "maps"], ...scores])] : []),
    "",
    `drawings in ${folder}${gallery === undefined ? "" : `, together in ${basename(gallery)}`}`,
  ].join("\n");
}

function classNumber(classes: readonly string[], name: string | undefined): number | undefined {
  if (name === undefined) return undefined;
  const at = classes.indexOf(name);
  if (at >= 0) return at;
  throw new TrainerError("ERR_UNKNOWN_NAME", `The run knows no class "${name}"${suggestion(name, classes)}.`);
}

const fileName = (...parts: string[]): string => `${parts.join("-").replaceAll(/[^\w.-]+/g, "-")}.png`;

/** Maps of one batch as plain numbers; `images` are the function's to make, inside its tidy. */
function mapsOf(
  images: () => tf.Tensor4D,
  asked: Omit<GradCamOptions, "images">,
): { classes: Int32Array; probabilities: number[]; maps: Float32Array } {
  return tf.tidy(() => {
    const { classes, logits, upsampled } = gradCam({ ...asked, images: images() });
    const all = tf.softmax(logits).arraySync() as number[][];
    const probabilities = all.map((row, at) => row[classes[at]!]!);
    return { classes, probabilities, maps: upsampled.dataSync() as Float32Array };
  });
}

/** Drawings that fit into a gallery, and in one of its rows. */
const [mostInGallery, inRow] = [64, 4];

/** Draws into a folder: each picture into a file, and at the end all of them together. */
function createDrawer(folder: string): {
  draw(name: string, picture: Picture, map: Float32Array): Promise<string>;
  gallery(): Promise<string | undefined>;
} {
  const pairs: Picture[][] = [];
  const write = (name: string, png: Buffer): string => {
    const file = join(folder, name);
    writing(folder, () => {
      mkdirSync(folder, { recursive: true });
      writeFileSync(file, png);
    });
    return file;
  };
  return {
    async draw(name, picture, map) {
      const pair = [picture, overlay(picture, map)];
      if (pairs.length < mostInGallery) pairs.push(pair);
      return write(name, await rowPng(pair));
    },
    async gallery() {
      if (pairs.length < 2) return undefined;
      const rows = Array.from({ length: Math.ceil(pairs.length / inRow) }, (_, row) =>
        pairs.slice(row * inRow, (row + 1) * inRow).flat(),
      );
      return write("gallery.png", await sheet([{ rows }], { side: 96 }));
    },
  };
}

async function ofFiles(
  path: string,
  images: readonly string[],
  folder: string,
  { class: name, layer }: GradCamCommand,
): Promise<Found> {
  mustExist(images);
  const { model, weights, classes: names, read, input } = await openClassifier(path);
  const chosen = classNumber(names, name);
  const drawer = createDrawer(folder);
  const drawn: Drawn[] = [];
  const taken = new Set<string>(); // pictures of one name in two folders, or of names that become one
  for (const [place, image] of images.entries()) {
    const picture = await read(image);
    const { classes, probabilities, maps } = mapsOf(() => input(picture), {
      model,
      weights,
      layer,
      classes: chosen === undefined ? undefined : [chosen],
      size: [picture.height, picture.width],
    });
    const said = names[classes[0]!]!;
    const stem = basename(image, extname(image));
    let drawing = fileName(stem, said);
    for (let number = place + 1; taken.has(drawing); number++) drawing = fileName(stem, String(number), said);
    taken.add(drawing);
    const file = await drawer.draw(drawing, picture, maps);
    drawn.push({ image, class: said, probability: probabilities[0]!, file });
  }
  return { folder, drawn, gallery: await drawer.gallery() };
}

async function ofSplit(path: string, folder: string, options: GradCamCommand): Promise<Found> {
  const opened = openRun(path, { data: options.data });
  const trainer = new Trainer(opened.config);
  tellWarnings(trainer.events);
  const session = await trainer.prepare(tell);
  const { data, model, inputSize } = session;
  const weights = weightsFromSafetensors(opened.weights, model.layer, opened.weightsPath);
  const places = placesOf(session, options.split);
  const look: Look = { network: { model, weights, layer: options.layer }, data, zoom: inputSize / data.height };
  const chosen = classNumber(data.classes, options.class);
  const drawer = createDrawer(folder);
  const drawn = await drawOwn(places, look, drawer, { count: options.pictures ?? 16, chosen });
  const wide = await wideScenes(opened.config.data);
  const scored = wide ? { split: wide.test!, indices: allOf(wide.test!) } : places;
  return {
    folder,
    drawn,
    gallery: await drawer.gallery(),
    pointing: scored.split.box && (await pointingGame(scored, look)),
    grid: await gridGame(places, look),
  };
}

/** With what, and how, pictures are looked at. */
interface Look {
  readonly network: { model: Model; weights: Weights; layer?: string };
  readonly data: Data;
  /** Pixels of the network's input for one of the data's. */
  readonly zoom: number;
}

interface Places {
  readonly split: Split;
  readonly indices: Int32Array;
}

/** The held-out pictures; the test pictures of a run that held none out, or where they are asked for. */
function placesOf({ data, heldIndices }: Session, asked: GradCamCommand["split"]): Places {
  if (asked !== "test" && heldIndices.length > 0) return { split: data.train, indices: heldIndices };
  if (asked === "validation" || !data.test) {
    throw new TrainerError("ERR_DATA", `This run has no ${asked ?? "held-out or test"} pictures.`);
  }
  return { split: data.test, indices: allOf(data.test) };
}

const allOf = ({ length }: Split): Int32Array => Int32Array.from({ length }, (_, at) => at);

const batchSize = 64;

/** The network's input, resized as in training: `zoom` pixels for one of the data's. Inside a tidy. */
function inputOf(pixels: Float32Array, [batch, height, width]: [number, number, number], zoom: number): tf.Tensor4D {
  const images = tf.tensor4d(pixels, [batch, height, width, 3]);
  return ops.resize(images, Math.round(zoom * height), Math.round(zoom * width)) as tf.Tensor4D;
}

/** Maps of pictures at these places, a batch at a time, for the classes that `classOf` names. */
async function* mapped(
  { split, indices }: Places,
  { network, data, zoom }: Look,
  classOf: (place: number) => number | undefined,
): AsyncGenerator<{ place: number; picture: Picture; class: number; probability: number; map: Float32Array }> {
  for (let from = 0; from < indices.length; from += batchSize) {
    const some = Array.from(indices.subarray(from, from + batchSize));
    const pictures = await split.read(some);
    const { height, width } = pictures[0]!;
    const asked = some.map(classOf);
    const classes = asked.every((each) => each !== undefined) ? asked : undefined;
    const pixels = normalised(pictures, data);
    const input = (): tf.Tensor4D => inputOf(pixels, [some.length, height, width], zoom);
    const found = mapsOf(input, { ...network, classes, size: [height, width] });
    const area = height * width;
    for (const [at, place] of some.entries()) {
      yield {
        place,
        picture: pictures[at]!,
        class: found.classes[at]!,
        probability: found.probabilities[at]!,
        map: found.maps.subarray(at * area, (at + 1) * area),
      };
    }
  }
}

async function drawOwn(
  { split, indices }: Places,
  look: Look,
  drawer: ReturnType<typeof createDrawer>,
  { count, chosen }: { count: number; chosen: number | undefined },
): Promise<Drawn[]> {
  const { classes: names } = look.data;
  const drawn: Drawn[] = [];
  for await (const found of mapped({ split, indices: spread(indices, count) }, look, () => chosen)) {
    const [truth, said] = [names[split.labels[found.place]!]!, names[found.class]!];
    const name = fileName(String(found.place), truth, "map-of", said);
    const file = await drawer.draw(name, found.picture, found.map);
    const { probability } = found;
    drawn.push({ image: split.describe(found.place), class: said, probability, truth, file });
  }
  return drawn;
}

/** The map of each picture's true class against its box, and the picture's centre against the same box. */
async function pointingGame(places: Places, look: Look): Promise<Score> {
  const { split, indices } = places;
  const score = { pictures: indices.length, hits: 0, guess: 0 };
  for await (const { place, picture, map } of mapped(places, look, (at) => split.labels[at]!)) {
    const { height, width } = picture;
    const tolerance = toleranceOf(Math.min(height, width));
    const found = peak(map, width);
    if (found && lies(found, split.box!(place), tolerance)) score.hits++;
    if (lies([(height - 1) / 2, (width - 1) / 2], split.box!(place), tolerance)) score.guess++;
  }
  return score;
}

/** In scenes as large as those of the run, a drawn shape always covers the middle; in these it lies anywhere. */
async function wideScenes({ name, options }: DataSource): Promise<Data | undefined> {
  if (name !== "shapes") return undefined;
  const { size, scale = 1, ...rest } = options as { size: number; scale?: number };
  if (scale < 0.2 || size > 2048) return undefined; // beyond what shapes can draw
  return dataSource("shapes", { ...rest, size: 2 * size, scale: scale / 2 }).load({});
}

/** So many fours are enough for a figure of a few per cent. */
const mostFours = 128;

async function gridGame({ split, indices }: Places, { network, data, zoom }: Look): Promise<Score | undefined> {
  const fours = foursOf(Array.from(indices, (place) => split.labels[place]!)).slice(0, mostFours);
  if (fours.length === 0) return undefined; // fewer than four classes
  const [height, width] = [2 * data.height, 2 * data.width];
  const score = { pictures: 4 * fours.length, hits: 0, guess: fours.length };
  for (const four of fours) {
    const places = four.map((at) => indices[at]!);
    const parts = (await split.read(places)).map((picture) => normalised([picture], data));
    const one = grid(parts as [Float32Array, Float32Array, Float32Array, Float32Array], data);
    const input = (): tf.Tensor4D => tf.tile(inputOf(one, [1, height, width], zoom), [4, 1, 1, 1]);
    const classes = places.map((place) => split.labels[place]!);
    const { maps } = mapsOf(input, { ...network, classes, size: [height, width] });
    quarters(height, width).forEach((box, at) => {
      const found = peak(maps.subarray(at * height * width, (at + 1) * height * width), width);
      if (found && lies(found, box)) score.hits++;
    });
  }
  return score;
}
