/** What only a process of its own shows: signals, a reader that leaves, errors that nobody waits for, npx. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const program = join(root, "bin", "trainer.mjs");
const config = join(root, "tests", "support", "micro.config.ts");
const base = mkdtempSync(join(tmpdir(), "fitloop-process-"));
const children: ChildProcess[] = [];
afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(base, { recursive: true, force: true });
});

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** Runs the program; `watch` is called with all that was written so far, whenever something was. */
function start(
  args: string[],
  watch: (written: { stdout: string; stderr: string }, child: ChildProcess) => void = () => {},
  micro = "",
): Promise<Ended> {
  const child = spawn(process.execPath, [program, ...args], {
    cwd: base,
    env: { ...process.env, MICRO: micro },
  });
  children.push(child);
  const written = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      written[name] += text;
      watch(written, child);
    });
  }
  return new Promise((resolve) => child.on("close", (code, signal) => resolve({ code, signal, ...written })));
}

const run = (out: string, ...more: string[]): string[] => [
  "--config",
  config,
  "--backend",
  "wasm",
  "--out",
  join(base, out),
  ...more,
];
const read = (...names: string[]): string => readFileSync(join(base, ...names), "utf8");

/** Sends a signal once, as soon as the text is there. */
const signalAt = (text: string, signal: NodeJS.Signals) => {
  let sent = false;
  return ({ stdout, stderr }: { stdout: string; stderr: string }, child: ChildProcess): void => {
    if (sent || !(stdout + stderr).includes(text)) return;
    sent = true;
    child.kill(signal);
  };
};

it.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const)(
  "%s stops the run, keeps it, and leaves with %i",
  async (signal, expected) => {
    const args = run(signal, "--epochs", "100000", "--json");
    const { code, stdout, stderr } = await start(args, signalAt('"step":3,', signal));
    expect(code).toBe(expected);
    expect(stderr).toContain(`${signal}: stopping after this step`);
    const events = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(events.at(-1)).toMatchObject({ event: "fit:end", stopReason: `interrupted (${signal})` });
    expect(stdout).not.toContain('"crc"'); // that is for files
    const { steps, stopReason } = JSON.parse(read(signal, "summary.json"));
    expect(stopReason).toBe(`interrupted (${signal})`);
    const kept = read(signal, "metrics.jsonl")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const stepsKept = kept.filter(({ event }) => event === "step").map(({ step }) => step);
    expect(stepsKept).toEqual(Array.from({ length: steps }, (_, index) => index + 1));
    expect(existsSync(join(base, signal, "weights.safetensors"))).toBe(true);
  },
  60_000,
);

it("a second signal leaves at once", async () => {
  const first = signalAt('"step":3,', "SIGINT");
  const second = signalAt("SIGINT: stopping", "SIGINT");
  const { code, stdout } = await start(
    run("twice", "--epochs", "100000", "--json"),
    (written, child) => {
      first(written, child);
      second(written, child);
    },
    "slow end", // an orderly end would take a minute more
  );
  expect(code).toBe(130);
  expect(stdout).not.toContain("fit:end");
});

it("a second SIGHUP, which a shell sends as well, stops the run no sooner: it is kept", async () => {
  const first = signalAt('"step":3,', "SIGHUP");
  const second = signalAt("SIGHUP: stopping", "SIGHUP");
  const { code, stdout } = await start(run("closed", "--epochs", "100000", "--json"), (written, child) => {
    first(written, child);
    second(written, child);
  });
  expect(code).toBe(129);
  expect(stdout).toContain("fit:end");
});

it("a signal while the data loads leaves at once, and nothing behind", async () => {
  const { code } = await start(run("early"), signalAt("loading for a minute", "SIGTERM"), "slow data");
  expect(code).toBe(143);
  expect(existsSync(join(base, "early"))).toBe(false);
});

it("a reader that leaves takes nothing with it", () => {
  const line = [process.execPath, program, ...run("head", "--epochs", "4", "--json")]
    .map((word) => `'${word}'`)
    .join(" ");
  const first = execFileSync("sh", ["-c", `${line} 2>/dev/null | head -n 1`], {
    cwd: base,
    encoding: "utf8",
  });
  expect(JSON.parse(first)).toMatchObject({ event: "fit:start" });
  expect(JSON.parse(read("head", "summary.json"))).toMatchObject({ epochs: 4, stopReason: "epochs" });
});

it("a plugin that throws is named with its place, and the run is kept", async () => {
  const { code, stderr } = await start(run("throws"), undefined, "throws");
  expect(code).toBe(70);
  expect(stderr).toMatch(/trainer: Plugin "foreign" failed in hook "onStep": as told\n +at .*micro\.config\.ts:\d+/);
  expect(JSON.parse(read("throws", "summary.json")).stopReason).toMatch(/^failed: /);
});

it("an error while the data loads that nobody waits for is one message and 70, and leaves no folder", async () => {
  const { code, stderr } = await start(run("unmade"), undefined, "throws while loading");
  expect(code).toBe(70);
  expect(stderr).toMatch(/^trainer: uncaught error: nobody waits for me\n +at .*micro\.config\.ts:\d+/m);
  expect(stderr).not.toMatch(/unexpected|bug in fitloop/);
  expect(existsSync(join(base, "unmade"))).toBe(false);
});

it.each([
  [
    "an error that nobody waits for",
    "throws later",
    /^trainer: An uncaught error ended the run: nobody waits for me\. .*--resume.*\n +at .*micro\.config\.ts:\d+/m,
  ],
  [
    "a plugin that ends the process",
    "exits",
    /^trainer: Plugin "foreign" failed in hook "onStep": process\.exit\(0\) was called/m,
  ],
])("%s ends the run with a checkpoint and 70, not the process", async (_, micro, said) => {
  const { code, stderr } = await start(run(micro, "--epochs", "100000"), undefined, micro);
  expect({ code, stderr }).toMatchObject({ code: 70, stderr: expect.stringMatching(said) });
  expect(readdirSync(join(base, micro, "checkpoints"))).toHaveLength(1);
  expect(JSON.parse(read(micro, "summary.json")).steps).toBeGreaterThan(0);
});

it("a timer that a plugin left does not keep a finished run alive", async () => {
  expect(await start(run("timer"), undefined, "timer")).toMatchObject({ code: 0 });
});

it("npx runs the checkout's own program", () => {
  const npx = ["--no", "--", "trainer", "presets", "--json"];
  const listed = execFileSync("npx", npx, {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  expect(JSON.parse(listed)).toContainEqual(expect.objectContaining({ name: "quickstart" }));
});
