/** The page of `trainer data check`: counts, what was found of each kind with images, and the list that training can leave out. */
import { join } from "node:path";
import { openDecoder } from "../core/data/decode.js";
import type { FolderInspection, FolderIssue } from "../core/data/inspect.js";
import type { Block, ImageTile, Page } from "./blocks.js";

/** Images of a kind that are shown; the list has all. */
const shown = 24;
/** Longer side of a shown image, in pixels. */
const side = 128;

/** By which an earlier page is recognised. */
export const pageTitle = "Data check";

const notes: Readonly<Record<FolderIssue["kind"], string>> = {
  unreadable: "These files end a run. Replace them, or leave them out.",
  "exact copy": "The same bytes twice. A training image that is in the test split too makes the test figures too good.",
  "near copy": "Images that look alike: series, crops and rescaled copies. Look before you remove one.",
  "odd size": "Far larger or smaller than most.",
  "odd ratio": "One side is almost three times the other, or more. The centre cut loses most of such an image.",
  dark: "Even the brightest pixels are dark.",
  bright: "Even the darkest pixels are bright.",
  blurred: "Nothing in these images is sharp.",
  "doubted label":
    "Models that were trained without these images give them another class, the least credible label first. Some are wrong " +
    "labels, others are hard images: look at each. Move a wrong one to its class, or write yes into the list's column exclude.",
};

export async function dataCheckPage(inspection: FolderInspection, csv: string): Promise<Page> {
  const { path, layout, images, classes, kinds, issues } = inspection;
  const left = issues.filter(({ exclude }) => exclude).length;
  const counts = classes.map((each) => each.images);
  const of = (kind: FolderIssue["kind"]): FolderIssue[] => issues.filter((each) => each.kind === kind);
  const found = kinds.filter((kind) => of(kind).length > 0);
  return {
    title: pageTitle,
    summary: `${layout}. ${images} images, ${issues.length} issues; ${csv} lists them, and --exclude takes that list.`,
    blocks: [
      {
        kind: "tiles",
        title: "Overview",
        items: [
          { label: "images", format: "integer", value: images },
          { label: "classes", format: "integer", value: classes.length },
          { label: "smallest class", format: "integer", value: Math.min(...counts), note: "training images" },
          { label: "largest class", format: "integer", value: Math.max(...counts), note: "training images" },
          { label: "to leave out", format: "integer", value: left, note: "unreadable, or copies in training" },
        ],
      },
      {
        kind: "table",
        title: "Issues",
        columns: [
          { name: "issue", format: "text" },
          { name: "images", format: "integer" },
        ],
        rows: kinds.map((kind) => [kind, of(kind).length]),
      },
      ...(await Promise.all(found.map((kind) => blockOf(path, kind, of(kind))))),
    ],
  };
}

async function blockOf(path: string, kind: FolderIssue["kind"], issues: readonly FolderIssue[]): Promise<Block> {
  const title = `${kind[0]!.toUpperCase()}${kind.slice(1)}`;
  const more = issues.length > shown ? ` The first ${shown} of ${issues.length}.` : "";
  const note = `${notes[kind]}${more}`;
  const first = issues.slice(0, shown);
  if (kind === "unreadable") {
    const columns = [{ name: "file", format: "text" } as const, { name: "problem", format: "text" } as const];
    return { kind: "table", title, note, columns, rows: first.map(({ file, detail }) => [file, detail]) };
  }
  return { kind: "images", title, note, items: (await Promise.all(first.map((each) => tilesOf(path, each)))).flat() };
}

/** An image, and the one that it is a copy of beside it. */
async function tilesOf(path: string, { file, other, class: name, split, detail }: FolderIssue): Promise<ImageTile[]> {
  const tile = async (shownFile: string, lines: string[]): Promise<ImageTile> => ({
    src: `data:image/jpeg;base64,${(await jpegOf(join(path, shownFile))).toString("base64")}`,
    lines,
  });
  const own = tile(file, [`${name}, ${split}`, detail, file]);
  return Promise.all(other === undefined ? [own] : [own, tile(other, ["the original", other])]);
}

async function jpegOf(file: string): Promise<Buffer> {
  const { thumbnail } = await openDecoder();
  const { pixels, height, width } = await thumbnail(file, side);
  const { default: sharp } = await import("sharp");
  return sharp(pixels, { raw: { height, width, channels: 3 } })
    .jpeg({ quality: 80 })
    .toBuffer();
}
