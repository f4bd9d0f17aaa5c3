/** Whatever lies in a run's folder, its page shows what can be read and nothing else. */
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadBackend, Trainer, type Plugin } from "../../../core/index.js";
import { comparePage, differences, figureOf, groupsOf } from "../../../core/report/compare-page.js";
import { pageHtml } from "../../../core/report/html.js";
import { createReport } from "../../../core/report/keep.js";
import { pictureReader, readRun, writeReport } from "../../../core/report/read.js";
import { runPage } from "../../../core/report/run-page.js";
import { createRunRecord } from "../../../core/run/record.js";
import { fitWeights, microConfig, weightsHash } from "../../../core/testing/index.js";

const base = mkdtempSync(join(tmpdir(), "fitloop-report-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

const folderOf = (name: string): string => {
  mkdirSync(join(base, name), { recursive: true });
  return join(base, name);
};
async function fit(name: string, config = {}, extensions: Plugin[] = [createRunRecord().plugin, createReport({ command: "trainer --x" })]): Promise<string> {
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
  it("has curves, matrix, classes, pictures, costs, plan, config and the command", () => {
    const { blocks, reload, title } = runPage(readRun(whole, false));
    expect(title).toContain("whole");
    expect(reload).toBeUndefined();
    expect(blocks.map((block) => block.title.replace(/: .*/, ""))).toEqual([
      "The run", "Results", "Loss", "Accuracy", "Learning rate", "Gradient norm", "Throughput", "Epochs",
      "What was taken for what", "Classes", "Most confused", "Worst pictures",
      ...(blocks.some(({ title: each }) => each.endsWith(": test")) ? ["What was taken for what", "Classes", "Most confused", "Worst pictures"] : []),
      "Training pictures as the network saw them", "What each plugin cost", "The plan", "Config",
    ].filter((each) => each !== undefined));
    const [facts] = blocks;
    expect(facts).toMatchObject({ kind: "facts", rows: expect.arrayContaining([["to repeat it", "trainer --x"]]) });
    const pictures = blocks.filter((block) => block.kind === "pictures");
    for (const { items } of pictures) for (const { src } of items) expect(src).toMatch(/^data:image\/png;base64,iVBOR/);
  });

  it("looks again while the run lasts, and not after it", () => {
    expect(runPage(readRun(whole, true)).reload).toBeGreaterThan(0);
    expect(runPage({ ...readRun(whole, false), summary: undefined, status: "broke off" }).summary).toMatch(/broke off/);
  });

  it("of a run that went on after an interruption and broke off is not the summary's of before", () => {
    const folder = copy(whole, "went on");
    const summary = JSON.parse(readFileSync(join(whole, "summary.json"), "utf8"));
    writeFileSync(join(folder, "summary.json"), JSON.stringify({ ...summary, steps: summary.steps - 1 }));
    expect(readRun(folder, false)).toMatchObject({ status: "broke off", summary: undefined });
  });

  it("leaves nothing of a run that failed before its first step", async () => {
    const folder = folderOf("failed");
    const thrower: Plugin = { name: "thrower", options: {}, apply: ({ hooks }) => hooks.beforeBatch.tap(() => { throw new Error("as told"); }) };
    await expect(new Trainer(microConfig(), [createRunRecord().plugin, createReport(), thrower]).fit({ folder })).rejects.toThrow(/as told/);
    expect(readdirSync(folder)).toEqual([]);
  });

  it("changes no bit of the weights", async () => {
    const { hash } = await fitWeights(microConfig({ epochs: 3 }));
    let watched: string | undefined;
    const probe: Plugin = {
      name: "probe",
      options: {},
      apply({ hooks }) {
        let weights: (() => Parameters<typeof weightsHash>[0]) | undefined;
        hooks.onFitStart.tap((run) => void (weights = run.weights));
        hooks.onFitEnd.tap(() => void (watched = weightsHash(weights!())));
      },
    };
    await fit("watched", {}, [createRunRecord().plugin, createReport(), probe]);
    expect(watched).toBe(hash);
  });

  it("is written without what cannot be written, and the run goes on", async () => {
    const folder = folderOf("in the way");
    writeFileSync(join(folder, "report"), "a file where the folder should be");
    const warnings: string[] = [];
    const trainer = new Trainer(microConfig({ epochs: 1 }), [createRunRecord().plugin, createReport()]);
    trainer.events.on("warning", ({ message }) => void warnings.push(message));
    expect((await trainer.fit({ folder })).stopReason).toBe("epochs");
    expect(warnings).toEqual([expect.stringMatching(/"report".*switched off/)]);
  });
});

describe("a damaged folder", () => {
  it("with metrics cut anywhere shows the lines before the cut", () => {
    const text = readFileSync(join(whole, "metrics.jsonl"));
    const folder = copy(whole, "cut");
    const places = Array.from({ length: 200 }, (_, at) => Math.floor((at * text.length) / 200));
    for (const length of [...places, text.length - 1]) {
      copyFileSync(join(whole, "metrics.jsonl"), join(folder, "metrics.jsonl"));
      truncateSync(join(folder, "metrics.jsonl"), length);
      const { told } = readRun(folder, false);
      const lines = text.subarray(0, length).toString().split("\n").slice(0, -1);
      const steps = lines.filter((line) => line.includes('"event":"step"'));
      expect(told.steps.buckets.length, `cut at ${length}`).toBe(steps.length);
    }
  });

  it("with any bytes changed in any file gives a page", () => {
    const folder = copy(whole, "changed");
    const files = ["config.resolved.json", "metrics.jsonl", "summary.json", "report/kept.json"];
    fc.assert(
      fc.property(fc.constantFrom(...files), fc.nat(), fc.integer({ min: 0, max: 255 }), (file, at, byte) => {
        const bytes = readFileSync(join(whole, file));
        bytes[at % bytes.length] = byte;
        writeFileSync(join(folder, file), bytes);
        try {
          expect(pageHtml(runPage(readRun(folder, false)))).toContain("</html>");
        } finally {
          copyFileSync(join(whole, file), join(folder, file));
        }
      }),
      { numRuns: 500 },
    );
  });

  it("without this or that file gives a page, and without any says that it is no run", () => {
    const folder = copy(whole, "less");
    for (const file of ["report/kept.json", "summary.json", "config.resolved.json"]) {
      rmSync(join(folder, file));
      expect(() => writeReport(readRun(folder, false)), file).not.toThrow();
    }
    rmSync(join(folder, "metrics.jsonl"));
    expect(() => readRun(folder, false)).toThrow(/is no run/);
  });

  it("lends the page no picture from outside, and nothing that is none", () => {
    const folder = folderOf("lender");
    const inside = join(folder, "a.png");
    writeFileSync(inside, Buffer.from("\x89PNG and more", "latin1"));
    writeFileSync(join(base, "outside.png"), Buffer.from("\x89PNG and more", "latin1"));
    writeFileSync(join(folder, "text.png"), "no picture");
    const picture = pictureReader(folder);
    expect(picture("a.png")).toMatch(/^data:image\/png/);
    for (const path of ["../outside.png", join(base, "outside.png"), "text.png", "absent.png", "../lender-2/a.png"]) {
      expect(picture(path), path).toBeUndefined();
    }
  });
});

describe("the HTML", () => {
  it("allows the scripts and styles that it has, and nothing else", () => {
    const html = pageHtml({ title: "t", summary: "s", blocks: [] });
    const policy = /http-equiv="Content-Security-Policy" content="([^"]+)"/.exec(html)![1]!;
    expect(policy).toMatch(/^default-src 'none';/);
    expect(policy).not.toMatch(/unsafe|https?:|\*/);
    const hashes = (element: string): string[] =>
      [...html.matchAll(new RegExp(`<${element}>([^]*?)</${element}>`, "g"))].map(([, text]) => createHash("sha256").update(text!).digest("base64"));
    for (const element of ["script", "style"]) {
      expect(hashes(element)).toHaveLength(2);
      for (const hash of hashes(element)) expect(policy).toContain(`'sha256-${hash}'`);
    }
    expect(readFileSync(new URL("../../../core/report/page.js", import.meta.url), "utf8")).not.toMatch(/innerHTML|outerHTML|insertAdjacent|document\.write|eval\(/);
  });

  it("keeps names from ending the element that holds them", () => {
    const name = "</script><script>alert(1)</script><!-- \u2028";
    const html = pageHtml({ title: name, summary: name, blocks: [{ kind: "text", title: name, text: name }] });
    expect(html.match(/<script/g)).toHaveLength(3);
    expect(html).not.toContain("<!--");
    const json = /id="data">(.*)<\/script>/.exec(html)![1]!;
    expect(JSON.parse(json).title).toBe(name);
  });
});

describe("several runs", () => {
  it("are grouped by what differs besides the seed, with mean and deviation", async () => {
    const seeds = [await fit("seed-1", { seed: 1 }), await fit("seed-2", { seed: 2 })];
    const slower = await fit("slower", { learningRate: 0.001 });
    const runs = [...seeds, slower].map((folder) => readRun(folder, false));
    const groups = groupsOf(runs);
    expect(groups.map(({ runs: members }) => members.length)).toEqual([2, 1]);
    const [first, second] = runs.map(({ told }) => told.epochs.at(-1)!.validation!.loss) as [number, number];
    const figure = figureOf(groups[0]!, "held-out loss");
    expect(figure.mean).toBeCloseTo((first + second) / 2, 12);
    expect(figure.deviation).toBeCloseTo(Math.abs(first - second) / Math.SQRT2, 12);
    expect(figureOf(groups[1]!, "held-out loss").deviation).toBeUndefined();
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
