/** R33: what a run says, in order. tests/long/events.test.ts interrupts runs at random and holds them to the same rules. */
import { beforeAll, expect, it } from "vitest";
import { loadBackend, Trainer } from "../../../core/index.js";
import { microConfig } from "../../../core/testing/index.js";
import { gradientAccumulation } from "../../../plugins/index.js";

beforeAll(async () => void (await loadBackend()));

it("a run of two epochs of two steps says this and nothing else", async () => {
  const trainer = new Trainer(microConfig({ epochs: 2, batchSize: 4, plugins: [gradientAccumulation({ factor: 2 })] }));
  const said: string[] = [];
  trainer.events.on("*", (name, value) => {
    const { epoch, step, purpose } = value as { epoch?: number; step?: number; purpose?: string };
    said.push(
      [name, epoch !== undefined && `epoch ${epoch}`, step !== undefined && `step ${step}`, purpose]
        .filter(Boolean)
        .join(", "),
    );
  });
  await trainer.fit();
  expect(said).toMatchInlineSnapshot(`
    [
      "fit:start, epoch 0, step 0",
      "epoch:start, epoch 0, step 0",
      "step, epoch 0, step 1",
      "step, epoch 0, step 2",
      "evaluate:end, epoch 0, step 2, validation",
      "epoch:end, epoch 0, step 2",
      "epoch:start, epoch 1, step 2",
      "step, epoch 1, step 3",
      "step, epoch 1, step 4",
      "evaluate:end, epoch 1, step 4, validation",
      "epoch:end, epoch 1, step 4",
      "evaluate:end, epoch 2, step 4, test",
      "fit:end",
    ]
  `);
});
