/// <reference lib="dom" />
/**
 * Reports in a real browser: what they draw, that they ask nobody for anything, and that no name from data, config or
 * files becomes code. FITLOOP_CHROMIUM names the browser; without one the tests fail, they do not skip.
 */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page as Tab } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadBackend, Trainer } from "../../core/index.js";
import { microConfig } from "../../core/testing/index.js";
import type { Block, Page } from "../../report/blocks.js";
import { comparePage } from "../../report/compare-page.js";
import { pageHtml } from "../../report/html.js";
import { createReport } from "../../report/observer.js";
import { readRun } from "../../report/read.js";
import { createTold, runPage } from "../../report/run-page.js";
import { createRunRecord } from "../../run/record.js";

const base = mkdtempSync(join(tmpdir(), "fitloop-browser-"));
const path = process.env.FITLOOP_CHROMIUM ?? "/usr/bin/chromium";
let browser: Browser;
let run: string;

beforeAll(async () => {
  if (!existsSync(path))
    throw new Error(`These tests need Chromium, and ${path} is not there. Install it, or name it in FITLOOP_CHROMIUM.`);
  const quiet = [
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ];
  browser = await chromium.launch({ executablePath: path, args: ["--no-sandbox", "--disable-gpu", ...quiet] });
  await loadBackend();
  run = mkdtempSync(join(base, "run-"));
  await new Trainer(microConfig({ epochs: 4 }), [createRunRecord().plugin, createReport()]).fit({ folder: run });
}, 120_000);
afterAll(async () => {
  await browser?.close();
  rmSync(base, { recursive: true, force: true });
});

interface Seen {
  tab: Tab;
  /** Whatever a reader should not meet: messages of the console, broken policies, requests. */
  trouble: string[];
}

let pages = 0;
async function open(page: Page | string, { dark = false, width = 1200, hash = "" } = {}): Promise<Seen> {
  const file = typeof page === "string" ? page : join(base, `page-${pages++}.html`);
  if (typeof page !== "string") writeFileSync(file, pageHtml(page));
  const tab = await browser.newPage({ viewport: { width, height: 800 }, colorScheme: dark ? "dark" : "light" });
  const trouble: string[] = [];
  tab.on("console", (message) => trouble.push(`${message.type()}: ${message.text()}`));
  tab.on("pageerror", (error) => trouble.push(`error: ${error.message}`));
  tab.on("dialog", (dialog) => trouble.push(`dialog: ${dialog.message()}`));
  tab.on("request", (request) => {
    const [address] = request.url().split("#");
    if (!request.url().startsWith("data:") && address !== pathToFileURL(file).href)
      trouble.push(`request: ${request.url()}`);
  });
  await tab.goto(`${pathToFileURL(file).href}${hash}`);
  return { tab, trouble };
}

/** Pixels of each chart's canvas that are of none of its three commonest colours: curves, not paper and grid. */
const inked = (tab: Tab): Promise<number[]> =>
  tab.$$eval(".u-wrap canvas", (canvases) =>
    canvases.map((canvas) => {
      const { width, height } = canvas as HTMLCanvasElement;
      const { data } = (canvas as HTMLCanvasElement).getContext("2d")!.getImageData(0, 0, width, height);
      let count = 0;
      for (let at = 0; at < data.length; at += 4) {
        const [red, green, blue, alpha] = [data[at]!, data[at + 1]!, data[at + 2]!, data[at + 3]!];
        if (alpha > 128 && Math.max(red, green, blue) - Math.min(red, green, blue) > 60) count++;
      }
      return count;
    }),
  );

/** A matrix whose classes are right nine times of ten, and once taken for the next. */
const matrixOf = (size: number): Page => {
  const classes = Array.from({ length: size }, (_, at) => `class ${at}`);
  const counts = classes.flatMap((_, truth) =>
    classes.map((_, said) => (said === truth ? 9 : said === (truth + 1) % size ? 1 : 0)),
  );
  return { title: "t", summary: "s", blocks: [{ kind: "confusion", title: `m ${size}`, classes, counts }] };
};
const rowsOf = (count: number): Block => ({
  kind: "table",
  title: "rows",
  first: 5,
  columns: [{ name: "row", format: "integer" }],
  rows: Array.from({ length: count }, (_, at) => [at]),
});

describe("a run's report", () => {
  it.each([{ dark: false }, { dark: true }])(
    "draws every chart without a word in the console, $dark",
    async ({ dark }) => {
      const { tab, trouble } = await open(join(run, "report.html"), { dark });
      const ink = await inked(tab);
      expect(ink).toHaveLength(5);
      for (const [at, pixels] of ink.entries()) expect(pixels, `chart ${at}`).toBeGreaterThan(20);
      const background = await tab.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const [red] = background.match(/\d+/g)!.map(Number) as [number];
      expect(red < 128).toBe(dark);
      const broken = await tab.$$eval(
        "img",
        (images) => images.filter((image) => (image as HTMLImageElement).naturalWidth === 0).length,
      );
      expect(broken).toBe(0);
      expect(trouble).toEqual([]);
      await tab.close();
    },
  );

  it("fits a phone: nothing is wider than 360 pixels", async () => {
    const { tab, trouble } = await open(join(run, "report.html"), { width: 360 });
    expect(await tab.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
    expect(trouble).toEqual([]);
    await tab.close();
  });

  it("sorts a table by a column, both ways, by keyboard, and says so", async () => {
    const { tab } = await open(join(run, "report.html"));
    const section = tab.locator("section", { hasText: /^Epochs/ });
    const button = section.getByRole("button", { name: "training loss" });
    await button.focus();
    const column = async (): Promise<number[]> =>
      (await section.locator("tbody tr td:nth-child(2)").allTextContents()).map(Number);
    for (const direction of ["descending", "ascending"]) {
      await tab.keyboard.press("Enter");
      expect(await section.locator(`th[aria-sort="${direction}"]`).count()).toBe(1);
      const values = await column();
      const sorted = [...values].sort((a, b) => (direction === "ascending" ? a - b : b - a));
      expect(values).toEqual(sorted);
      expect(values.length).toBe(4);
    }
    await tab.close();
  });

  it("sorts the matrix, and tells what is in a cell by click and by key", async () => {
    const counts = [9, 1, 0, 0, 4, 6, 0, 0, 10];
    const { tab, trouble } = await open({
      title: "t",
      summary: "s",
      blocks: [{ kind: "confusion", title: "m", classes: ["ant", "bee", "cow"], counts }],
    });
    const canvas = tab.locator(".matrix canvas");
    const said = tab.locator('.matrix [aria-live="polite"]');
    expect(await tab.locator(`#${await canvas.getAttribute("aria-describedby")}`).textContent()).toBe(
      "Most confused: bee was said to be cow 6 times of 10 (60.0 %). ant was said to be bee 1 time of 10 (10.0 %).",
    );
    await canvas.focus();
    await tab.keyboard.press("Home");
    expect(await said.textContent()).toBe("ant was said to be ant 9 times of 10 (90.0 %).");
    await tab.locator("select").selectOption("worst first");
    expect(await said.textContent()).toBe("ant was said to be ant 9 times of 10 (90.0 %)."); // the chosen one stays chosen
    await canvas.focus();
    await tab.keyboard.press("Home");
    await tab.keyboard.press("ArrowRight");
    await tab.keyboard.press("ArrowRight");
    expect(await said.textContent()).toBe("bee was said to be cow 6 times of 10 (60.0 %).");
    const box = (await canvas.boundingBox())!;
    await tab.mouse.click(box.x + box.width - 5, box.y + box.height - 5);
    expect(await said.textContent()).toBe("cow was said to be cow 10 times of 10 (100.0 %).");
    await tab.reload();
    expect(await tab.locator("select").inputValue()).toBe("worst first");
    expect(await said.textContent()).toBe("cow was said to be cow 10 times of 10 (100.0 %).");
    expect(trouble).toEqual([]);
    await tab.close();
  });

  it("takes a class's name for its largest mistake, and tells the cell under the mouse", async () => {
    const { tab } = await open(matrixOf(3));
    const box = (await tab.locator(".matrix canvas").boundingBox())!;
    const said = tab.locator('.matrix [aria-live="polite"]');
    const y = box.y + box.height - 20; // of the last class
    await tab.mouse.click(box.x + 30, y);
    expect(await said.textContent()).toBe("class 2 was said to be class 0 1 time of 10 (10.0 %).");
    await tab.mouse.move(box.x + box.width - 20, y);
    expect(await said.textContent()).toBe("class 2 was said to be class 2 9 times of 10 (90.0 %).");
    await tab.mouse.move(2, 2);
    expect(await said.textContent()).toContain("class 0 1 time");
    await tab.close();
  });

  /** What a page writes on its canvases, and in which size of letters it comes to be seen. */
  const written = async (page: Page, width: number): Promise<{ texts: string[]; size: number }> => {
    const tab = await browser.newPage({ viewport: { width, height: 800 } });
    await tab.addInitScript(() => {
      const { fillText } = CanvasRenderingContext2D.prototype;
      const all = ((window as any).written = [] as string[]);
      CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
        all.push(String(text));
        return fillText.call(this, text, ...rest);
      };
    });
    const file = join(base, `page-${pages++}.html`);
    writeFileSync(file, pageHtml(page));
    await tab.goto(pathToFileURL(file).href);
    const texts = await tab.evaluate(() => (window as any).written as string[]);
    const size = await tab.$eval(".matrix canvas", (node) => {
      const canvas = node as HTMLCanvasElement;
      const context = canvas.getContext("2d")!;
      return (
        parseFloat(context.font) * context.getTransform().a * (canvas.getBoundingClientRect().width / canvas.width)
      );
    });
    expect(await tab.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
    await tab.close();
    return { texts, size };
  };

  it.each([1200, 360])(
    "names classes and axes of a matrix at %i pixels, and counts where cells have room",
    async (width) => {
      const few = await written(matrixOf(3), width);
      for (const [text, times] of [
        ["class 0", 2],
        ["class 2", 2],
        ["9", 3],
        ["said to be →", 1],
        ["← true class", 1],
      ] as const) {
        expect(
          few.texts.filter((each) => each === text),
          text,
        ).toHaveLength(times);
      }
      const many = await written(matrixOf(100), width);
      expect(many.texts.filter((text) => text.startsWith("class "))).toHaveLength(100); // each second, twice
      expect(many.texts).not.toContain("9");
      for (const { size } of [few, many]) expect(size).toBeGreaterThanOrEqual(10);
    },
  );

  it("tells a chart's values by keys, and what it comes to by its name", async () => {
    const series = [
      { name: "training", y: [4, 1, 2] },
      { name: "held out", y: [null, 3, null] },
    ];
    const block: Block = {
      kind: "chart",
      title: "Loss",
      format: "number",
      best: "least",
      xLabel: "step",
      x: [1, 2, 3],
      series,
    };
    const { tab, trouble } = await open({ title: "t", summary: "s", blocks: [block] });
    const chart = tab.getByRole("application");
    expect(await chart.getAttribute("aria-label")).toMatch(
      /^Loss: training: first 4, best 1, last 2; held out: first 3, best 3, last 3\./,
    );
    await tab.keyboard.press("Tab");
    const heard: (string | null)[] = [];
    for (const key of ["ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowRight", "End"]) {
      await tab.keyboard.press(key);
      heard.push(await tab.locator('[aria-live="polite"]').textContent());
    }
    const [first, second, third] = ["step 1   training 4", "step 2   training 1   held out 3", "step 3   training 2"];
    expect(heard).toEqual([third, second, first, first, second, third]);
    expect(trouble).toEqual([]);
    await tab.close();
  });

  it("takes away a chart before it draws it again", async () => {
    const tab = await browser.newPage();
    await tab.addInitScript(() => {
      const state = ((window as any).listeners = { count: 0 });
      const own = "dppxchange"; // what a chart listens for on the window until it is destroyed
      const { addEventListener: add, removeEventListener: remove } = window;
      window.addEventListener = (...given: any) => (
        (state.count += Number(given[0] === own)), (add as any).apply(window, given)
      );
      window.removeEventListener = (...given: any) => (
        (state.count -= Number(given[0] === own)), (remove as any).apply(window, given)
      );
    });
    await tab.goto(pathToFileURL(join(run, "report.html")).href);
    const listeners = (): Promise<number> => tab.evaluate(() => (window as any).listeners.count);
    const before = await listeners();
    for (const colorScheme of ["dark", "light", "dark"] as const) await tab.emulateMedia({ colorScheme });
    await tab.waitForFunction(() => matchMedia("(prefers-color-scheme: dark)").matches);
    expect(await listeners()).toBe(before);
    expect(await tab.locator(".uplot").count()).toBe(5);
    await tab.close();
  });

  it("prints all of itself in light colours, and is then as it was", async () => {
    const { tab, trouble } = await open(
      { ...pageOf("x".repeat(300)), blocks: [...pageOf("x".repeat(300)).blocks, rowsOf(30), matrixOf(100).blocks[0]!] },
      { dark: true },
    );
    const state = (): Promise<object> =>
      tab.evaluate(() => {
        const canvas = Array.from(document.querySelectorAll<HTMLCanvasElement>(".matrix canvas")).at(-1)!;
        const [red] = canvas.getContext("2d")!.getImageData(1, 1, 1, 1).data;
        return {
          open: document.querySelectorAll("details[open]").length,
          rows: document.querySelectorAll("section:nth-last-child(2) tbody tr").length,
          light: red! > 128,
        };
      });
    const before = { open: 0, rows: 5, light: false };
    expect(await state()).toEqual(before);
    await tab.evaluate(() =>
      addEventListener(
        "beforeprint",
        () => ((window as any).printed = document.querySelectorAll("details:not([open])").length),
      ),
    );
    expect((await tab.pdf({ format: "A4" })).length).toBeGreaterThan(1000);
    expect(await tab.evaluate(() => (window as any).printed)).toBe(0); // the browser says that it prints
    expect(await state()).toEqual(before);
    // As the paper has it: its medium, its width, and the page told.
    await tab.emulateMedia({ media: "print", colorScheme: "dark" });
    await tab.setViewportSize({ width: 718, height: 1000 });
    await tab.evaluate(() => dispatchEvent(new Event("beforeprint")));
    expect(await state()).toEqual({ open: 2, rows: 30, light: true });
    expect(await tab.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(718);
    const cut = await tab.$$eval(".scroll, .plane, pre, section", (nodes) =>
      nodes
        .filter((node) => node.scrollWidth > node.clientWidth + 1)
        .map((node) => `${node.className} ${node.scrollWidth} ${node.clientWidth} ${node.textContent!.slice(0, 40)}`),
    );
    expect(cut).toEqual([]);
    expect(await tab.$eval(".legend i", (mark) => getComputedStyle(mark).printColorAdjust)).toBe("exact");
    expect(trouble.filter((text) => !text.includes("willReadFrequently"))).toEqual([]); // what this test itself does
    await tab.close();
  });

  it("loads itself again while the run lasts, keeps where its reader was, and stops when told", async () => {
    const page = { ...runPage(readRun(run, true)), reload: 1.5 };
    const { tab, trouble } = await open(page);
    const details = tab.locator("details").first();
    await details.locator("summary").click();
    await tab.locator(".matrix canvas").first().press("Home");
    const said = await tab.locator(".matrix .said > p[aria-live]").first().textContent();
    await tab.evaluate(() => scrollTo(0, 700));
    await tab.waitForEvent("load");
    expect(await details.getAttribute("open")).not.toBeNull();
    expect(await tab.locator(".matrix .said > p[aria-live]").first().textContent()).toBe(said);
    expect(await tab.evaluate(() => scrollY)).toBe(700);
    await tab.getByRole("button", { name: "stop loading again" }).click();
    let loads = 0;
    tab.on("load", () => loads++);
    await tab.waitForTimeout(2000);
    expect(loads).toBe(0);
    await tab.reload();
    expect(await tab.getByRole("button", { name: "load again while" }).count()).toBe(1); // still
    expect(trouble).toEqual([]);
    await tab.close();
  });

  it("lets long names of rows go over several lines", async () => {
    const name = "x".repeat(200);
    const block: Block = {
      kind: "table",
      title: "t",
      columns: [
        { name: "class", format: "text" },
        { name: "accuracy", format: "percent" },
      ],
      rows: [[name, 0.5]],
    };
    const { tab } = await open({ title: "t", summary: "s", blocks: [block] }, { width: 700 });
    const room = await tab.$eval(".scroll", ({ scrollWidth, clientWidth }) => scrollWidth - clientWidth);
    expect(room).toBe(0);
    await tab.close();
  });

  it("is read in full without a mouse: every control has a name, every picture a text", async () => {
    const { tab } = await open(join(run, "report.html"));
    const nameless = await tab.$$eval(
      "button, select, canvas[tabindex], img, [role=application]",
      (nodes) =>
        nodes.filter((node) => {
          const label = node.getAttribute("aria-label") ?? node.getAttribute("alt") ?? node.textContent ?? "";
          return label.trim() === "" && document.querySelector(`label[for="${node.id}"]`) === null;
        }).length,
    );
    expect(nameless).toBe(0);
    expect(await tab.locator("h1").count()).toBe(1);
    await tab.close();
  });
});

/** Of OWASP's and the browsers' own lists: each would run something where text is taken for markup. */
const payloads = [
  "<script>window.__xss=1</script>",
  "</script><script>window.__xss=1</script>",
  "<img src=x onerror=window.__xss=1>",
  '"><img src=x onerror=window.__xss=1>',
  "'><img src=x onerror=window.__xss=1>",
  "<svg onload=window.__xss=1>",
  "<svg><script>window.__xss=1</script></svg>",
  "<svg><animate onbegin=window.__xss=1 attributeName=x dur=1s>",
  "<body onload=window.__xss=1>",
  "<iframe srcdoc='<script>parent.__xss=1</script>'>",
  "<iframe src=javascript:parent.__xss=1>",
  "<a href=javascript:window.__xss=1 autofocus onfocus=window.__xss=1>x</a>",
  "<input autofocus onfocus=window.__xss=1>",
  "<select autofocus onfocus=window.__xss=1>",
  "<textarea autofocus onfocus=window.__xss=1>",
  "<details open ontoggle=window.__xss=1>",
  "<video src=x onerror=window.__xss=1>",
  "<audio src=x onerror=window.__xss=1>",
  "<object data=javascript:window.__xss=1>",
  "<embed src=javascript:window.__xss=1>",
  "<math><mi xlink:href=javascript:window.__xss=1>x</mi></math>",
  "<style>@import 'http://127.0.0.1:9/x.css'</style>",
  "<link rel=stylesheet href=http://127.0.0.1:9/x.css>",
  "<meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'>",
  "<base href=http://127.0.0.1:9/>",
  "<form action=http://127.0.0.1:9/><button autofocus>x",
  "javascript:window.__xss=1",
  "data:text/html,<script>parent.__xss=1</script>",
  "${window.__xss=1}",
  "{{constructor.constructor('window.__xss=1')()}}",
  "<!--<script>window.__xss=1</script>",
  "--><script>window.__xss=1</script>",
  "]]><script>window.__xss=1</script>",
  "\u2028window.__xss=1\u2029",
  "\\u003cscript\\u003ewindow.__xss=1\\u003c/script\\u003e",
  "&lt;script&gt;window.__xss=1&lt;/script&gt;",
  "&#60;script&#62;window.__xss=1&#60;/script&#62;",
  "<scr\0ipt>window.__xss=1</scr\0ipt>",
  "<noscript><p title='</noscript><img src=x onerror=window.__xss=1>'>",
  "__proto__",
];

/** Everywhere that a name from outside comes to stand. */
function pageOf(text: string): Page {
  const told = createTold();
  told.add({ event: "step", step: 1, loss: 1, top1: 0.5, learningRate: 0.1, gradientNorm: 1, imagesPerSecond: 9 });
  told.add({ event: "warning", message: text });
  const counts = [3, 1, 2, 4];
  const picture = { path: `${text}.png`, caption: text };
  const page = runPage({
    folder: join(base, "x"),
    told,
    status: "ended",
    record: {
      name: text,
      seed: 1,
      epochs: 1,
      data: { name: text, options: { [text]: text } },
      model: { name: text, options: {} },
      optimizer: { name: text, options: {} },
      plugins: [{ name: text, options: { [text]: text } }],
      source: { path: text, sha256: "" },
      environment: {
        backend: text,
        backendVersion: text,
        threads: 1,
        node: text,
        platform: text,
        processor: text,
        fitloop: text,
      },
    } as never,
    summary: {
      ...(readRun(run, false).summary as object),
      stopReason: text,
      costs: { [text]: { millisecondsPerStep: 1, share: 0.1 } },
    } as never,
    kept: {
      command: text,
      plan: text,
      splits: { [text]: { step: 1, source: text, classes: [text, `${text} 2`], counts, worst: [picture] } },
      augmented: picture,
    },
    picture: () =>
      "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  });
  const more: Block = {
    kind: "chart",
    title: text,
    format: "number",
    xLabel: text,
    x: [1, 2],
    series: [{ name: text, y: [1, 2] }],
  };
  return { ...page, blocks: [...page.blocks, more] };
}

/**
 * Runs on disk, whose every name is the text: their folders', their configs' keys and values, their plugins'. The third
 * repeats the first one's seed, which the page says.
 */
function comparisonOf(text: string): Page {
  const folders = ["", " 2", ""].map((mark, at) => {
    // The only two characters that no file system takes.
    const folder = join(
      base,
      `compared-${pages}`,
      String(at),
      `${text.replaceAll("/", "\u2215").replaceAll("\0", "\u2400")}${mark}`,
    );
    mkdirSync(folder, { recursive: true });
    copyFileSync(join(run, "metrics.jsonl"), join(folder, "metrics.jsonl"));
    const part = { name: `${text}${mark}`, options: { [text]: `${text}${mark}` } };
    const record = JSON.parse(readFileSync(join(run, "config.resolved.json"), "utf8"));
    const environment = { ...record.environment, backend: text };
    const named = {
      ...record,
      name: part.name,
      seed: 1,
      data: part,
      model: part,
      optimizer: part,
      plugins: [part],
      environment,
      [`${text}.${text}`]: part.name,
    };
    writeFileSync(join(folder, "config.resolved.json"), JSON.stringify(named));
    const summary = JSON.parse(readFileSync(join(run, "summary.json"), "utf8"));
    writeFileSync(
      join(folder, "summary.json"),
      JSON.stringify({ ...summary, stopReason: `${text}${mark}`, costs: {} }),
    );
    return folder;
  });
  return comparePage(folders.map((folder) => readRun(folder, false)));
}

/** Every text that a page of tables and curves is to show. */
const textsOf = ({ title, summary, blocks }: Page): string[] => [
  title,
  summary,
  ...blocks.flatMap((block) => {
    if (block.kind === "table")
      return [
        block.title,
        ...(block.note ? [block.note] : []),
        ...block.columns.map(({ name }) => name),
        ...block.rows.flat().filter((cell) => typeof cell === "string"),
      ];
    if (block.kind === "chart") return [block.title, ...block.series.map(({ name }) => name)];
    throw new Error(`A comparison has a block of kind ${block.kind}, whose texts nobody checks.`);
  }),
];

const hasRun = (tab: Tab): Promise<unknown> => tab.evaluate(() => (window as unknown as { __xss?: unknown }).__xss);

describe("names that would be code elsewhere", () => {
  it.each(payloads)("%j is text and nothing else", async (payload) => {
    const { tab, trouble } = await open(pageOf(payload));
    await tab.locator("details summary").first().click();
    await tab.locator("canvas[tabindex]").first().press("Home");
    expect(await hasRun(tab)).toBeUndefined();
    // HTML itself turns NUL into another character, wherever it stands.
    const visible = payload.replaceAll("\0", "\ufffd");
    expect(await tab.locator("h1").textContent()).toContain(
      visible.trim() === "" ? "" : payload.includes("\0") ? "script" : visible,
    );
    expect(trouble).toEqual([]);
    await tab.close();
  });

  it.each(payloads)("%j is text in a comparison too, everywhere and to the letter", async (payload) => {
    const page = comparisonOf(payload);
    const expected = textsOf(page);
    expect(page.blocks[0]!.note).toMatch(/each seed counts once in means and deviations: 2\/[^]* \(that of 0\//);
    // What is put through: groups, legends, columns, fields, values, reasons.
    expect(
      expected.filter((text) => text.includes(payload.replaceAll("/", "\u2215").replaceAll("\0", "\u2400"))).length,
    ).toBeGreaterThan(12);
    expect(expected.filter((text) => text.includes(payload)).length).toBeGreaterThan(12);
    const { tab, trouble } = await open(page);
    const shown = new Set(
      await tab.$$eval("h1, h2, p, th, td, li, button", (nodes) => nodes.map((node) => node.textContent)),
    );
    expect(expected.filter((text) => !shown.has(text))).toEqual([]);
    const plot = tab.locator(".u-over").first();
    await plot.hover({ position: { x: 40, y: 40 } }); // the names are drawn beside the figures there
    for (const sort of await tab.locator("th button").all()) await sort.click();
    expect(await hasRun(tab)).toBeUndefined();
    expect(trouble).toEqual([]);
    await tab.close();
  });

  it("stay what they are behind the # of either page's address", async () => {
    const files = [join(run, "report.html"), join(base, "comparison.html")];
    writeFileSync(files[1]!, pageHtml(comparePage([readRun(run, false), readRun(run, false)])));
    for (const file of files) {
      const plain = await open(file);
      const text = await plain.tab.locator("body").innerText();
      await plain.tab.close();
      for (const payload of payloads) {
        const { tab, trouble } = await open(file, { hash: `#${payload}` });
        expect(await hasRun(tab), payload).toBeUndefined();
        expect(await tab.locator("body").innerText(), payload).toBe(text);
        expect(trouble, payload).toEqual([]);
        await tab.close();
      }
    }
  });
});

describe("pages of many", () => {
  it("a run of a million steps is a page of less than two megabytes that opens in ten seconds, and every step counts in it", async () => {
    const told = createTold();
    for (let step = 1; step <= 1_000_000; step++) {
      told.add({
        event: "step",
        step,
        loss: 2 + Math.sin(step / 1e4),
        top1: 0.5,
        learningRate: 0.1,
        gradientNorm: 1,
        imagesPerSecond: 100,
      });
    }
    told.add({
      event: "step",
      step: 1_000_001,
      loss: 50,
      top1: 0.5,
      learningRate: 0.1,
      gradientNorm: 1,
      imagesPerSecond: 100,
    });
    const page = runPage({ ...readRun(run, false), told });
    expect(Buffer.byteLength(pageHtml(page))).toBeLessThan(2e6);
    const from = performance.now();
    const { tab, trouble } = await open(page);
    const seconds = (performance.now() - from) / 1000;
    console.log(`opened in ${seconds.toFixed(1)} s`); // what is claimed; a machine that has much else to do takes longer
    expect(seconds).toBeLessThan(10);
    expect((await inked(tab)).length).toBe(5);
    expect(trouble).toEqual([]);
    const loss = page.blocks.find(({ title }) => title === "Loss") as Extract<Block, { kind: "chart" }>;
    expect(Math.max(...loss.series[0]!.high!.map((value) => value ?? 0))).toBe(50);
    await tab.close();
  });

  it("a comparison draws its curves", async () => {
    const { tab, trouble } = await open(comparePage([readRun(run, false), readRun(run, false)]));
    expect((await inked(tab)).every((pixels) => pixels > 20)).toBe(true);
    expect(trouble).toEqual([]);
    await tab.close();
  });
});
