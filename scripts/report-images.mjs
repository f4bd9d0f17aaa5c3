/**
 * Makes docs/report.png and docs/report-images.png from a run's report.html, and docs/compare.png from a comparison, in
 * Chromium (FITLOOP_CHROMIUM, or /usr/bin/chromium):
 *
 *     node bin/trainer.mjs --preset quickstart --epochs 3 --seed 1 --out runs/docs
 *     node scripts/report-images.mjs runs/docs/report.html
 *
 * and with seeds 1 to 3 in runs/seed-N, and the same with --learning-rate 0.02 in runs/low-rate-N:
 *
 *     node bin/trainer.mjs compare runs/seed-* runs/low-rate-* --out runs/compare.html
 *     node scripts/report-images.mjs runs/docs/report.html runs/compare.html
 *
 * Drawn shapes may be shown to anybody; show no other data here.
 */
import { fileURLToPath, pathToFileURL } from "node:url";
import { chromium } from "playwright-core";
import sharp from "sharp";

const [page, comparison] = process.argv.slice(2);
if (page === undefined) {
  console.error("usage: node scripts/report-images.mjs RUN/report.html [compare.html]");
  process.exit(2);
}
const docs = (name) => fileURLToPath(new URL(`../docs/${name}`, import.meta.url));
const executablePath = process.env.FITLOOP_CHROMIUM ?? "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
try {
  const tab = await browser.newPage({ viewport: { width: 1040, height: 900 } });
  await tab.goto(pathToFileURL(page).href);
  const section = (title) => tab.locator("section", { has: tab.locator("h3", { hasText: title }) }).first();
  const boxOf = async (title) => (await section(title).boundingBox()) ?? { x: 0, y: 0, width: 0, height: 0 };
  const curves = await boxOf("Loss");
  const top = { x: 0, y: 0, width: 1040, height: Math.ceil(curves.y + curves.height + 14) };
  const overview = await tab.screenshot({ clip: top, fullPage: true });
  const matrix = await boxOf("Confusion matrix: test");
  const below = { x: 0, y: matrix.y, width: 1040, height: Math.ceil(matrix.height + 10) };
  const confusion = await tab.screenshot({ clip: below, fullPage: true });
  await sharp({ create: { width: 1040, height: top.height + below.height, channels: 3, background: "#f6f7f9" } })
    .composite([
      { input: overview, top: 0, left: 0 },
      { input: confusion, top: top.height, left: 0 },
    ])
    .png({ palette: true, colours: 128 })
    .toFile(docs("report.png"));
  const worst = await boxOf("Worst images: test");
  const second = await section("Worst images: test").locator("figure").nth(5).boundingBox();
  const rows = { ...worst, height: second.y + second.height + 14 - worst.y }; // two rows of three
  const images = await tab.screenshot({ clip: rows, fullPage: true });
  await sharp(images).png({ palette: true, colours: 256 }).toFile(docs("report-images.png"));
  if (comparison !== undefined) {
    await tab.goto(pathToFileURL(comparison).href);
    const curves = await boxOf("Training accuracy");
    const compared = await tab.screenshot({
      clip: { x: 0, y: 0, width: 1040, height: Math.ceil(curves.y + curves.height + 14) },
      fullPage: true,
    });
    await sharp(compared).png({ palette: true, colours: 128 }).toFile(docs("compare.png"));
  }
} finally {
  await browser.close();
}
