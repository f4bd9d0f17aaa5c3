/** A run that resumes with another length: what its record says, and which length a step was made with. */
import { expect, it } from "vitest";
import type { progressAt as place } from "../../core/loop/position.js";
import { type Extension, extensionNote, extensionsOf, lengthAt } from "../../run/extension.js";

const epochs = (atStep: number, from: number, to: number): Extension => ({ atStep, field: "epochs", from, to });

it.each<[string, Parameters<typeof extensionsOf>, Extension[]]>([
  ["the same length", [{ epochs: 2 }, { epochs: 2 }, 8], []],
  ["more epochs", [{ epochs: 2 }, { epochs: 4 }, 8], [epochs(8, 2, 4)]],
  ["more time", [{ maxTime: 60 }, { maxTime: 90 }, 8], [{ atStep: 8, field: "maxTime", from: 60, to: 90 }]],
  ["before the first step", [{ epochs: 2 }, { epochs: 4 }, 0], []],
  ["once more", [{ epochs: 4, extended: [epochs(8, 2, 4)] }, { epochs: 6 }, 16], [epochs(8, 2, 4), epochs(16, 4, 6)]],
  ["killed and resumed", [{ epochs: 4, extended: [epochs(8, 2, 4)] }, { epochs: 4 }, 10], [epochs(8, 2, 4)]],
  ["an earlier checkpoint", [{ epochs: 4, extended: [epochs(8, 2, 4)] }, { epochs: 4 }, 6], [epochs(6, 2, 4)]],
])("%s", (_, given, extended) => expect(extensionsOf(...given)).toEqual(extended));

it("a step was made with the length of its time", () => {
  const record = { epochs: 6, extended: [epochs(8, 2, 4), epochs(16, 4, 6)] };
  expect([1, 8, 9, 16, 17].map((step) => lengthAt(record, step))).toEqual([
    { epochs: 2, since: 0 },
    { epochs: 2, since: 0 },
    { epochs: 4, since: 8 },
    { epochs: 4, since: 8 },
    { epochs: 6, since: 16 },
  ]);
  expect(lengthAt({ epochs: 6 }, 3)).toEqual({ epochs: 6, since: 0 });
});

it("the note names both lengths, and the rate before and after", () => {
  const rate = ({ step, totalSteps }: ReturnType<typeof place>): number => 0.1 * (1 - step / totalSteps);
  expect(extensionNote(epochs(8, 2, 4), { stepsPerEpoch: 4 }, rate)).toMatch(
    /^The run is changed from 2 to 4 epochs after step 8: schedules .* The learning rate: 0\.0125 -> 0\.05\.$/,
  );
  expect(extensionNote(epochs(8, 2, 4), { stepsPerEpoch: 4 }, () => 0.1)).not.toContain("learning rate");
});
