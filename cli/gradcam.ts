/** `trainer gradcam RUN [IMAGE…]`: heat maps of a finished run, for image files or for images of its own data. */
import { existsSync } from "node:fs";
import { basename, extname, join, resolve } from "node:path";
import { type Command, Option } from "commander";
import type { Data, DataSource } from "../core/data/dataset.js";
import { spread } from "../core/data/holdout.js";
import { dataSource } from "../core/data/index.js";
import { TrainerError } from "../core/errors.js";
import { percent } from "../core/format.js";
import { allOf, type Explained, heatMaps, type ImageSet } from "../core/interpret/heat-maps.js";
import { gridScore, type PointingScore, pointingScore } from "../core/interpret/pointing-scores.js";
import type { Session } from "../core/loop/session.js";
import { weightsFromSafetensors } from "../core/nn/weights-file.js";
import { makePart } from "../core/parts.js";
import { createGallery, type Gallery } from "../report/gallery.js";
import { mustHoldNoLinks } from "../run/folder.js";
import { toJson } from "../run/json.js";
import { classNumber, openFolder, openRun, warnIfCutShort } from "../run/open.js";
import { readRunData } from "../run/run-data.js";
import { imageFiles } from "./images.js";
import { whole } from "./options.js";
import { addConfigOption, ownConfig } from "./own-config.js";
import { print, table, tell, tellWarnings } from "./terminal.js";

interface GradCamCommand {
  config?: string;
  class?: string;
  layer?: string;
  out?: string;
  images?: number;
  split?: "validation" | "test";
  data?: string;
  json?: boolean;
}

/** One heat map in a file. */
interface Drawing {
  image: string;
  /** The class that the map explains. */
  class: string;
  probability: number;
  /** The true class, where it is known. */
  truth?: string;
  file: string;
}

interface Result {
  folder: string;
  /** Which of the run's own images are drawn. */
  split?: "validation" | "test";
  drawn: Drawing[];
  /** All drawings on one page, and in one image where there are several. */
  page: string;
  gallery?: string;
  pointing?: PointingScore;
  grid?: PointingScore;
}

export function addGradCam(program: Command): void {
  addConfigOption(program.command("gradcam <run> [images...]"))
    .summary("draw heat maps (Grad-CAM)")
    .description("draw heat maps (Grad-CAM): of your images, or of the run's own")
    .option("--class <name>", "class to explain; default: the predicted class of each image")
    .option("--layer <name>", "full name of a layer, such as layer3; default: the last feature map")
    .option("--out <dir>", "folder for the drawings; default gradcam/command in the run's folder")
    .option("--images <n>", "number of the run's own images to draw; default 16", whole(1))
    .addOption(
      new Option("--split <name>", "which of the run's own images; default validation, else test").choices([
        "validation",
        "test",
      ]),
    )
    .option("--data <path>", "new place of the run's data, if it has moved")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
Each drawing shows an image and its heat map as an overlay. Yellow regions
support the class, violet ones do not. gallery.html shows all of them with
predicted and true class; gallery.png has the images alone, 64 at most.

Without image files, the maps are also scored:
  pointing game  The map's peak lies in the ground-truth box, within a margin of
                 15 pixels in 224. Needs data with boxes, such as shapes.
  grid game      Four images form one. Each class's map must peak in its own
                 quarter. A guess is right 25 % of the time.

Examples:
  trainer gradcam runs/quickstart-1
  trainer gradcam runs/cifar100-small-1 cat.jpg --class lion`,
    )
    .action(explain);
}

async function explain(path: string, files: string[], options: GradCamCommand): Promise<void> {
  const unused = (["images", "split", "data"] as const).find((name) => files.length > 0 && options[name] !== undefined);
  if (unused) {
    throw new TrainerError(
      "ERR_OPTION",
      `--${unused} chooses among the run's own images, but image files were given too. Remove one of the two.`,
    );
  }
  if (options.out === undefined && existsSync(path)) mustHoldNoLinks(path);
  const folder = resolve(options.out ?? join(path, "gradcam", "command"));
  const result = files.length > 0 ? await ofFiles(path, files, folder, options) : await ofData(path, folder, options);
  print(options.json ? toJson(result) : formatted(result));
}

function formatted({ folder, split, drawn, page, gallery, pointing, grid }: Result): string {
  const rows = drawn.map((each) => [
    each.image,
    each.class,
    percent(each.probability),
    ...(each.truth === undefined ? [] : [each.truth]),
    basename(each.file),
  ]);
  const truth = drawn[0]?.truth === undefined ? [] : ["true class"];
  const scores = Object.entries({ "pointing game": pointing, "grid game": grid }).flatMap(([name, score]) =>
    score ? [[name, percent(score.hits / score.images), percent(score.guess / score.images), `${score.images}`]] : [],
  );
  return [
    ...(split === undefined ? [] : [`${split} images of the run's data:`]),
    table([["image", "class", "probability", ...truth, "file"], ...rows]),
    ...(scores.length > 0 ? ["", table([["", "hits", "hits of a guess", "maps"], ...scores])] : []),
    "",
    `drawings: ${folder}, all in ${[page, gallery].flatMap((file) => (file ? [basename(file)] : [])).join(" and ")}`,
  ].join("\n");
}

const fileName = (...parts: string[]): string => `${parts.join("-").replaceAll(/[^\w.-]+/g, "-")}.png`;

async function ofFiles(
  path: string,
  paths: readonly string[],
  folder: string,
  { class: name, layer, config }: GradCamCommand,
): Promise<Result> {
  const files = imageFiles(paths);
  const opened = await openRun(path, { config: await ownConfig(path, config), watch: tellWarnings });
  const gallery = createGallery(folder);
  const drawn: Drawing[] = [];
  const taken = new Set<string>(); // two folders may hold files of one name
  for (const [at, image] of files.entries()) {
    const found = await opened.gradCam(image, { class: name, layer });
    const { class: explained, probability, predicted, image: pixels, map } = found;
    const stem = basename(image, extname(image));
    let drawing = fileName(stem, explained);
    for (let number = at + 1; taken.has(drawing); number++) drawing = fileName(stem, String(number), explained);
    taken.add(drawing);
    const explanation = { source: image, predicted, explained: { class: explained, probability } };
    const file = await gallery.add(drawing, pixels, map, explanation);
    drawn.push({ image, class: explained, probability, file });
  }
  const { page, sheet } = await gallery.finish(`Grad-CAM of ${basename(resolve(path))}`);
  return { folder, drawn, page, gallery: sheet };
}

async function ofData(path: string, folder: string, options: GradCamCommand): Promise<Result> {
  const config = await ownConfig(path, options.config);
  const opened = await openFolder(path, { config, data: options.data, watch: tellWarnings }, "images");
  warnIfCutShort(opened);
  const { session } = await readRunData(opened, tell);
  const { data, model, inputSize } = session;
  const weights = weightsFromSafetensors(opened.weights, model.layer, opened.weightsPath);
  const explained = { network: { model, weights, layer: options.layer }, data, zoom: inputSize / data.height };
  const { images, split } = chosenImages(session, options.split);
  const gallery = createGallery(folder);
  const drawn = await drawSome(images, explained, gallery, {
    count: options.images ?? 16,
    wanted: options.class === undefined ? undefined : classNumber(data.classes, options.class),
  });
  const wide = await wideScenes(opened.trainer.config.data);
  const scored = wide ? allOf(wide.test!) : images;
  const pointing = scored.split.box && (await pointingScore(scored, explained));
  const grid = await gridScore(images, explained);
  const title = `Grad-CAM of ${basename(resolve(path))}: ${split} images`;
  const { page, sheet } = await gallery.finish(title, { "pointing game": pointing, "grid game": grid });
  return { folder, split, drawn, page, gallery: sheet, pointing, grid };
}

/** The validation images; the test images where asked for, or where the run has no validation images. */
function chosenImages(
  { data, validationIndices }: Session,
  split: GradCamCommand["split"],
): { images: ImageSet; split: "validation" | "test" } {
  if (split !== "test" && validationIndices.length > 0) {
    return { images: { split: data.train, indices: validationIndices }, split: "validation" };
  }
  if (split === "validation" || !data.test) {
    throw new TrainerError("ERR_DATA", `This run has no ${split ?? "validation or test"} images.`);
  }
  return { images: allOf(data.test), split: "test" };
}

async function drawSome(
  { split, indices }: ImageSet,
  explained: Explained,
  gallery: Gallery,
  { count, wanted }: { count: number; wanted: number | undefined },
): Promise<Drawing[]> {
  const { classes: names } = explained.data;
  const drawn: Drawing[] = [];
  for await (const found of heatMaps({ split, indices: spread(indices, count) }, explained, () => wanted)) {
    const [truth, name] = [names[split.labels[found.index]!]!, names[found.class]!];
    const drawing = fileName(String(found.index), truth, "map-of", name);
    const { probability, predicted } = found;
    const file = await gallery.add(drawing, found.image, found.map, {
      source: split.file?.(found.index).name ?? split.describe(found.index),
      predicted: { class: names[predicted.class]!, probability: predicted.probability },
      explained: { class: name, probability },
      truth,
    });
    drawn.push({ image: split.describe(found.index), class: name, probability, truth, file });
  }
  return drawn;
}

/**
 * Drawn shapes in scenes of twice the width. In the run's own scenes a shape always covers the middle, so a guess at the
 * middle would always hit.
 */
async function wideScenes({ name, options }: DataSource): Promise<Data | undefined> {
  if (name !== "shapes") return undefined;
  const { size, scale = 1, ...rest } = options as { size: number; scale?: number };
  if (scale < 0.2 || size > 2048) return undefined; // beyond the limits of shapes
  return makePart(dataSource("shapes", { ...rest, size: 2 * size, scale: scale / 2 })).load({});
}
