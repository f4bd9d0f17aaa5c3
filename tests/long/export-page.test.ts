/// <reference lib="dom" />
/**
 * What `trainer export` writes for the web, in Chromium: the page by a double click with the network cut, and a page of one's own
 * with `loadClassifier`. FITLOOP_CHROMIUM names the browser; without one the tests fail, they do not skip.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser, Page as Tab } from "playwright-core";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Prediction } from "../../browser/index.js";
import { imageFolder } from "../../core/data/index.js";
import { resnet9 } from "../../core/models/index.js";
import { stream } from "../../core/rng.js";
import { exportRun } from "../../export/index.js";
import { openRun, type Run, train } from "../../run/index.js";
import { launchChromium } from "../support/chromium.js";

const base = mkdtempSync(join(tmpdir(), "fitloop-export-page-"));
const size = 64;
/** A class that would be code if a page took it for HTML. */
const oval = "<img src=x onerror=alert(1)> & oval";
/** What is exported: each with its folder. */
const exported = [
  ["tfjs", {}, "tfjs"],
  ["tfjs", { quantize: "float16", input: "uint8" }, "tfjs-float16"],
  ["tfjs", { output: "logits", folder: "logits" }, "tfjs"],
  ["litert", {}, "litert"],
  ["litert", { quantize: "int8", input: "uint8" }, "litert-int8"],
] as const;
const folderOf = (place: number): string => {
  const [, options, name] = exported[place]!;
  return join(base, "folder" in options ? options.folder : "web", name);
};

let browser: Browser;
let run: Run;
let server: Server;
let origin: string;
/** Squeezed into a square instead of cut, an oval in a wide photo is a disc, and a disc in a high one an oval. */
const photos = (
  [
    ["oval", [600, 300]],
    ["disc", [300, 600]],
    ["disc", [600, 300]],
    ["oval", [800, 400]],
  ] as const
).map(([shape, sides], at) => ({ shape, sides, file: join(base, `${shape}-${at}.jpg`), squeezed: at < 2 }));
/** A photo of exactly the pixels that the network sees: nothing is left to resizing or to JPEG. */
const exact = join(base, "exact.png");

/** A coloured disc, or an oval that is twice as wide as high, near the middle of noise. */
async function draw(
  place: number,
  shape: "disc" | "oval",
  file: string,
  [width, height]: readonly [number, number] = [600, 300],
): Promise<void> {
  const random = stream(place, shape);
  const noise = Uint8Array.from({ length: 30 * 20 * 3 }, () => random.int(160));
  const [x, y] = [random.range(0.46, 0.54) * width, random.range(0.4, 0.6) * height];
  const radius = Math.min(width, height) / 4;
  const stretch = shape === "oval" ? Math.SQRT2 : 1;
  const colour = `rgb(${random.int(256)}, ${random.int(256)}, 255)`;
  const mark = `<ellipse cx="${x}" cy="${y}" rx="${radius * stretch}" ry="${radius / stretch}" fill="${colour}"/>`;
  const svg = Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${mark}</svg>`);
  const painted = sharp(noise, { raw: { width: 30, height: 20, channels: 3 } })
    .resize(width, height, { fit: "fill" })
    .composite([{ input: svg }]);
  await (file.endsWith(".png") ? painted.png() : painted.jpeg({ quality: 90 })).toFile(file);
}

beforeAll(async () => {
  const folder = join(base, "photos");
  for (const [shape, name] of [
    ["disc", "disc"],
    ["oval", oval],
  ] as const) {
    mkdirSync(join(folder, name), { recursive: true });
    for (let place = 0; place < 40; place++) await draw(place, shape, join(folder, name, `${place}.jpg`));
  }
  for (const [at, { shape, sides, file }] of photos.entries()) await draw(100 + at, shape, file, sides);
  for (const { file } of photos) await sharp(file).resize(300, 300, { fit: "fill" }).toFile(squeezedOf(file));
  await draw(110, "oval", exact, [size, size]);
  const config = {
    name: "discs-and-ovals",
    data: imageFolder({ path: folder, size }),
    model: resnet9({ width: 4 }),
    learningRate: 0.05,
    epochs: 12,
    batchSize: 8,
    holdout: 0.2,
  };
  (await train(config, { folder: join(base, "run") })).dispose();
  run = await openRun(join(base, "run"));
  for (const [to, options] of exported) {
    const folder = join(base, "folder" in options ? options.folder : "web");
    await exportRun(join(base, "run"), { to, page: true, ...options, folder });
  }
  const cameraOfNobody = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"];
  browser = await launchChromium(...cameraOfNobody);
  // Imported by the page itself: vitest would put an import of its own in the place of one in a test.
  const load = 'globalThis.own = await import(location.search.slice(1) + "/classifier.js");';
  writeFileSync(join(base, "empty.html"), "<!doctype html><title>empty</title>");
  writeFileSync(join(base, "own.html"), `<!doctype html><title>own</title><script type="module">${load}</script>`);
  const types: Record<string, string> = { html: "text/html", js: "text/javascript", json: "application/json" };
  const work = `onmessage = async ({ data: [folder, photo] }) => {
    try {
      const { loadClassifier } = await import(folder + "/classifier.js");
      const model = await loadClassifier(folder);
      const blob = await (await fetch(photo)).blob();
      const found = await model.classify(await createImageBitmap(blob));
      postMessage([found, await model.classify(blob)]);
    } catch (error) {
      postMessage(String(error));
    }
  };`;
  writeFileSync(join(base, "worker.js"), work);
  server = createServer(({ url = "/" }, answer) => {
    const file = join(base, decodeURIComponent(url.replace(/\?.*/, "")));
    if (!existsSync(file)) return answer.writeHead(404).end();
    answer.setHeader("content-type", types[file.split(".").at(-1)!] ?? "application/octet-stream");
    answer.end(readFileSync(file));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}, 300_000);

afterAll(async () => {
  await browser?.close();
  server?.close();
  run?.dispose();
  rmSync(base, { recursive: true, force: true });
});

/** Errors of the page, and requests that leave it. */
async function open(address: string, { offline = true } = {}): Promise<{ tab: Tab; trouble: string[] }> {
  const context = await browser.newContext({ offline, viewport: { width: 900, height: 760 } });
  const tab = await context.newPage();
  const trouble: string[] = [];
  tab.on("pageerror", (error) => trouble.push(`error: ${error.message}`));
  tab.on("request", (request) => {
    const url = request.url();
    if (!/^(data|blob):/.test(url) && url !== address && !url.startsWith(`${origin}/`)) trouble.push(`request: ${url}`);
  });
  await tab.goto(address);
  return { tab, trouble };
}

/** As a person drops it, in the middle of the page. */
async function drop(tab: Tab, file: string): Promise<Prediction[]> {
  await tab.$eval("#answers", (list) => list.replaceChildren());
  const bytes = readFileSync(file).toString("base64");
  const transfer = await tab.evaluateHandle(
    ([text, name]) => {
      const data = new DataTransfer();
      const content = Uint8Array.from(atob(text!), (letter) => letter.charCodeAt(0));
      data.items.add(new File([content], name!, { type: name!.endsWith("png") ? "image/png" : "image/jpeg" }));
      return data;
    },
    [bytes, basename(file)],
  );
  await tab.dispatchEvent("#drop", "drop", { dataTransfer: transfer });
  await tab.waitForSelector("#answers li");
  return tab.$$eval("#answers li", (rows) =>
    rows.map((row) => ({
      class: row.querySelector(".name")!.textContent!,
      probability: row.querySelector("meter")!.value,
    })),
  );
}

/** Of probabilities, where a browser decodes and scales a JPEG photo. */
const photoTolerance = 5e-3;
const squeezedOf = (file: string): string => `${file}-squeezed.jpg`;

it("photos are clear to the run, and a page that squeezed them would be noticed", async () => {
  for (const { shape, file, squeezed } of photos) {
    const [best] = await run.predict(file);
    expect(best!.class).toBe(shape === "oval" ? oval : "disc");
    expect(best!.probability).toBeGreaterThan(0.9);
    if (!squeezed) continue;
    const other = (await run.predict(squeezedOf(file))).find((each) => each.class === best!.class)!;
    expect(best!.probability - other.probability).toBeGreaterThan(0.3); // also outside of the tolerance of int8
  }
});

const near = (found: readonly Prediction[], wanted: readonly Prediction[], tolerance: number): void => {
  expect(found.map((each) => each.class)).toEqual(wanted.map((each) => each.class));
  found.forEach((each, at) => {
    expect(Math.abs(each.probability - wanted[at]!.probability)).toBeLessThan(tolerance);
  });
};

describe.each(exported.map(([to, options], place) => [to, options, place] as const))("%s %j", (_, options, place) => {
  const int8 = "quantize" in options && options.quantize === "int8";

  it("is a page that answers as the run does, by a double click and with the network cut", async () => {
    const { tab, trouble } = await open(pathToFileURL(join(folderOf(place), "index.html")).href);
    await tab.waitForSelector("body[data-ready]");
    expect(await tab.title()).toBe("discs-and-ovals");
    near(await drop(tab, exact), await run.predict(exact), int8 ? 0.02 : 1e-3);
    for (const { file } of photos) near(await drop(tab, file), await run.predict(file), int8 ? 0.02 : photoTolerance);
    expect(await tab.textContent("#status")).toMatch(/^(disc|<img .*oval), \d+\.\d % \(\d+ ms\)$/);
    expect(trouble).toEqual([]);
  });

  it("answers in a page of one's own, for whatever a browser can draw", async () => {
    const folder = folderOf(place).slice(base.length);
    const { tab, trouble } = await open(`${origin}/own.html?${folder}`, { offline: false });
    await tab.waitForFunction("globalThis.own");
    const found = await tab.evaluate(async (address) => {
      const { loadClassifier } = (globalThis as unknown as { own: typeof import("../../browser/index.js") }).own;
      const model = await loadClassifier(address);
      const image = Object.assign(new Image(), { src: "/exact.png" });
      const blob = await (await fetch("/exact.png")).blob();
      const bitmap = await createImageBitmap(blob);
      const canvas = Object.assign(document.createElement("canvas"), { width: bitmap.width, height: bitmap.height });
      canvas.getContext("2d")!.drawImage(bitmap, 0, 0);
      const pixels = canvas.getContext("2d")!.getImageData(0, 0, bitmap.width, bitmap.height);
      const all = [];
      for (const each of [image, blob, bitmap, canvas, pixels]) all.push(await model.classify(each));
      const best = await model.classify(blob, { top: 1 });
      const refused = await model.classify(new Blob(["no image"])).catch((error: Error) => error.name);
      const twice = await loadClassifier(address);
      const again = await twice.classify(image);
      model.dispose();
      return { all, best, refused, again, classes: model.classes };
    }, folder);
    const wanted = await run.predict(exact);
    for (const each of found.all) near(each, wanted, int8 ? 0.02 : 1e-3);
    near(found.again, wanted, int8 ? 0.02 : 1e-3);
    expect(found.best).toEqual([found.all[0]![0]]);
    expect(found.refused).toBe("InvalidStateError");
    expect(found.classes).toEqual([oval, "disc"]);
    expect(trouble).toEqual([]);
  });

  it.each(["classic", "module"] as const)("answers in a worker of type %s", async (type) => {
    const { tab, trouble } = await open(`${origin}/empty.html`, { offline: false });
    const folder = `${origin}${folderOf(place).slice(base.length)}`;
    const found = await tab.evaluate(
      ([each, data]) =>
        new Promise<Prediction[][]>((resolve, reject) => {
          const worker = new Worker("/worker.js", { type: each });
          worker.onmessage = ({ data: answer }) =>
            typeof answer === "string" ? reject(new Error(answer)) : resolve(answer);
          worker.onerror = ({ message }) => reject(new Error(message));
          worker.postMessage(data);
        }),
      [type, [folder, `${origin}/exact.png`]] as const,
    );
    const wanted = await run.predict(exact);
    for (const each of found) near(each, wanted, int8 ? 0.02 : 1e-3);
    expect(trouble).toEqual([]);
  });
});

it("the page says what it cannot do, takes keys, and shows an error for what is no image", async () => {
  const { tab, trouble } = await open(pathToFileURL(join(folderOf(0), "index.html")).href);
  await tab.waitForSelector("body[data-ready]");
  const limits = await tab.textContent(".limits");
  expect(limits).toContain(`always answers with one of its 2 classes: ${oval}, disc.`);
  expect(limits).toContain("64 × 64 pixels");
  await tab.keyboard.press("Tab");
  expect(await tab.evaluate(() => document.activeElement?.id)).toBe("file");
  await tab.keyboard.press("Tab");
  expect(await tab.evaluate(() => document.activeElement?.id)).toBe("camera");
  writeFileSync(join(base, "no-image.jpg"), "no image");
  await tab.setInputFiles("#file", join(base, "no-image.jpg"));
  await tab.waitForFunction(() => document.getElementById("status")!.textContent!.startsWith("no-image.jpg: "));
  expect(trouble).toEqual([]);
});

it("the page asks for the camera once, however often the button is clicked meanwhile", async () => {
  const { tab } = await open(pathToFileURL(join(folderOf(0), "index.html")).href);
  await tab.waitForSelector("body[data-ready]");
  const asked = await tab.evaluate(async () => {
    let count = 0;
    const { mediaDevices } = navigator;
    const ask = mediaDevices.getUserMedia.bind(mediaDevices);
    let allow = (): void => {};
    const allowed = new Promise<void>((resolve) => {
      allow = resolve;
    });
    mediaDevices.getUserMedia = async (wanted) => {
      count++;
      await allowed;
      return ask(wanted);
    };
    const button = document.getElementById("camera") as HTMLButtonElement;
    button.click();
    button.click();
    allow();
    return count;
  });
  expect(asked).toBe(1);
  await tab.waitForSelector("#answers li");
  expect(await tab.isEnabled("#camera")).toBe(true);
});

it("the page classifies the camera until it is stopped", async () => {
  const { tab, trouble } = await open(pathToFileURL(join(folderOf(0), "index.html")).href);
  await tab.waitForSelector("body[data-ready]");
  await tab.click("#camera");
  await tab.waitForSelector("#answers li");
  expect(await tab.getAttribute("#camera", "aria-pressed")).toBe("true");
  await tab.click("#camera");
  expect(await tab.getAttribute("#camera", "aria-pressed")).toBe("false");
  expect(trouble).toEqual([]);
});
