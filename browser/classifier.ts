/** What an exported folder says of itself, and the answers of its model to images. */
import { centred, type Interpolation, interpolate, resample } from "./resize.js";

/** `classifier.json`, which `trainer export` writes beside a model. */
export interface ClassifierFile {
  /** Of this file; a later one may have another number. */
  readonly version: 1;
  /** Which run it is of, for people. */
  readonly name: string;
  readonly format: "tfjs" | "litert";
  /** The model's file in this folder. */
  readonly model: string;
  /** In the order of the model's answers. */
  readonly classes: readonly string[];
  readonly input: {
    /** What the shorter side of a photo is scaled to, in pixels. */
    readonly scale: number;
    readonly interpolation: Interpolation;
    /** The square cut out of its centre, in pixels. */
    readonly crop: number;
    /** The square that the model takes, in pixels; usually the same. */
    readonly size: number;
    readonly type: "float32" | "uint8";
  };
  readonly output: "probabilities" | "logits";
  /** What logits are divided by, where the run is calibrated. */
  readonly temperature: number;
  /** How good the run was on its test images, if it had any. */
  readonly test?: { readonly top1: number; readonly images: number };
}

/** One answer. */
export interface Prediction {
  readonly class: string;
  /** From 0 to 1; those of all classes sum to 1. */
  readonly probability: number;
}

/** What a browser can draw, or decoded pixels. */
export type ImageInput =
  | HTMLImageElement
  | HTMLVideoElement
  | HTMLCanvasElement
  | OffscreenCanvas
  | ImageBitmap
  | ImageData
  | Blob;

/** An exported run in a browser. */
export interface Classifier {
  /** Class names. */
  readonly classes: readonly string[];
  readonly about: ClassifierFile;
  /**
   * The classes of an image with their probabilities, the best first, as `run.predict` gives them. The shorter side is
   * scaled to what the run saw, and the centre is cut out.
   *
   * @throws Error for an image that has not loaded, or that a page of another origin may not read
   */
  classify(image: ImageInput, options?: { top?: number }): Promise<Prediction[]>;
  /** Frees the model's memory. */
  dispose(): void;
}

/** A model as its runtime gives it: numbers of [size, size, 3] from 0 to 255 in, one number a class out. */
export interface Model {
  run(image: Float32Array): Promise<Float32Array>;
  dispose(): void;
}

/** What `runtime.js` exports. `file` reads a file of the exported folder. */
export type OpenModel = (
  about: ClassifierFile,
  file: (name: string) => Promise<Uint8Array<ArrayBuffer>>,
) => Promise<Model>;

export function createClassifier(about: ClassifierFile, model: Model): Classifier {
  const { classes, input, output, temperature } = about;
  return {
    classes,
    about,
    async classify(image, { top = classes.length } = {}) {
      const bytes = await squareOf(image, input);
      const values = interpolate(bytes, input.crop, input.size);
      const answers = await model.run(input.type === "uint8" ? values.map(Math.round) : values);
      const probabilities = output === "logits" ? softmax(answers, temperature) : answers;
      return classes
        .map((name, at) => ({ class: name, probability: probabilities[at]! }))
        .sort((a, b) => b.probability - a.probability)
        .slice(0, top);
    },
    dispose: () => model.dispose(),
  };
}

function softmax(logits: Float32Array, temperature: number): Float32Array {
  const largest = Math.max(...logits);
  const powers = logits.map((each) => Math.exp((each - largest) / temperature));
  const sum = powers.reduce((total, each) => total + each, 0);
  return powers.map((each) => each / sum);
}

/** Browsers of phones refuse larger canvases; a larger photo is drawn smaller, still far finer than a network sees. */
const mostPixels = 4096 * 4096;

/** The square of an image that the network sees, [crop, crop, 3] bytes. */
async function squareOf(image: ImageInput, input: ClassifierFile["input"]): Promise<Uint8Array> {
  if (!(image instanceof Blob || image instanceof ImageData)) return cut(await loaded(image), input);
  // A file's own rotation is applied, and so it is by <img>.
  const bitmap = await createImageBitmap(image, { imageOrientation: "from-image" });
  try {
    return cut(await loaded(bitmap), input);
  } finally {
    bitmap.close(); // its pixels lie outside the heap, and would wait for a collection
  }
}

function cut(drawable: Drawable, { scale, crop, interpolation }: ClassifierFile["input"]): Uint8Array {
  const { width, height } = drawable;
  const { x, y } = centred(width, height, scale, crop);
  const shrink = Math.min(1, Math.sqrt(mostPixels / (width * height)));
  const [across, down] = [Math.max(1, Math.round(width * shrink)), Math.max(1, Math.round(height * shrink))];
  const data = draw(drawable.source, across, down);
  const times = (sampling: typeof x, factor: number): typeof x => ({
    from: sampling.from * factor,
    step: sampling.step * factor,
  });
  const pixels = { data: data.data, width: data.width, height: data.height, channels: 4 } as const;
  return resample(pixels, times(x, data.width / width), times(y, data.height / height), crop, interpolation);
}

interface Drawable {
  readonly source: CanvasImageSource;
  readonly width: number;
  readonly height: number;
}

async function loaded(source: Exclude<ImageInput, Blob | ImageData>): Promise<Drawable> {
  if (typeof HTMLImageElement !== "undefined" && source instanceof HTMLImageElement) {
    await source.decode(); // it rejects for what is no image
    return { source, width: source.naturalWidth, height: source.naturalHeight };
  }
  if (typeof HTMLVideoElement !== "undefined" && source instanceof HTMLVideoElement) {
    if (source.videoWidth === 0) throw new Error("The video has no image yet. Wait for its event loadeddata.");
    return { source, width: source.videoWidth, height: source.videoHeight };
  }
  const { width, height } = source as ImageBitmap;
  if (width === 0 || height === 0) throw new Error("The image has no pixels.");
  return { source, width, height };
}

/** Transparency lies on white, as it does in training. */
function draw(source: CanvasImageSource, width: number, height: number): ImageData {
  const canvas =
    typeof OffscreenCanvas === "undefined"
      ? Object.assign(document.createElement("canvas"), { width, height })
      : new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true }) as CanvasRenderingContext2D;
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}
