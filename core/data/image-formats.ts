/** Which image formats are read: known by a file's first bytes, never by its name alone. */

/** The formats that are read. Every other one is refused, vector images above all: they may draw other files. */
export const imageFormats = ["JPEG", "PNG", "WebP", "GIF", "TIFF", "AVIF"] as const;
export type ImageFormat = (typeof imageFormats)[number];

/** Endings of files that are read as images. Content decides later: a PNG called .jpg is read. */
export const imageEnding = /\.(jpe?g|jpe|jfif|png|webp|gif|tiff?|avif)$/i;
export const endingsInWords = ".jpg, .jpeg, .jpe, .jfif, .png, .webp, .gif, .tif, .tiff or .avif";

/** Bytes that `formatOf` looks at. */
export const headBytes = 64;

/** The format of a file that begins with these bytes, or what else it is: part of a sentence. */
export function formatOf(head: Buffer): ImageFormat | { readonly instead: string } {
  const text = head.toString("latin1");
  if (text.startsWith("\xff\xd8\xff")) return "JPEG";
  if (text.startsWith("\x89PNG\r\n\x1a\n")) return "PNG";
  if (text.startsWith("RIFF") && text.slice(8, 12) === "WEBP") return "WebP";
  if (/^GIF8[79]a/.test(text)) return "GIF";
  if (/^(II[*+]\0|MM\0[*+])/.test(text)) return "TIFF";
  const brand = text.slice(4, 8) === "ftyp" ? text.slice(8, 12) : undefined;
  if (brand === "avif" || brand === "avis") return "AVIF";
  return { instead: head.length === 0 ? "empty" : (otherKind(text, brand) ?? `of an unknown kind (${shown(head)})`) };
}

function otherKind(text: string, brand: string | undefined): string | undefined {
  const start = text.replace(/^(\xef\xbb\xbf)?\s+/, "").toLowerCase();
  if (brand !== undefined)
    return /^(hei|hev|mif|msf)/.test(brand) ? "a HEIC image: convert it to JPEG" : `a ${brand.trim()} file`;
  if (text.startsWith("BM")) return "a BMP image";
  if (/^(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<(svg|!doctype svg)/.test(start)) return "an SVG drawing";
  if (/^<(!doctype html|html|head|body)/.test(start)) return "a web page";
  if (start.startsWith("<")) return "markup, such as SVG or a web page";
  if (start.startsWith("version https://git-lfs")) return "a Git LFS pointer: run git lfs pull";
  if (text.startsWith("%PDF") || text.startsWith("%!PS")) return "a PDF or PostScript document";
  if (text.startsWith("\0\0\0\x0cJXL ") || text.startsWith("\xff\x0a")) return "a JPEG XL image";
  if (text.startsWith("\0\0\0\x0cjP  ")) return "a JPEG 2000 image";
  return undefined;
}

const shown = (head: Buffer): string => `it begins with ${JSON.stringify(head.toString("latin1", 0, 12))}`;
