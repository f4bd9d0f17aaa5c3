/** `trainer replay`: a recorded step again, with the same numbers, and what went on in it. */
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { trainer, workplace } from "./run-cli.js";

workplace();
const config = join(import.meta.dirname, "micro.config.ts");

beforeAll(async () => {
  const { code } = await trainer("--config", config, "--out", "run", "--checkpoint-every", "3", "--json");
  expect(code).toBe(0);
});

it.each([1, 4, 8])("repeats step %i to the last bit, from the nearest checkpoint before it", async (step) => {
  const { code, stdout, stderr } = await trainer("replay", "run", "--step", `${step}`, "--json");
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const { figures, recorded } = JSON.parse(stdout);
  for (const key of ["loss", "learningRate", "gradientNorm"]) expect(figures[key]).toBe(recorded[key]);
  expect(recorded.step).toBe(step);
});

it("shows what each tap changed, and each gradient's norm", async () => {
  const { stdout, stderr } = await trainer("replay", "run", "--step", "8");
  expect(stderr).toMatch(/from .*step-0000000\d.*: \d steps/);
  expect(stdout).toMatch(/loss +[\d.]+ +[\d.]+ +the same/);
  expect(stdout).toMatch(/beforeBatch +label-smoothing +7 +100.0 % of the targets changed, by [\d.]+ on average/);
  expect(stdout).toMatch(/^ {2}fc\.weight +[\d.e-]+$/m);
});

it("writes nothing and evaluates nothing", async () => {
  const { stdout } = await trainer("replay", "run", "--step", "2", "--json");
  expect(stdout).not.toContain("evaluate");
});

it("of a step that the run does not come to is one message", async () => {
  const { code, stderr } = await trainer("replay", "run", "--step", "1000");
  expect(code).toBe(2);
  expect(stderr).toMatch(/does not come to a step 1000/);
});

it("of what is no run is bad data", async () => {
  expect(await trainer("replay", "nowhere", "--step", "1")).toMatchObject({ code: 65 });
});
