/** What people watch: a live line that fits its terminal, and lines that do not depend on one. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { fitting, formatResults, showProgress } from "../../core/cli/progress.js";
import { colorsFor, columns, duration, percent, sparkline, table } from "../../core/cli/terminal.js";
import { createEvents, type Events } from "../../core/loop/events.js";

const parts = [
  "epoch 12/200",
  "step 4680/78000",
  "loss 2.345",
  "acc 41.2 %",
  "1234 img/s",
  "12 h 34 min left",
  "lr 0.0999",
];
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

describe("the live line", () => {
  it("fits every width, and shows no part by half", () => {
    for (let width = 0; width <= 200; width++) {
      const line = fitting(parts, width);
      expect(line.length).toBeLessThanOrEqual(width);
      if (width >= parts[0]!.length) expect(parts.join("  ").startsWith(line)).toBe(true);
      if (width >= parts[0]!.length) for (const piece of line.split("  ")) expect(parts).toContain(piece);
    }
    expect(fitting(parts, 200)).toBe(parts.join("  "));
    expect(fitting(parts, 40)).toBe("epoch 12/200  step 4680/78000");
  });

  const step = (at: number): Events["step"] => ({
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
  });
  function watch(
    isTTY: boolean,
    width: number,
    now = 0,
  ): { events: ReturnType<typeof createEvents>; text: () => string; at(time: number): void } {
    let written = "";
    let clock = now;
    vi.spyOn(performance, "now").mockImplementation(() => clock);
    vi.spyOn(process.stderr, "write").mockImplementation((chunk) => ((written += String(chunk)), true));
    const before = { isTTY: process.stderr.isTTY, columns: process.stderr.columns };
    Object.assign(process.stderr, { isTTY, columns: width });
    const events = createEvents();
    showProgress(events);
    Object.assign(process.stderr, { isTTY: before.isTTY });
    return { events, text: () => written, at: (time) => void (clock = time) };
  }

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
      expect(lines[1]).toBe(
        "epoch 1/2  step 2/100  loss 2.500  acc 25.0 %  64 img/s  3 min 16 s left  lr 0.0123",
      );
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

  it("is not there where there is no terminal", () => {
    const { events, text, at } = watch(false, 80);
    at(500);
    events.emit("step", step(1));
    expect(text()).toBe("");
  });
});

describe("colours", () => {
  it("are for terminals, NO_COLOR and FORCE_COLOR having the last word", () => {
    vi.stubEnv("NO_COLOR", undefined);
    vi.stubEnv("FORCE_COLOR", undefined);
    const colored = (isTTY: boolean): boolean => colorsFor({ isTTY }).bold("x") !== "x";
    expect([colored(true), colored(false)]).toEqual([true, false]);
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
    expect(text).toBe(
      "\np: ended after 0 epochs and 1 steps (interrupted (SIGINT))\ntraining took 0 s, 0 images/s",
    );
  });
});
