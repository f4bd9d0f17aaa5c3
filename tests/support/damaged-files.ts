/**
 * Every file of a run, changed at random places, and every command that reads it. A change is refused, reported by a
 * warning, or without effect: none may give other figures in silence, and none may be called a fault of fitloop.
 */
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { expect } from "vitest";
import { type Stream, stream } from "../../core/rng.js";
import { type Ran, trainer } from "./run-cli.js";

const config = `import { defineConfig, sgd } from "fitloop";
import { shapes } from "fitloop/data";
import { resnet18 } from "fitloop/models";
import { ema, labelSmoothing, randomCropFlip } from "fitloop/plugins";
export default defineConfig({
  name: "tiny", data: shapes({ classes: 4, size: 8, train: 40, test: 12 }), model: resnet18({ width: 2, stem: "cifar" }),
  optimizer: sgd({ momentum: 0.9 }), learningRate: 0.05, epochs: 2, batchSize: 8, holdout: 0.2, seed: 1,
  plugins: [randomCropFlip({ padding: 1 }), labelSmoothing(), ema({ decay: 0.5 })],
});
`;

const image = "image.png";
/** What reads a finished run. */
const commands: Record<string, (run: string) => string[]> = {
  evaluate: (run) => ["evaluate", run, "--json", "--resamples", "10"],
  predict: (run) => ["predict", run, image, "--json"],
  gradcam: (run) => ["gradcam", run, image, "--json", "--out", "drawings"],
  replay: (run) => ["replay", run, "--step", "6", "--json"],
  report: (run) => ["report", run],
  compare: (run) => ["compare", run, "whole", "--json"],
};
/** Which of them read which file. */
const readers: Record<string, readonly string[]> = {
  "config.resolved.json": Object.keys(commands),
  "weights.safetensors": ["evaluate", "predict", "gradcam"],
  "metrics.jsonl": ["replay", "report", "compare"],
  "summary.json": ["report", "compare"],
  "report/kept.json": ["report"],
};

/** A bit, a byte, the end or some bytes more. */
function changed(bytes: Buffer, random: Stream): { bytes: Buffer; what: string } {
  const at = random.int(bytes.length);
  const copy = Buffer.from(bytes);
  switch (random.int(4)) {
    case 0:
      copy[at]! ^= 1 << random.int(8);
      return { bytes: copy, what: `a bit of byte ${at}` };
    case 1:
      copy[at] = random.int(256);
      return { bytes: copy, what: `byte ${at} is ${copy[at]}` };
    case 2:
      return { bytes: copy.subarray(0, at), what: `cut at ${at}` };
    default: {
      const more = Buffer.from(Array.from({ length: 1 + random.int(20) }, () => random.int(256)));
      return {
        bytes: Buffer.concat([copy.subarray(0, at), more, copy.subarray(at)]),
        what: `${more.length} bytes more at ${at}`,
      };
    }
  }
}

/** What an answer says, without paths and what a clock measured. */
function answerOf({ stdout }: Ran, run: string): string {
  const page = join(run, "report.html");
  const html = existsSync(page) ? readFileSync(page, "utf8") : "";
  return `${stdout}${html}`
    .replaceAll(run, "RUN")
    .replace(/"(seconds|imagesPerSecond)": ?[^,}]+/g, "")
    .replace(/Written [^"]*?UTC/g, "");
}

export interface Attack {
  readonly changes: number;
  /** Of the changes with a reader each: refused with a code and a sentence, reported, without effect. */
  readonly refused: number;
  readonly reported: number;
  readonly same: number;
  /** Each by file, change and reader; both must be empty. */
  readonly silent: readonly string[];
  readonly faults: readonly string[];
}

/**
 * In the working directory, which is empty.
 *
 * @param changes of each file, for each of its readers
 */
export async function attackFiles(changes: number, seed: number): Promise<Attack> {
  const found = { changes: 0, refused: 0, reported: 0, same: 0, silent: [] as string[], faults: [] as string[] };
  const count = (what: string, { code, stderr }: Ran, isSame: boolean): void => {
    found.changes++;
    if (/fault of fitloop|^\s+at .*:\d+/m.test(stderr) || ![0, 2, 65, 73, 74, 75, 76].includes(code))
      found.faults.push(`${what}: code ${code}, ${stderr.slice(0, 500)}`);
    else if (code !== 0) found.refused++;
    else if (isSame) found.same++;
    else if (stderr.includes("warning:")) found.reported++;
    else found.silent.push(what);
  };
  writeFileSync("tiny.config.mts", config);
  writeFileSync(
    image,
    await sharp({ create: { width: 8, height: 8, channels: 3, background: "#a31" } })
      .png()
      .toBuffer(),
  );
  const fit = ["--config", "tiny.config.mts", "--backend", "wasm", "--quiet", "--checkpoint-every", "3"];
  expect(await trainer(...fit, "--out", "whole")).toMatchObject({ code: 0 });
  const random = stream(seed, "damaged files");
  const fresh = (from: string): void => {
    rmSync("run", { recursive: true, force: true });
    cpSync(from, "run", { recursive: true });
  };
  const attack = async (from: string, file: string, ...command: string[]): Promise<{ what: string; ran: Ran }> => {
    fresh(from);
    const path = join("run", file);
    const { bytes, what } = changed(readFileSync(path), random);
    writeFileSync(path, bytes);
    return { what: `${file}, ${what}: ${command[0]}`, ran: await trainer(...command) };
  };

  for (const [file, names] of Object.entries(readers)) {
    for (const name of names) {
      const command = commands[name]!("run");
      fresh("whole");
      const whole = await trainer(...command);
      expect(whole, name).toMatchObject({ code: 0 });
      const expected = answerOf(whole, "run");
      for (let each = 0; each < changes; each++) {
        const { what, ran } = await attack("whole", file, ...command);
        count(what, ran, answerOf(ran, "run") === expected);
      }
    }
  }

  // A run that was killed after its first checkpoint.
  cpSync("whole", "half", { recursive: true });
  for (const file of ["summary.json", "weights.safetensors", "report.html"]) rmSync(join("half", file));
  const [first, ...later] = readdirSync("half/checkpoints").sort();
  for (const name of later) rmSync(join("half/checkpoints", name), { recursive: true });
  const weights = (run: string): string => readFileSync(join(run, "weights.safetensors")).toString("base64");
  const files = (readdirSync("half", { recursive: true }) as string[]).filter(
    (name) => statSync(join("half", name)).isFile() && !name.endsWith(".png"),
  );
  expect(files).toContain(join("checkpoints", first!, "meta.json"));
  for (const file of files) {
    for (let each = 0; each < changes; each++) {
      const { what, ran } = await attack("half", file, "--resume", "run", "--quiet");
      count(what, ran, ran.code === 0 && weights("run") === weights("whole"));
    }
  }
  return found;
}
