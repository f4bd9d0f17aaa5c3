import { defineConfig } from "fitloop";
import { shapes } from "fitloop/data";
import { resnet9 } from "fitloop/models";
import { oneCycle } from "fitloop/plugins";
import { randomGray } from "./random-gray.js";

export default defineConfig({
  name: "gray",
  data: shapes(),
  model: resnet9({ width: 8 }),
  learningRate: 0.1,
  epochs: 1,
  plugins: [randomGray({ probability: 0.2 }), oneCycle()],
});
