/** A heat map laid over its image, as people look at it. */
import type { Sharp } from "sharp";
import type { Image } from "../data/dataset.js";

type Colour = readonly [red: number, green: number, blue: number];

/** sRGB bytes of an OKLCH colour (Ottosson 2020, "A perceptual color space for image processing"). */
function oklch(lightness: number, chroma: number, degrees: number): Colour {
  const [a, b] = [chroma * Math.cos((degrees * Math.PI) / 180), chroma * Math.sin((degrees * Math.PI) / 180)];
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const byte = (linear: number): number => {
    const within = Math.min(1, Math.max(0, linear));
    return Math.round(255 * (within <= 0.0031308 ? 12.92 * within : 1.055 * within ** (1 / 2.4) - 0.055));
  };
  return [
    byte(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
    byte(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
    byte(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s),
  ];
}

/**
 * Heat map colours from 0 to 1: violet over red to yellow, whose lightness as people see it rises evenly. So equal
 * differences look equal, in grey and to colour-blind eyes too, which the usual rainbow ("jet") does not give.
 */
const heat: readonly Colour[] = Array.from({ length: 256 }, (_, at) => {
  const value = at / 255;
  return oklch(0.3 + 0.63 * value, 0.16, 285 + 175 * value);
});

/** Some of the colours, for a legend: CSS colours of values from 0 to 1. */
export const heatColours: readonly string[] = Array.from({ length: 9 }, (_, at) => {
  const bytes = heat[Math.round((255 * at) / 8)]!;
  return `#${bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
});

/**
 * A map at the size of an image, bilinear between the centres of its places.
 *
 * @param map [down, across]
 * @returns [height, width] of the image
 */
export function enlarged(
  map: ArrayLike<number>,
  [down, across]: readonly [down: number, across: number],
  { height, width }: Pick<Image, "height" | "width">,
): Float32Array {
  const out = new Float32Array(height * width);
  /** Two neighbours of each place, and the share of the second. */
  const along = (size: number, of: number): (readonly [number, number, number])[] =>
    Array.from({ length: size }, (_, at) => {
      const place = Math.min(of - 1, Math.max(0, ((at + 0.5) * of) / size - 0.5));
      const low = Math.floor(place);
      return [low, Math.min(of - 1, low + 1), place - low];
    });
  const columns = along(width, across);
  along(height, down).forEach(([top, bottom, y], row) => {
    columns.forEach(([left, right, x], column) => {
      const above = map[top * across + left]! * (1 - x) + map[top * across + right]! * x;
      const below = map[bottom * across + left]! * (1 - x) + map[bottom * across + right]! * x;
      out[row * width + column] = above * (1 - y) + below * y;
    });
  });
  return out;
}

/**
 * The image with the heat map's colours over it.
 *
 * @param map [height, width] of the image, numbers in [0, 1]
 * @param opacity of the colours, 0 to 1
 */
export function overlay(image: Image, map: ArrayLike<number>, opacity = 0.5): Image {
  const { pixels, height, width } = image;
  if (map.length !== height * width) {
    throw new Error(`A heat map of ${map.length} numbers does not cover an image of ${height} × ${width}.`);
  }
  const out = new Uint8Array(pixels.length);
  for (let at = 0; at < map.length; at++) {
    heat[Math.round(255 * Math.min(1, Math.max(0, map[at]!))) || 0]!.forEach((colour, channel) => {
      const place = 3 * at + channel;
      out[place] = Math.round((1 - opacity) * pixels[place]! + opacity * colour);
    });
  }
  return { pixels: out, height, width };
}

/** A PNG of images of one size side by side, enlarged by whole pixels to at least `side` in height. */
export async function rowPng(images: readonly Image[], side = 192): Promise<Uint8Array> {
  const { height, width } = images[0]!;
  const scale = Math.max(1, Math.ceil(side / height));
  return (await row(images))
    .resize(width * images.length * scale, height * scale, { kernel: "nearest" })
    .png()
    .toBuffer();
}

/** A JPEG of images of one size side by side: a tenth of a PNG's bytes where they are photographs. */
export const rowJpeg = async (images: readonly Image[]): Promise<Uint8Array> =>
  (await row(images)).jpeg({ quality: 85, chromaSubsampling: "4:4:4" }).toBuffer();

async function row(images: readonly Image[]): Promise<Sharp> {
  // Loaded here: a run that draws nothing should not pay for a native library.
  const { default: sharp } = await import("sharp");
  const { height, width } = images[0]!;
  const stride = 3 * width * images.length;
  const pixels = new Uint8Array(stride * height);
  images.forEach((image, place) => {
    for (let y = 0; y < height; y++) {
      pixels.set(image.pixels.subarray(3 * width * y, 3 * width * (y + 1)), stride * y + 3 * width * place);
    }
  });
  return sharp(pixels, { raw: { width: width * images.length, height, channels: 3 } });
}
