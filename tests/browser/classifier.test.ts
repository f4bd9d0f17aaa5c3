/** A classifier without a browser: the browser's own objects are stand-ins. */
import { afterEach, expect, it, vi } from "vitest";
import { type ClassifierFile, createClassifier } from "../../browser/classifier.js";

const about: ClassifierFile = {
  version: 1,
  name: "x",
  format: "tfjs",
  model: "model",
  classes: ["cat", "dog"],
  input: { scale: 4, interpolation: "bilinear", crop: 4, size: 4, type: "float32" },
  output: "probabilities",
  temperature: 1,
};

const close = vi.fn();
const bitmapOf = (width: number, height: number): void => {
  vi.stubGlobal("ImageData", class {});
  vi.stubGlobal("createImageBitmap", async () => ({ width, height, close }));
  const getImageData = (): object => ({ data: new Uint8ClampedArray(width * height * 4), width, height });
  const context = { fillRect() {}, drawImage: () => expect(close).not.toHaveBeenCalled(), getImageData };
  vi.stubGlobal(
    "OffscreenCanvas",
    class {
      getContext = (): object => context;
    },
  );
};
afterEach(() => void (vi.unstubAllGlobals(), close.mockClear()));

const classifier = createClassifier(about, { run: async () => Float32Array.of(0.25, 0.75), dispose() {} });

it("closes the bitmap that it makes of a file, once it is drawn", async () => {
  bitmapOf(8, 6);
  expect((await classifier.classify(new Blob()))[0]).toEqual({ class: "dog", probability: 0.75 });
  expect(close).toHaveBeenCalledOnce();
});

it("closes it where it cannot be used, and leaves the caller's own open", async () => {
  bitmapOf(0, 0);
  await expect(classifier.classify(new Blob())).rejects.toThrow("The image has no pixels.");
  expect(close).toHaveBeenCalledOnce();
  bitmapOf(8, 6);
  close.mockClear();
  await classifier.classify({ width: 8, height: 6, close } as unknown as ImageBitmap);
  expect(close).not.toHaveBeenCalled();
});
