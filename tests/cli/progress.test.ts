/** What people watch: a live line that fits its terminal, and lines that do not depend on one. */

import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { createEstimate, fitting, formatResults, type Part, showProgress } from "../../cli/progress.js";
import {
  colorsFor,
  columns,
  displayWidth,
  plain,
  print,
  shortened,
  sparkline,
  table,
  tell,
} from "../../cli/terminal.js";
import { duration, percent } from "../../core/format.js";
import { createEvents, type Events } from "../../core/loop/events.js";

const parts: Part[] = [
  { weight: 4, forms: ["epoch 12/200", "12/200"] },
  { weight: 3, forms: ["loss 2.345", "2.35"] },
  { weight: 1, forms: ["1234 img/s", ""] },
  { weight: 2, forms: ["12 h 34 min left", "12h34m"] },
];
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

const step = (at: number, more: Partial<Events["step"]> = {}): Events["step"] => ({
  epoch: 0,
  epochs: 2,
  step: at,
  stepsPerEpoch: 50,
  totalSteps: 100,
  loss: 2.5,
  top1: 0.25,
  learningRate: 0.0123456,
  gradientNorm: 1,
  imagesPerSecond: 64,
  samples: 128,
  ...more,
});
const start: Events["fit:start"] = {
  epoch: 0,
  epochs: 6,
  step: 0,
  stepsPerEpoch: 50,
  totalSteps: 300,
  lastStep: 300,
  name: "p\x1b]0;title\x07",
  seed: 1,
  backend: "wasm",
  threads: 2,
  parameters: 1000,
  batchSize: 8,
  classes: 4,
  trainSamples: 400,
  validationSamples: 8,
  testSamples: 8,
};
function watch(
  isTTY: boolean,
  width: number,
  now = 0,
  options: Parameters<typeof showProgress>[1] = {},
): { events: ReturnType<typeof createEvents>; text: () => string; at(time: number): void } {
  let written = "";
  let clock = now;
  vi.spyOn(performance, "now").mockImplementation(() => clock);
  vi.spyOn(process.stderr, "write").mockImplementation((chunk) => ((written += String(chunk)), true));
  const before = { isTTY: process.stderr.isTTY, columns: process.stderr.columns };
  Object.assign(process.stderr, { isTTY, columns: width });
  const events = createEvents();
  showProgress(events, options);
  onTestFinished(() => void Object.assign(process.stderr, before));
  return { events, text: () => written, at: (time) => void (clock = time) };
}

describe("a run of days", () => {
  it("says so after its first steps, once, and what to take instead", () => {
    const { events, text, at } = watch(false, 80, 0, { advice: "Quicker: small." });
    const long = { stepsPerEpoch: 13_200, totalSteps: 26_400, samples: 512, imagesPerSecond: 512 / 86 };
    for (const done of [1, 2, 3, 4]) {
      at(86_000 * done);
      events.emit("step", step(done, long));
    }
    expect(text()).toBe("At the speed of its first steps, this run takes about 26 days here. Quicker: small.\n");
  });

  it("says nothing where it takes hours", () => {
    const { events, text, at } = watch(false, 80);
    for (const done of [1, 2, 3]) {
      at(1000 * done);
      events.emit("step", step(done, { imagesPerSecond: 128 }));
    }
    expect(text()).toBe("");
  });
});

describe("the live line", () => {
  it("fits every width, and gives up what has least weight first", () => {
    for (let width = 0; width <= 60; width++) expect(displayWidth(fitting(parts, width))).toBeLessThanOrEqual(width);
    expect([60, 53, 43, 32, 30, 24, 20, 13, 9, 5].map((width) => fitting(parts, width))).toEqual([
      "epoch 12/200  loss 2.345  1234 img/s  12 h 34 min left",
      "epoch 12/200  loss 2.345  12 h 34 min left",
      "epoch 12/200  loss 2.345  12 h 34 min left",
      "epoch 12/200  loss 2.345  12h34m",
      "epoch 12/200  2.35  12h34m",
      "12/200  2.35  12h34m",
      "12/200  2.35  12h34m",
      "12/200 2.35",
      "12/200",
      "12…00",
    ]);
  });

  it.each([40, 63, 80, 200])("is one line of a terminal of %i columns, written over itself", (width) => {
    const { events, text, at } = watch(true, width);
    at(200);
    events.emit("step", step(1));
    at(400);
    events.emit("step", step(2));
    const lines = text().split("\r\x1b[K").slice(1);
    expect(lines).toHaveLength(2);
    for (const line of lines) expect(line.length).toBeLessThan(width);
    expect(text()).not.toContain("\n");
    if (width === 200)
      expect(lines[1]).toBe("epoch 1/2  step   2/100  loss  2.500  acc  25.0 %    64 img/s  lr 0.0123    20 s left");
    if (width === 40) expect(lines[1]).toBe("epoch 1/2    2/100   2.50   25%  20s");
  });

  it("shows the same parts in every drawing", () => {
    const { events, text, at } = watch(true, 80);
    const large = { epochs: 200, totalSteps: 78_000, stepsPerEpoch: 390 };
    [1, 9, 4680, 77_999].forEach((now, place) => {
      at(1000 * (place + 1));
      const figures = { loss: 4 / now, top1: Math.min(1, now / 5000), imagesPerSecond: now, learningRate: 1 / now };
      events.emit("step", step(now, { ...large, epoch: Math.floor(now / 390), ...figures }));
    });
    const shown = text().split("\r\x1b[K").slice(1);
    const kinds = shown.map((line) => line.replaceAll(/[\d.]+|\b(h|min|s)\b|[ /%]/g, ""));
    expect(new Set(kinds)).toEqual(new Set(["epochsteplossaccleft"]));
  });

  it("counts to the step that ends the run", () => {
    const { events, text, at } = watch(true, 100);
    at(1000);
    events.emit("fit:start", { ...start, lastStep: 60 });
    events.emit("step", step(60, { epoch: 1 }));
    expect(text()).toContain("8 for validation, 60 steps, 50 per epoch\n");
    expect(text()).toContain("epoch 2/2  step 60/60 ");
    expect(text()).toContain(" 0 s left");
  });

  it("is drawn ten times a second at most, and is wiped before a message", () => {
    const { events, text, at } = watch(true, 80);
    for (let time = 200; time < 1200; time += 5) {
      at(time);
      events.emit("step", step(1));
    }
    expect(text().split("\r\x1b[K").length - 1).toBe(10);
    events.emit("warning", { message: "mind the step" });
    expect(text()).toMatch(/\r\x1b\[K[^\n]*warning: mind the step[^\n]*\n$/);
  });

  it("is not there where a terminal knows no escape sequences", () => {
    vi.stubEnv("TERM", "dumb");
    const { events, text, at } = watch(true, 80);
    at(500);
    events.emit("step", step(1));
    events.emit("warning", { message: "mind the step" });
    expect(text()).toBe("warning: mind the step\n");
  });

  it("is not there where there is no terminal", () => {
    const { events, text, at } = watch(false, 80);
    at(500);
    events.emit("step", step(1));
    expect(text()).toBe("");
  });
});

describe("an epoch's line", () => {
  const epoch = (at: number, held: number | undefined): Events["epoch:end"] => ({
    epoch: at,
    epochs: 200,
    step: 390 * (at + 1),
    stepsPerEpoch: 390,
    totalSteps: 78_000,
    whole: true,
    learningRate: 0.0999,
    seconds: 30,
    imagesPerSecond: 1234,
    train: { loss: 2.345, top1: 0.412 },
    validation: held === undefined ? undefined : { count: 10, loss: 2.1, top1: held, top5: 1, source: "current" },
  });
  it.each([
    [35, "epoch 20/200  val 19.0 %  12h34m"],
    [74, "epoch 20/200  train 41.2 %  val 2.100 19.0 %  12h34m  ▁▁▂▂▃▃▄▄▅▅▆▆▇▇██"],
    [120, "epoch 20/200  train 2.345 41.2 %  val 2.100 19.0 %  lr 0.0999  1234 img/s  12 h 34 min  ▁▁▂▂▃▃▄▄▅▅▆▆▇▇██"],
  ])("of %i columns keeps validation accuracy, and the sparkline where it fits", (width, line) => {
    const { events, text, at } = watch(true, width);
    at(45_240_000);
    for (let number = 0; number < 20; number++) events.emit("epoch:end", epoch(number, number / 100));
    expect(text().trimEnd().split("\n").at(-1)).toBe(line);
  });

  it("shows the config's metrics", () => {
    const { events, text } = watch(false, 30);
    const line = epoch(0, 0.5);
    events.emit("epoch:end", { ...line, validation: { ...line.validation!, more: { f1: 0.4321 } } });
    expect(text()).toContain("val 2.100 50.0 %  f1 0.432  lr");
  });

  it("shows training accuracy without validation, and whole lines without a terminal", () => {
    const narrow = watch(true, 30);
    narrow.events.emit("epoch:end", epoch(0, undefined));
    expect(narrow.text()).toContain("epoch 1/200  train 41.2 %");
    vi.restoreAllMocks();
    const piped = watch(false, 30);
    piped.events.emit("epoch:end", epoch(0, 0.5));
    expect(piped.text()).toBe("epoch 1/200  train 2.345 41.2 %  val 2.100 50.0 %  lr 0.0999  1234 img/s  0 s\n");
  });
});

describe("the time left", () => {
  const done = (epoch: number) => ({ epoch, samples: 128, imagesPerSecond: 128 });
  it("forgets a slow beginning", () => {
    const left = createEstimate();
    let now = 100;
    left.step({ ...done(0), imagesPerSecond: 1.28 }, now); // 100 s
    for (let step = 0; step < 10; step++) left.step(done(0), (now += 2));
    expect(left.seconds({ steps: 30, epochs: 1 })).toBeCloseTo(60);
    for (let step = 0; step < 40; step++) left.step(done(0), (now += 4));
    expect(left.seconds({ steps: 30, epochs: 1 }), "and follows what changes").toBeCloseTo(120);
  });

  it("counts the ends of epochs, once one has been seen", () => {
    const left = createEstimate();
    left.step(done(0), 1);
    left.step(done(0), 2);
    expect(left.seconds({ steps: 4, epochs: 3 })).toBeCloseTo(4);
    left.step(done(1), 13); // a step of 1 s, after an evaluation of 10
    expect(left.seconds({ steps: 3, epochs: 2 })).toBeCloseTo(3 + 2 * 10);
    left.step(done(0), 500); // gone back: no end of an epoch
    expect(left.seconds({ steps: 3, epochs: 2 })).toBeCloseTo(3 + 2 * 10);
  });
});

describe("names from outside", () => {
  const nasty = "a\x1b[2Jb\u009bc\u202ed\ne";
  it("reach no screen as controls, and JSON keeps its meaning", () => {
    expect(plain(nasty)).toBe("a\\x1b[2Jb\\u009bc\\u202ed\\x0ae");
    expect(table([[nasty, "1"]])).toBe("a\\x1b[2Jb\\u009bc\\u202ed\\x0ae  1");
    let written = "";
    for (const stream of [process.stdout, process.stderr]) {
      vi.spyOn(stream, "write").mockImplementation((chunk) => ((written += String(chunk)), true));
    }
    print(JSON.stringify({ nasty }));
    expect(JSON.parse(written)).toEqual({ nasty });
    written = "";
    tell(`bad \x1b[31mred\nnext`, (line) => `<${line}>`);
    expect(written).toBe("<bad \\x1b[31mred\nnext>\n");
  });

  it("a run's name and folder too", () => {
    const { events, text } = watch(false, 80);
    events.emit("fit:start", { ...start, folder: "/runs/\x1b[2J" });
    expect(text()).toMatch(/^p\\x1b\]0;title\\x07: 1,000 parameters/);
    expect(text()).not.toMatch(/[\x00-\x09\x0b-\x1f]/);
  });

  it("are measured in columns", () => {
    expect(["abc", "猫", "e\u0301", "👨‍👩‍👧", "❤️", "한국", "é", "ｱ", "🇩🇪"].map(displayWidth)).toEqual([
      3, 2, 1, 2, 2, 4, 1, 1, 2,
    ]);
    expect(
      table([
        ["猫", "1"],
        ["🐈", "2"],
        ["cat", "3"],
      ]),
    ).toBe("猫   1\n🐈   2\ncat  3");
    for (let width = 0; width < 16; width++)
      expect(displayWidth(shortened("漢字 and letters", width))).toBeLessThanOrEqual(width);
    expect(shortened("a-long-name.png", 9)).toBe("a-lo….png");
  });
});

describe("colours", () => {
  it("are for terminals, NO_COLOR and FORCE_COLOR having the last word", () => {
    vi.stubEnv("NO_COLOR", undefined);
    vi.stubEnv("FORCE_COLOR", undefined);
    const colored = (isTTY: boolean): boolean => colorsFor({ isTTY }).bold("x") !== "x";
    expect([colored(true), colored(false)]).toEqual([true, false]);
    vi.stubEnv("TERM", "dumb");
    expect([colored(true), colored(false)]).toEqual([false, false]);
    vi.stubEnv("FORCE_COLOR", "1");
    expect(colored(false)).toBe(true);
    vi.stubEnv("NO_COLOR", "1");
    expect([colored(true), colored(false)]).toEqual([false, false]);
  });
});

describe("words", () => {
  it("times, shares and widths", () => {
    expect([0, 59.4, 60, 185, 3600, 3725, 360_000].map(duration)).toEqual([
      "0 s",
      "59 s",
      "1 min 00 s",
      "3 min 05 s",
      "1 h 00 min",
      "1 h 02 min",
      "100 h 00 min",
    ]);
    expect([Number.NaN, Number.POSITIVE_INFINITY, -1].map(duration)).toEqual(["?", "?", "?"]);
    expect(percent(0.5834)).toBe("58.3 %");
    expect([0, undefined, 132].map((width) => columns({ columns: width } as NodeJS.WriteStream))).toEqual([
      80, 80, 132,
    ]);
  });

  it("sparklines: from the lowest to the highest, whatever they are", () => {
    expect(sparkline([0, 0.5, 1])).toBe("▁▅█");
    expect(sparkline([3, 3])).toBe("▄▄");
    expect(sparkline([1, Number.NaN, 2])).toBe("▁ █");
    expect([sparkline([]), sparkline([1]), sparkline([Number.NaN, 1])]).toEqual(["", "", ""]);
  });

  it("tables: the first column left, the others right", () => {
    expect(
      table(
        [
          ["", "top-1"],
          ["test", "9.0 %"],
          ["a", "100.0 %"],
        ],
        "  ",
      ),
    ).toBe("          top-1\n  test    9.0 %\n  a     100.0 %");
  });

  it("tables fit a screen: the first column gives way, then the last ones go", () => {
    const rows = [
      ["a picture of a cat.png", "41.2 %", "cat", "a-cat.png"],
      ["b", "9.0 %", "dog", "b.png"],
    ];
    expect(table(rows, "", 60)).toBe(table(rows));
    expect(table(rows, "", 20)).toBe("a pict…t.png  41.2 %\nb              9.0 %");
    expect(table(rows, "", 40)).toBe(
      "a pictur…cat.png  41.2 %  cat  a-cat.png\nb                  9.0 %  dog      b.png",
    );
    expect(table(rows, "", 30)).toBe("a pictur… cat.png  41.2 %  cat\nb                   9.0 %  dog");
    for (let width = 10; width < 60; width++) {
      for (const line of table(rows, "", width).split("\n"))
        expect(displayWidth(line), `${width}`).toBeLessThanOrEqual(width);
    }
  });

  it("results leave top-5 out where five classes or fewer are", () => {
    const metrics = { count: 1, loss: 1, top1: 0.5, top5: 1, source: "current" };
    const summary = {
      preset: "p",
      seed: 1,
      backend: "wasm",
      backendVersion: "1",
      precision: "float32",
      threads: 2,
      parameters: 1,
      epochs: 1,
      steps: 1,
      seconds: 1,
      imagesPerSecond: 1,
      stopReason: "epochs",
      costs: {},
      test: metrics,
    } as const;
    expect(formatResults(summary, { classes: 5 })).not.toContain("top-5");
    expect(formatResults(summary, { classes: 6 })).toMatch(/top-1 +top-5[^]*50\.0 % +100\.0 %/);
  });

  it("metrics of the config, and the best epoch by the monitor", () => {
    const metrics = { count: 2, loss: 1, top1: 0.5, top5: 1, source: "current", more: { f1: 0.4321 } };
    const text = formatResults({
      preset: "p",
      seed: 1,
      backend: "wasm",
      backendVersion: "1",
      precision: "float32",
      threads: 2,
      parameters: 1,
      epochs: 2,
      steps: 4,
      seconds: 0,
      imagesPerSecond: 0,
      stopReason: "epochs",
      costs: {},
      validation: metrics,
      best: { metric: "top1", direction: "higher", value: 0.5, epoch: 1, step: 4 },
    });
    expect(text).toMatch(/top-1 +top-5 +loss +f1 +weights\n.*validation +50\.0 % +100\.0 % +1\.0000 +0\.4321 +current/);
    expect(text).toContain("ended after 2 epochs, 4 steps (epochs)");
    expect(text).toContain("best epoch 2: validation top-1 50.0 %");
  });

  it("results of a run that measured nothing", () => {
    const text = formatResults({
      preset: "p",
      seed: 1,
      backend: "wasm",
      backendVersion: "1",
      precision: "float32",
      threads: 2,
      parameters: 1,
      epochs: 0,
      steps: 1,
      seconds: 0,
      imagesPerSecond: 0,
      stopReason: "interrupted (SIGINT)",
      costs: {},
    });
    expect(text).toBe("\np: ended after 1 step (interrupted (SIGINT))\ntraining took 0 s, 0 images/s");
  });
});
