/**
 * Makes the golden run: `npx tsx tests/golden/run/generate.ts`. Only for a new format or network of the fixture; what a
 * released version has written must go on as it is, and a change here is a break of that promise.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { configRecord, Trainer, loadBackend } from "../../../core/index.js";
import { saveCheckpoint } from "../../../run/checkpoints.js";
import { toJson } from "../../../run/json.js";
import { toCheckpoint } from "../../../run/checkpoint-writer.js";
import { goldenConfig } from "./config.js";

const folder = import.meta.dirname;
rmSync(join(folder, "checkpoints"), { recursive: true, force: true });
await loadBackend({ name: "wasm" });
const trainer = new Trainer(goldenConfig());
const steps: object[] = [];
trainer.events.on("step", ({ step, loss, learningRate, gradientNorm }) => void steps.push({ step, loss, learningRate, gradientNorm }));
await trainer.fit({
  onResumePoint(snapshot, point) {
    const { step, window } = snapshot.position;
    const middle = point === "step" && step === 4 && window.batches === 1;
    if (middle || point === "stop") saveCheckpoint(join(folder, "checkpoints"), toCheckpoint(snapshot, 0));
  },
});
writeFileSync(join(folder, "steps.json"), `${toJson(steps, 2)}\n`);
writeFileSync(join(folder, "config.resolved.json"), `${toJson(configRecord(trainer.config), 2)}\n`);
