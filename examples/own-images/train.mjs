import { train } from "fitloop";
import { imageFolder } from "fitloop/data";
import { resnet18 } from "fitloop/models";
import { labelSmoothing, oneCycle, randomCropFlip } from "fitloop/plugins";

const config = {
  data: imageFolder({ path: "photos", size: 64 }),
  model: resnet18({ width: 16, stem: "cifar" }),
  learningRate: 0.05,
  epochs: 5,
  batchSize: 8,
  holdout: 0.2,
  plugins: [randomCropFlip({ padding: 4 }), labelSmoothing(), oneCycle()],
};

const run = await train(config, { folder: "runs/photos", resume: true, progress: true });
console.log("validation accuracy", run.validation?.top1);
console.log(await run.predict("cat.jpg"));
run.dispose();
