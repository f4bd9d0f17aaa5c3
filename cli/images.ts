/** Image files that a command is given, by name or in folders. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { byCodePoints } from "../core/data/folder-scan.js";
import { imageEnding } from "../core/data/image-formats.js";
import { TrainerError } from "../core/errors.js";
import { tell } from "./terminal.js";

/**
 * The image files that these paths name; of a folder all below it, by name. Other files in a folder are counted in one line.
 *
 * @throws TrainerError ERR_DATA naming every path that is not there, or a folder without images
 */
export function imageFiles(paths: readonly string[]): string[] {
  const missing = paths.filter((path) => !existsSync(path));
  if (missing.length > 0) {
    const hint = missing.some((path) => /[*?]/.test(path))
      ? " The shell expands * and ?: write them without quotes."
      : "";
    throw new TrainerError("ERR_DATA", `No such image: ${missing.join(", ")}.${hint}`);
  }
  return paths.flatMap((path) => (statSync(path).isDirectory() ? imagesBelow(path) : [path]));
}

function imagesBelow(folder: string): string[] {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort(byCodePoints); // the same order on every machine
  const images = files.filter((file) => imageEnding.test(file));
  if (images.length === 0) {
    throw new TrainerError("ERR_DATA", `${folder} has no images: expected files such as .jpg, .png or .webp.`);
  }
  const others = files.filter((file) => !imageEnding.test(file)).map((file) => relative(folder, file));
  if (others.length > 0) {
    const shown = others.slice(0, 5).join(", ") + (others.length > 5 ? ", …" : "");
    tell(`${folder}: ${others.length} ${others.length === 1 ? "file is" : "files are"} not taken for images: ${shown}`);
  }
  return images;
}
