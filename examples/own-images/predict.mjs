import { openRun } from "fitloop";

const run = await openRun("runs/photos");
for await (const { image, predictions, error } of run.predictEach(process.argv.slice(2), { top: 1 })) {
  console.log(image, error ? error.message : `${predictions[0].class} ${predictions[0].probability.toFixed(3)}`);
}
