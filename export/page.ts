/** `index.html` of an exported model: one file that works by a double click, and whose content policy forbids any request. */
import type { ClassifierFile } from "../browser/classifier.js";
import { percent } from "../core/format.js";
import { escapeJson, escapeText, hashOf } from "../core/html.js";

/** What tells our page from one that somebody else wrote. */
export const generator = '<meta name="generator" content="fitloop">';

/** A multiple of 3, so that the pieces' base64 can be joined. */
const pieceBytes = 3 * 2 ** 16;

/**
 * In pieces, since a model may be large.
 *
 * @param files what the script reads, by name
 */
export function* classifierPage(
  about: ClassifierFile,
  files: ReadonlyMap<string, Iterable<Uint8Array>>,
  script: string,
  style: string,
): Generator<Uint8Array> {
  const inline = script.replaceAll("</script", "<\\/script");
  const policy = [
    "default-src 'none'",
    `script-src ${hashOf(inline)} 'wasm-unsafe-eval'${about.format === "litert" ? " blob:" : ""}`, // its loader is a blob
    `style-src ${hashOf(style)}`,
    "connect-src blob:", // the runtime's program, which is in this page
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  yield Buffer.from(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
${generator}
<link rel="icon" href="data:,">
<title>${escapeText(about.name)}</title>
<style>${style}</style>
</head>
<body>
<main>
<h1>${escapeText(about.name)}</h1>
<p class="lead">Which of ${about.classes.length} classes does an image show? It is classified here, and goes nowhere.</p>
<div class="both">
<div>
<label id="drop"><input type="file" id="file" accept="image/*"><span>Drop an image here, or click to choose one.</span><canvas id="preview" width="720" height="720" aria-label="The part of the image that was classified"></canvas></label>
<button type="button" id="camera" aria-pressed="false">Use the camera</button>
</div>
<div>
<p id="status" role="status">Loading the model …</p>
<ol id="answers" aria-label="Most probable classes"></ol>
</div>
</div>
<section class="limits">
<h2>What it cannot do</h2>
<ul>
${limits(about)
  .map((each) => `<li>${escapeText(each)}</li>`)
  .join("\n")}
</ul>
</section>
</main>
<script type="application/json" id="classifier">${escapeJson(JSON.stringify(about))}</script>
`);
  for (const [name, bytes] of files) {
    yield Buffer.from(`<script type="application/octet-stream" data-file="${escapeText(name)}">`);
    for (const piece of regrouped(bytes)) yield Buffer.from(piece.toString("base64"));
    yield Buffer.from("</script>\n");
  }
  yield Buffer.from(`<script>${inline}</script>\n</body>\n</html>\n`);
}

/** The same bytes in pieces of `pieceBytes`, the last one shorter. */
function* regrouped(pieces: Iterable<Uint8Array>): Generator<Buffer> {
  const group = Buffer.alloc(pieceBytes);
  let length = 0;
  for (const piece of pieces) {
    for (let from = 0; from < piece.length; ) {
      const part = piece.subarray(from, from + pieceBytes - length);
      group.set(part, length);
      from += part.length;
      length += part.length;
      if (length < pieceBytes) continue;
      yield group;
      length = 0;
    }
  }
  if (length > 0) yield group.subarray(0, length);
}

function limits({ classes, input, test }: ClassifierFile): string[] {
  const named = classes.length <= 12 ? `: ${classes.join(", ")}` : "";
  return [
    `It always answers with one of its ${classes.length} classes${named}. A photo of anything else gets one of them too.`,
    `It sees the middle square of an image at ${input.crop} × ${input.crop} pixels. What lies outside or is smaller is lost.`,
    test
      ? `On ${test.images} test images the run was right on ${percent(test.top1)}. On other photos it may be worse.`
      : "It was not tested on images of its own. How often it is right is not known.",
  ];
}
