/** A map laid over its picture, as people look at it. */
import type { Picture } from "../data/dataset.js";

/** From blue (0) over green to red (1): the "jet" of most Grad-CAM figures. */
function heat(value: number): [red: number, green: number, blue: number] {
  const ramp = (centre: number): number => 255 * Math.min(1, Math.max(0, 1.5 - Math.abs(4 * value - centre)));
  return [ramp(3), ramp(2), ramp(1)];
}

/**
 * The picture with the map's colours over it.
 *
 * @param map [height, width] of the picture, numbers in [0, 1]
 * @param opacity of the colours, 0 to 1
 */
export function overlay(picture: Picture, map: ArrayLike<number>, opacity = 0.5): Picture {
  const { pixels, height, width } = picture;
  if (map.length !== height * width) {
    throw new Error(`A map of ${map.length} numbers does not cover a picture of ${height} × ${width}.`);
  }
  const out = new Uint8Array(pixels.length);
  for (let at = 0; at < map.length; at++) {
    heat(map[at]!).forEach((colour, channel) => {
      const place = 3 * at + channel;
      out[place] = Math.round((1 - opacity) * pixels[place]! + opacity * colour);
    });
  }
  return { pixels: out, height, width };
}

/** A PNG of pictures of one size side by side, enlarged by whole pixels to at least `side` in height. */
export async function rowPng(pictures: readonly Picture[], side = 192): Promise<Buffer> {
  // Loaded here: a run that draws nothing should not pay for a native library.
  const { default: sharp } = await import("sharp");
  const { height, width } = pictures[0]!;
  const stride = 3 * width * pictures.length;
  const row = new Uint8Array(stride * height);
  pictures.forEach(({ pixels }, place) => {
    for (let y = 0; y < height; y++) {
      row.set(pixels.subarray(3 * width * y, 3 * width * (y + 1)), stride * y + 3 * width * place);
    }
  });
  const scale = Math.max(1, Math.ceil(side / height));
  return sharp(row, { raw: { width: width * pictures.length, height, channels: 3 } })
    .resize(width * pictures.length * scale, height * scale, { kernel: "nearest" })
    .png()
    .toBuffer();
}
