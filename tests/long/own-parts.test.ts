/** Every command on runs with a part of the user's own, each kind: where the run was made, and as a copy from elsewhere. */
import { cpSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { beforeAll, describe, expect, it } from "vitest";
import { ownConfigFile } from "../support/own-configs.js";
import { trainer, workplace } from "../support/run-cli.js";

const { base } = workplace();
const cat = join(base, "cat.png");
beforeAll(async () => {
  await sharp({ create: { width: 20, height: 16, channels: 3, background: "#a03040" } })
    .png()
    .toFile(cat);
});

/** What needs a run's own parts: predict and gradcam of files; gradcam of the run's images; evaluate. All else needs each. */
const kinds = {
  data: { predict: false, images: true, evaluate: true },
  model: { predict: true, images: true, evaluate: true },
  optimizer: { predict: false, images: false, evaluate: false },
  loss: { predict: false, images: false, evaluate: true },
  metric: { predict: false, images: false, evaluate: true },
  branch: { predict: true, images: true, evaluate: true },
  step: { predict: false, images: false, evaluate: false },
  watcher: { predict: false, images: false, evaluate: false },
} as const;

const commands: Record<string, (run: string) => string[]> = {
  evaluate: (run) => ["evaluate", run, "--resamples", "10"],
  predict: (run) => ["predict", run, cat],
  "gradcam of a file": (run) => ["gradcam", run, cat, "--out", join(base, "maps")],
  gradcam: (run) => ["gradcam", run, "--images", "2", "--out", join(base, "maps")],
  export: (run) => ["export", run, "--out", join(base, "exported")],
  "export in int8": (run) => ["export", run, "--quantize", "int8", "--out", join(base, "exported")],
  replay: (run) => ["replay", run, "--step", "2"],
  compare: (run) => ["compare", run, `${run}-2`, "--json"],
  report: (run) => ["report", run],
  "--resume": (run) => ["--resume", run, "--epochs", "3", "--quiet"],
};
const needs = (command: string, kind: keyof typeof kinds): boolean => {
  if (command === "compare" || command === "report") return false;
  if (["predict", "gradcam of a file", "export"].includes(command)) return kinds[kind].predict;
  if (["gradcam", "export in int8"].includes(command)) return kinds[kind].images;
  if (command === "evaluate") return kinds[kind].evaluate;
  return true;
};

describe.each(Object.keys(kinds) as (keyof typeof kinds)[])("a run with a %s of its own", (kind) => {
  let config: string;
  beforeAll(async () => {
    process.env.OWN = kind;
    config = ownConfigFile(kind);
    for (const out of [kind, `${kind}-2`]) {
      const made = await trainer(
        "--config",
        config,
        "--out",
        out,
        "--quiet",
        "--max-steps",
        "4",
        "--checkpoint-every",
        "1",
      );
      expect(made).toMatchObject({ code: 0 });
    }
    // The same run as another machine would have it: this one knows nothing of that folder.
    mkdirSync("elsewhere", { recursive: true });
    for (const out of [kind, `${kind}-2`]) cpSync(out, join("elsewhere", out), { recursive: true });
  });

  it.each(Object.keys(commands))("here: %s needs no config", async (command) => {
    const ran = await trainer(...commands[command]!(kind));
    expect({ stderr: ran.stderr, code: ran.code }).toEqual({ stderr: expect.any(String), code: 0 });
  });

  it.each(Object.keys(commands))(
    "elsewhere: %s takes --config, and asks for it where it is needed",
    async (command) => {
      const run = join("elsewhere", kind);
      const words = commands[command]!(run);
      if (!needs(command, kind)) {
        expect(await trainer(...words)).toMatchObject({ code: 0 });
        return;
      }
      const refused = await trainer(...words);
      expect(refused.code).toBe(2);
      expect(refused.stderr).toMatch(/^trainer: This run uses parts that are not built in: .*own-.*--config FILE/m);
      expect(await trainer(...words, "--config", config)).toMatchObject({ code: 0 });
    },
  );
});
