import { expect, it } from "vitest";
import * as testing from "../../core/testing/index.js";
import * as api from "../../run/index.js";

it("fitloop exports this and no more", () => {
  expect(Object.keys(api).sort()).toMatchInlineSnapshot(`
    [
      "Trainer",
      "TrainerError",
      "adamw",
      "addPlugin",
      "alone",
      "blend",
      "commonWeights",
      "configRecord",
      "createLoader",
      "cycleAt",
      "defineConfig",
      "definePlugin",
      "evaluate",
      "exitCodes",
      "figures",
      "firstWeights",
      "forward",
      "gradCam",
      "graph",
      "hookDefinitions",
      "hookNames",
      "image",
      "improves",
      "isRepository",
      "joinGroup",
      "layers",
      "lion",
      "loadBackend",
      "losses",
      "makePart",
      "membershipOf",
      "metrics",
      "monitorOf",
      "monitored",
      "muon",
      "mustHaveValidation",
      "namedParameters",
      "needsEpochs",
      "needsTensorFlow",
      "normalisationNote",
      "openRun",
      "openWeights",
      "ops",
      "optionsOf",
      "overlay",
      "parseOptions",
      "parseSetting",
      "partFactory",
      "placesByClass",
      "plainView",
      "readWeights",
      "replacePlugin",
      "rowPng",
      "setOption",
      "sgd",
      "spread",
      "squeezeExcite",
      "stages",
      "stream",
      "subset",
      "tf",
      "train",
      "weightsFromSafetensors",
      "weightsToSafetensors",
      "z",
    ]
  `);
});

it("fitloop/testing exports this and no more", () => {
  expect(Object.keys(testing).sort()).toMatchInlineSnapshot(`
    [
      "epochEnd",
      "fitWeights",
      "microConfig",
      "microNet",
      "microNetworkFor",
      "mountPlugin",
      "progressAt",
      "stepAt",
      "weightsHash",
    ]
  `);
});

it("fitloop/export exports this and no more", async () => {
  expect(Object.keys(await import("../../export/index.js")).sort()).toEqual(["exportRun", "formats", "quantizations"]);
});
