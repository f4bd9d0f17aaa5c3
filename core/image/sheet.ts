/** A sheet: images in rows and columns as one PNG. */
import type { Image } from "../data/dataset.js";
import { escapeText } from "../html.js";

export interface Block {
  /** Drawn above the rows. */
  readonly heading?: string;
  /** Images of one size; the first row is the longest. */
  readonly rows: readonly (readonly Image[])[];
}

export interface SheetOptions {
  /** Pixels between images, before they are enlarged. Default 2. */
  gap?: number;
  /** Images are enlarged by whole pixels to at least this height. Default 64. */
  side?: number;
}

/** Pixels of a heading, and of its letters. */
const [headingHeight, letterHeight, margin] = [30, 15, 5];

/** A PNG of blocks below each other on white. Where the system has no fonts, headings stay empty. */
export async function sheet(blocks: readonly Block[], { gap = 2, side = 64 }: SheetOptions = {}): Promise<Buffer> {
  // Loaded here: a run that draws nothing should not pay for a native library.
  const { default: sharp } = await import("sharp");
  const { height } = blocks[0]!.rows[0]![0]!;
  const scale = Math.max(1, Math.ceil(side / height));
  const layers: { input: Buffer; top: number; left: number }[] = [];
  let [top, across] = [0, 0];
  for (const { heading, rows } of blocks) {
    if (heading !== undefined) {
      const { data, width, height } = await drawn(heading, sharp);
      layers.push({ input: data, top: top + Math.floor((headingHeight - height) / 2), left: margin });
      across = Math.max(across, width + 2 * margin);
      top += headingHeight;
    }
    const { pixels, width, height } = gridOf(rows, gap);
    const input = await sharp(pixels, { raw: { width, height, channels: 3 } })
      .resize(width * scale, height * scale, { kernel: "nearest" })
      .png()
      .toBuffer();
    layers.push({ input, top, left: 0 });
    across = Math.max(across, width * scale);
    top += height * scale;
  }
  return sharp({ create: { width: across, height: top, channels: 3, background: "white" } })
    .composite(layers)
    .removeAlpha()
    .png()
    .toBuffer();
}

function gridOf(rows: Block["rows"], gap: number): Image {
  const { height, width } = rows[0]![0]!;
  const [across, down] = [rows[0]!.length * (width + gap) + gap, rows.length * (height + gap) + gap];
  const pixels = new Uint8Array(3 * across * down).fill(255);
  rows.forEach((row, r) =>
    row.forEach((image, c) => {
      for (let y = 0; y < height; y++) {
        const place = (gap + r * (height + gap) + y) * across + gap + c * (width + gap);
        pixels.set(image.pixels.subarray(3 * width * y, 3 * width * (y + 1)), 3 * place);
      }
    }),
  );
  return { pixels, height: down, width: across };
}

/** Text as a PNG. Not by an SVG: once a data set of files is open, the process reads none (`openDecoder`). */
async function drawn(
  text: string,
  sharp: typeof import("sharp")["default"],
): Promise<{ data: Buffer; width: number; height: number }> {
  // Pango's markup is XML, which holds no controls, whatever a name holds.
  const markup = escapeText(text.replaceAll(/[\p{Cc}\p{Cs}\ufffe\uffff]/gu, " "));
  const options = { text: markup, font: `sans-serif ${letterHeight}`, dpi: 72, rgba: true };
  const { data, info } = await sharp({ text: options }).png().toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height };
}
