/** Whatever lies in a run's folder, its page shows what can be read and nothing else. */
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { system } from "../../core/files.js";
import { loadBackend, type Plugin, Trainer } from "../../core/index.js";
import { microConfig } from "../../core/testing/index.js";
import type { Block } from "../../report/blocks.js";
import { comparePage } from "../../report/compare-page.js";
import { comparedIn, differences, figureOf, groupsOf } from "../../report/groups.js";
import { pageHtml } from "../../report/html.js";
import { createReport } from "../../report/observer.js";
import { imageReader, readRun, writeReport } from "../../report/read.js";
import { runPage } from "../../report/run-page.js";
import { toCheckedJson } from "../../run/checked-json.js";
import { openMetrics } from "../../run/metrics.js";
import { createRunRecord } from "../../run/record.js";
import { linesOf, survivesDamage, toldBy } from "../support/damaged-run.js";

const base = mkdtempSync(join(tmpdir(), "fitloop-report-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

const folderOf = (name: string): string => {
  mkdirSync(join(base, name), { recursive: true });
  return join(base, name);
};
async function fit(
  name: string,
  config = {},
  extensions: Plugin[] = [createRunRecord().plugin, createReport({ command: "trainer --x" })],
): Promise<string> {
  const folder = folderOf(name);
  await new Trainer(microConfig({ epochs: 3, ...config }), extensions).fit({ folder });
  return folder;
}
const copy = (from: string, name: string): string => {
  const folder = folderOf(name);
  mkdirSync(join(folder, "report"), { recursive: true });
  for (const file of ["config.resolved.json", "metrics.jsonl", "summary.json", "report/kept.json"]) {
    copyFileSync(join(from, file), join(folder, file));
  }
  return folder;
};

let whole: string;
beforeAll(async () => {
  await loadBackend();
  whole = await fit("whole");
});

describe("the page of a run", () => {
  it("has curves, matrix, classes, images, costs, plan, config and the command", () => {
    const { blocks, live, title } = runPage(readRun(whole, false));
    expect(title).toContain("whole");
    expect(live).toBeUndefined();
    const hasTest = blocks.some((block) => block.kind === "heading" && block.title === "Test");
    const split = (name: string): string[] => [
      name,
      "Confusion matrix",
      "Classes",
      ...(blocks.some((block) => block.title === `Most confused: ${name.toLowerCase()}`) ? ["Most confused"] : []),
      "Worst images",
    ];
    expect(blocks.map((block) => block.title.replace(/: .*/, ""))).toEqual([
      "Overview",
      "Headline figures",
      "The run",
      "Results",
      "Curves",
      "Loss",
      "Accuracy",
      "Learning rate",
      "Gradient norm",
      "Throughput",
      "Epochs",
      "Epochs",
      ...split("Validation"),
      ...(hasTest ? split("Test") : []),
      "Training images",
      "Training images as the network saw them",
      "Record",
      "Cost of each plugin",
      "Plan",
      "Config",
    ]);
    expect(blocks.find(({ kind }) => kind === "facts")).toMatchObject({
      rows: expect.arrayContaining([["command", "trainer --x"]]),
    });
    const images = blocks.filter((block) => block.kind === "images");
    expect(images.length).toBeGreaterThan(0);
    for (const { items } of images) {
      expect(items.length).toBeGreaterThan(0);
      for (const { src, lines } of items) {
        expect(src).toMatch(/^data:image\/png;base64,iVBOR/);
        expect(lines[0]).toMatch(/^predicted .+ \d+\.\d %$/);
      }
    }
  });

  it("loads itself again while the run lasts, and not after it", () => {
    expect(runPage(readRun(whole, true)).live).toMatchObject({ reload: expect.any(Number), done: expect.any(Number) });
    const broken = runPage({ ...readRun(whole, false), summary: undefined, status: "broke off" });
    expect(broken.live).toBeUndefined();
    expect(broken.summary).toMatch(/^micro-net on shapes\. Its process was killed after \d+ steps\./);
  });

  it("knows the newest checkpoint by its name", () => {
    const folder = copy(whole, "checkpoints");
    expect(readRun(folder, true).checkpoint).toBeUndefined();
    for (const name of ["step-00000008", "step-00000012", ".tmp-20-1-0123456789ab", "other"])
      mkdirSync(join(folder, "checkpoints", name), { recursive: true });
    expect(runPage(readRun(folder, true)).live).toMatchObject({ checkpoint: 12 });
    rmSync(join(folder, "checkpoints"), { recursive: true });
    writeFileSync(join(folder, "checkpoints"), "");
    expect(readRun(folder, false)).toMatchObject({
      checkpoint: undefined,
      problems: [expect.stringMatching(/checkpoints cannot be read: ENOTDIR.* It is left out\.$/)],
    });
  });

  it("of a run that was resumed and killed does not show the summary of before", () => {
    const folder = copy(whole, "went on");
    const { checksum: _, ...summary } = JSON.parse(readFileSync(join(whole, "summary.json"), "utf8"));
    writeFileSync(join(folder, "summary.json"), toCheckedJson({ ...summary, steps: summary.steps - 1 }));
    expect(readRun(folder, false)).toMatchObject({ status: "broke off", summary: undefined, problems: [] });
  });
});

describe("a damaged folder", () => {
  it("says what it does without: on the page, and what follows from it", () => {
    const folder = copy(whole, "one value");
    const change = (name: string, from: RegExp, to: string): void => {
      const text = readFileSync(join(folder, name), "utf8");
      expect(text).toMatch(from);
      writeFileSync(join(folder, name), text.replace(from, to));
    };
    change("summary.json", /"steps": \d+/, '"steps": 9999');
    change("report/kept.json", /"command": "trainer/, '"command": "Trainer');
    const parts = readRun(folder, false);
    expect(parts.problems).toEqual(
      ["summary.json", "report/kept.json"].map((name) =>
        expect.stringMatching(new RegExp(`${name} is damaged, .* expected the checksum .* It is left out\\.$`)),
      ),
    );
    expect(parts).toMatchObject({ summary: undefined, status: "summary damaged", kept: { splits: {} } });
    const page = runPage(parts);
    expect(page.summary).toMatch(/^micro-net on shapes\. Its summary is damaged/);
    expect(page.blocks).toContainEqual(
      expect.objectContaining({ title: "Warnings", text: expect.stringContaining("summary.json is damaged") }),
    );
    change("config.resolved.json", /"epochs": 3/, '"epochs": 4');
    expect(readRun(folder, false)).toMatchObject({
      record: undefined,
      problems: expect.objectContaining({ length: 3 }),
    });
  });

  it("says which files of an earlier version have no checksum", () => {
    const folder = copy(whole, "earlier");
    for (const name of ["summary.json", "report/kept.json"]) {
      const { checksum: _, ...fields } = JSON.parse(readFileSync(join(folder, name), "utf8"));
      writeFileSync(join(folder, name), JSON.stringify(fields));
    }
    const { problems, summary } = readRun(folder, false);
    expect(problems).toEqual([expect.stringContaining("no checksum in summary.json, report/kept.json, so damage")]);
    expect(summary).toBeDefined();
  });

  it("with metrics cut at every byte shows the lines before the cut", () => {
    const bytes = readFileSync(join(whole, "metrics.jsonl"));
    const text = bytes.toString();
    const folder = copy(whole, "cut");
    const path = join(folder, "metrics.jsonl");
    // From the middle of the first epoch to the second's first step: lines of every kind, and few enough for each byte.
    const lines = text.split("\n");
    const epoch = lines.findIndex((line) => line.includes('"epoch:end"'));
    const short = Buffer.from(`${lines.slice(epoch - 2, epoch + 2).join("\n")}\n`);
    const own = linesOf(short);
    for (let length = short.length; length >= 0; length--) {
      writeFileSync(path, short.subarray(0, length));
      const parts = readRun(folder, false);
      const expected = toldBy(short.subarray(0, length), own);
      expect(
        parts.history.steps.buckets.map(({ step }) => step),
        `cut at ${length}`,
      ).toEqual(expected.steps);
      expect(
        parts.history.epochs.map(({ step }) => step),
        `cut at ${length}`,
      ).toEqual(expected.epochs);
      const partial = short.subarray(0, length).toString().split("\n").at(-1) !== "";
      expect(parts.problems, `cut at ${length}`).toEqual(
        partial ? [expect.stringMatching(/breaks off after \d+ bytes\. What comes before it is shown\.$/)] : [],
      );
      if (length % 16 === 0) expect(pageHtml(runPage(parts))).toContain("</html>");
    }
    writeFileSync(path, short); // and with the byte that was missing, all of it
    expect(readRun(folder, false).history.epochs).toHaveLength(1);
  });

  it("with anything changed, cut out, put in or twice in any file gives a page of what lies before", () => {
    survivesDamage(whole, copy(whole, "changed"), 600);
  });

  it("whose metrics were replaced, shrunk or taken away between two reads shows what is there then", () => {
    const folder = copy(whole, "between");
    const path = join(folder, "metrics.jsonl");
    const bytes = readFileSync(path);
    const own = linesOf(bytes);
    const steps = (): number[] => readRun(folder, false).history.steps.buckets.map(({ step }) => step);
    const { readSync } = system;
    const between = (act: () => void): number[] => {
      writeFileSync(path, bytes);
      let reads = 0;
      // Small reads, so that there is a between.
      vi.spyOn(system, "readSync").mockImplementation(((
        file: number,
        into: Buffer,
        at: number,
        length: number,
        from: number,
      ) => {
        if (reads++ === 3) act();
        return readSync(file, into, at, Math.min(length, 500), from);
      }) as typeof readSync);
      const found = steps();
      vi.restoreAllMocks();
      return found;
    };
    const all = toldBy(bytes, own).steps;
    const firsts = (found: number[]): void => {
      expect(found.length).toBeGreaterThan(0);
      expect(found).toEqual(all.slice(0, found.length));
    };
    firsts(between(() => truncateSync(path, 700))); // within what was read
    firsts(between(() => truncateSync(path, 1800))); // beyond it
    firsts(between(() => writeFileSync(path, "another program's file\n".repeat(500))));
    // Another name leads to another file; ours is read to its end.
    expect(between(() => (writeFileSync(`${path}.new`, "{}\n"), renameSync(`${path}.new`, path)))).toEqual(all);
    expect(between(() => rmSync(path))).toEqual(all);
    expect(steps()).toEqual([]);
    writeFileSync(path, bytes.subarray(0, 700));
    firsts(steps());
    writeFileSync(path, bytes);
    expect(steps()).toEqual(all);
    rmSync(folder, { recursive: true });
    expect(() => readRun(folder, false)).toThrow(/is not the folder of a run/);
  });

  it("that is deleted after it was read is told in one error, and nothing is made in its place", () => {
    const folder = copy(whole, "deleted");
    const parts = readRun(folder, false);
    rmSync(folder, { recursive: true });
    expect(runPage(parts).blocks.length).toBeGreaterThan(5); // without its images
    expect(() => writeReport(parts)).toThrow(
      expect.objectContaining({ code: "ERR_IO", message: expect.stringContaining(join(folder, "report.html")) }),
    );
    expect(existsSync(folder)).toBe(false);
  });

  it("with lines that count and say NaN, come out of order or twice, or say less than they should, gives a page", () => {
    const folder = copy(whole, "odd lines");
    const path = join(folder, "metrics.jsonl");
    rmSync(path);
    const log = openMetrics(path);
    const step = (at: number, loss: unknown): void =>
      log.append("step", { step: at, loss, top1: 0.5, learningRate: 0.1 });
    const epoch = (at: number, more: object = {}): void =>
      log.append("epoch:end", {
        epoch: at,
        step: at,
        train: { loss: at, top1: 0.1 },
        learningRate: 0.1,
        imagesPerSecond: 9,
        ...more,
      });
    step(1, Number.NaN);
    step(2, Number.POSITIVE_INFINITY);
    epoch(2, { train: { loss: Number.NaN, top1: 0 }, validation: { loss: Number.NaN, top1: 0 } });
    step(3, 0.5);
    step(4, 0.25);
    epoch(4);
    step(3, 0.125); // gone back over
    epoch(3);
    for (const odd of [{ step: "x" }, { train: null }, { train: {} }, { validation: 7 }, { learningRate: [] }])
      epoch(9, odd);
    log.append("step", { step: { deep: 1 } });
    log.append("warning", { message: { of: "another kind" } });
    log.append("warning", { message: "as told" });
    log.append("of tomorrow", { anything: [1] });
    log.close();
    const parts = readRun(folder, false);
    expect(parts.problems).toEqual([]);
    expect(parts.history.steps.buckets.map(({ step: at }) => at)).toEqual([1, 2, 3]);
    expect(parts.history.steps.buckets.at(-1)!.figures.get("loss")!.sum).toBe(0.125);
    expect(parts.history.epochs.map(({ step: at }) => at)).toEqual([2, 3]);
    expect(parts.history.warnings).toEqual(["as told"]);
    const { blocks } = runPage(parts);
    const table = blocks.find(({ title, kind }) => title === "Epochs" && kind === "table") as Extract<
      Block,
      { kind: "table" }
    >;
    expect(table.rows.at(-1)!.slice(1, 4)).toEqual(["NaN", 0, "NaN"]);
    expect(pageHtml(comparePage([parts, readRun(whole, false)]))).toContain("</html>");
  });

  it("whose files are pipes, devices, folders, far too large or nested without end keeps nobody waiting", () => {
    const folder = copy(whole, "no files");
    const names = ["config.resolved.json", "metrics.jsonl", "summary.json", "report/kept.json"];
    const make: Record<string, (path: string) => void> = {
      pipe: (path) => execFileSync("mkfifo", [path]),
      device: (path) => symlinkSync("/dev/zero", path),
      folder: (path) => mkdirSync(path),
      large: (path) => (writeFileSync(path, "{"), truncateSync(path, 2 ** 36)), // takes no room on the disk
      nested: (path) => writeFileSync(path, `${'{"a":'.repeat(200_000)}1${"}".repeat(200_000)}`),
    };
    for (const [what, put] of Object.entries(make)) {
      for (const name of names) {
        rmSync(join(folder, name), { recursive: true, force: true });
        put(join(folder, name));
        const before = process.memoryUsage().arrayBuffers;
        const parts = readRun(folder, false);
        expect(process.memoryUsage().arrayBuffers - before, `${name}: ${what}`).toBeLessThan(1e8);
        expect(parts.problems, what).toHaveLength(1);
        expect(parts.problems[0], what).toContain(name);
        if (name === "metrics.jsonl")
          expect(parts.problems[0], what).toMatch(/metrics\.jsonl(: line 1 | is a folder, a pipe or a device)/);
        expect(pageHtml(runPage(parts)), `${name}: ${what}`).toContain("</html>");
        rmSync(join(folder, name), { recursive: true });
        copyFileSync(join(whole, name), join(folder, name));
      }
    }
  });

  it("without this or that file gives a page, and without any says that it is no run", () => {
    const folder = copy(whole, "less");
    for (const file of ["report/kept.json", "summary.json", "config.resolved.json"]) {
      rmSync(join(folder, file));
      expect(() => writeReport(readRun(folder, false)), file).not.toThrow();
    }
    rmSync(join(folder, "metrics.jsonl"));
    expect(() => readRun(folder, false)).toThrow(/is not the folder of a run/);
  });

  it("gives the page no image from outside, and no file that is not an image", () => {
    const folder = folderOf("lender");
    const inside = join(folder, "a.png");
    writeFileSync(inside, Buffer.from("\x89PNG and more", "latin1"));
    writeFileSync(join(base, "outside.png"), Buffer.from("\x89PNG and more", "latin1"));
    writeFileSync(join(folder, "text.png"), "no image");
    symlinkSync(join(base, "outside.png"), join(folder, "link.png"));
    execFileSync("mkfifo", [join(folder, "pipe.png")]);
    const image = imageReader(folder);
    writeFileSync(join(folder, "a.jpg"), Buffer.from("\xff\xd8\xff\xe0 and more", "latin1"));
    writeFileSync(join(folder, "a.svg"), "<svg onload='alert(1)'/>");
    expect(image("a.png")).toMatch(/^data:image\/png/);
    expect(image("a.jpg")).toMatch(/^data:image\/jpeg/);
    for (const path of [
      "../outside.png",
      join(base, "outside.png"),
      "text.png",
      "a.svg",
      "absent.png",
      "../lender-2/a.png",
      "link.png",
      "pipe.png",
      ".",
      "\0",
    ]) {
      expect(image(path), path).toBeUndefined();
    }
  });
});

describe("several runs", () => {
  it("are grouped by what differs besides the seed, with mean and deviation", async () => {
    const seeds = [await fit("seed-1", { seed: 1 }), await fit("seed-2", { seed: 2 })];
    const slower = await fit("slower", { learningRate: 0.001 });
    const runs = [...seeds, slower].map((folder) => readRun(folder, false));
    const groups = groupsOf(runs);
    expect(groups.map(({ runs: members }) => members.length)).toEqual([2, 1]);
    const [first, second] = runs.map(({ history }) => history.epochs.at(-1)!.validation!.loss) as [number, number];
    const validationLoss = comparedIn(runs).find(({ name }) => name === "validation loss")!;
    const figure = figureOf(groups[0]!, validationLoss);
    expect(figure.mean).toBeCloseTo((first + second) / 2, 12);
    expect(figure.deviation).toBeCloseTo(Math.abs(first - second) / Math.SQRT2, 12);
    expect(figureOf(groups[1]!, validationLoss).deviation).toBeUndefined();
    expect(differences(runs)).toEqual([
      ["learningRate", expect.any(String), expect.any(String), "0.001"],
      ["seed", "1", "2", "1"],
    ]);
    expect(pageHtml(comparePage(runs))).toContain("</html>");
  });

  it("of which one is damaged are compared all the same", () => {
    const folder = copy(whole, "half");
    writeFileSync(join(folder, "summary.json"), "{");
    symlinkSync(join(whole, "absent"), join(folder, "link"));
    expect(comparePage([readRun(whole, false), readRun(folder, false)]).blocks.length).toBeGreaterThan(3);
  });
});
