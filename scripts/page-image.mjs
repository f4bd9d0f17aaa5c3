/**
 * Makes docs/page.png: the page of an exported run with an image that was dropped on it, in Chromium (FITLOOP_CHROMIUM, or
 * /usr/bin/chromium):
 *
 *     node bin/trainer.mjs --preset quickstart --seed 1 --out runs/docs
 *     node bin/trainer.mjs export runs/docs --to tfjs
 *     node scripts/page-image.mjs runs/docs/export/tfjs/index.html
 *
 * The image is drawn here: a star, as the preset draws them.
 */
import { fileURLToPath, pathToFileURL } from "node:url";
import { chromium } from "playwright-core";
import sharp from "sharp";

const [page] = process.argv.slice(2);
if (page === undefined) {
  console.error("usage: node scripts/page-image.mjs EXPORT/tfjs/index.html");
  process.exit(2);
}
const corners = Array.from({ length: 10 }, (_, at) => {
  const [angle, reach] = [Math.PI * (at / 5 - 0.46), at % 2 === 0 ? 125 : 52];
  return `${250 + reach * Math.cos(angle)},${187 + reach * Math.sin(angle)}`;
});
const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="500" height="375">
<defs><linearGradient id="sky" x2="0.6" y2="1"><stop stop-color="#2d5a72"/><stop offset="1" stop-color="#1d3344"/></linearGradient></defs>
<rect width="500" height="375" fill="url(#sky)"/><polygon points="${corners.join(" ")}" fill="#f2b33d"/></svg>`;
const image = await sharp(Buffer.from(svg)).png().toBuffer();

const executablePath = process.env.FITLOOP_CHROMIUM ?? "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
try {
  const context = await browser.newContext({ viewport: { width: 900, height: 640 }, offline: true });
  const tab = await context.newPage();
  await tab.goto(pathToFileURL(page).href);
  await tab.waitForSelector("body[data-ready]");
  await tab.setInputFiles("#file", { name: "star.png", mimeType: "image/png", buffer: image });
  await tab.waitForSelector("#answers li");
  const shot = await tab.screenshot({ fullPage: true });
  await sharp(shot)
    .png({ palette: true, colours: 64 })
    .toFile(fileURLToPath(new URL("../docs/page.png", import.meta.url)));
  console.log(await tab.textContent("#status"));
} finally {
  await browser.close();
}
