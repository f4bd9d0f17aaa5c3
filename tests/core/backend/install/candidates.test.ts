/** Where a TensorFlow is looked for: every place is named, with an addon or with the reason why there is none. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Candidate, findCandidates } from "../../../../core/backend/install/candidates.js";
import { findNativeSources } from "../../../../core/backend/install/native-sources.js";
import { recipeFor } from "../../../../core/backend/install/recipe.js";
import { nameOf, writeEntry } from "../../../support/workshop.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fitloop-candidates-"));
  vi.stubEnv("FITLOOP_CACHE", join(folder, "cache"));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

const find = (): Promise<Candidate[]> => findCandidates(folder);

/** What tfjs-node's own install script makes of a project's node_modules. */
function ownInstall(name: string, version: string, ...addons: string[]): string {
  const root = join(folder, "node_modules", name);
  mkdirSync(root, { recursive: true });
  writeFileSync(join(root, "package.json"), JSON.stringify({ name, version }));
  for (const each of addons) {
    mkdirSync(join(root, "lib", each), { recursive: true });
    writeFileSync(join(root, "lib", each, "tfjs_binding.node"), "");
  }
  return root;
}

describe("candidates", () => {
  it("are the cache for GPUs, the cache, and the package of this checkout", async () => {
    const [gpu, cpu, own, ...more] = await find();
    expect(gpu!.place).toBe(`TensorFlow (gpu) in ${join(folder, "cache")}`);
    expect(cpu).toEqual({
      place: `TensorFlow (cpu) in ${join(folder, "cache")}`,
      problem: "it is not installed",
    });
    expect(own).toMatchObject({
      place: expect.stringMatching(/^the addon of @tensorflow\/tfjs-node-gpu in .*node_modules/),
      problem: "it is not installed",
    });
    expect(more).toEqual([]);
  });

  it("have the cache's addon, and what is wrong with a damaged one", async () => {
    const entry = join(folder, "cache", nameOf(recipeFor("cpu"), findNativeSources()));
    writeEntry(entry);
    expect((await find())[1]).toMatchObject({ addon: join(entry, "tfjs_binding.node") });
    writeFileSync(join(entry, "tfjs_binding.node"), "half");
    expect((await find())[1]).toMatchObject({
      problem: "tfjs_binding.node differs from what was installed",
    });
  });

  it("have the addons that tfjs-node has installed for a project, and say whose they are", async () => {
    const gpu = ownInstall("@tensorflow/tfjs-node-gpu", "4.22.0", "napi-v7", "napi-v8", "unrelated");
    const cpu = ownInstall("@tensorflow/tfjs-node", "4.22.0", "napi-v8");
    const [, , first, second, third] = await find();
    expect(first).toEqual({
      place: `the addon of @tensorflow/tfjs-node-gpu in ${gpu}`,
      addon: join(gpu, "lib", "napi-v8", "tfjs_binding.node"),
      note: expect.stringMatching(/comes from @tensorflow\/tfjs-node-gpu's own installer, not from trainer/),
    });
    expect(second).toMatchObject({ addon: join(cpu, "lib", "napi-v8", "tfjs_binding.node") });
    expect(third!.place).not.toContain(folder);
  });

  it("refuse the addon of another version", async () => {
    ownInstall("@tensorflow/tfjs-node", "4.20.0", "napi-v8");
    expect((await find())[2]).toMatchObject({ problem: "it is version 4.20.0, and 4.22.0 is needed" });
  });
});

describe("the recipe", () => {
  const keys = ["cpu linux-x64", "cpu linux-arm64", "cpu darwin-arm64", "cpu win32-x64", "gpu linux-x64"] as const;
  it.each(keys)("for %s pins its wheel", (key) => {
    const [variant, platform] = key.split(" ") as ["cpu" | "gpu", string];
    const { project, tensorflow, platformTag, wheel } = recipeFor(variant, platform);
    expect(wheel.name).toBe(`${project.replace("-", "_")}-${tensorflow}-cp311-cp311-${platformTag}.whl`);
    expect(wheel.sha256).toMatch(/^[0-9a-f]{64}$/);
  });

  it("for GPUs pins NVIDIA's wheels, with the sizes that an install says beforehand", () => {
    const { cuda = [], wheel } = recipeFor("gpu", "linux-x64");
    expect(cuda.map(({ project }) => project)).toEqual(
      ["cublas", "cuda-cupti", "cuda-nvrtc", "cuda-runtime", "cudnn", "cufft", "curand", "cusolver", "cusparse", "nccl"]
        .concat("nvjitlink")
        .map((name) => `nvidia-${name}-cu12`),
    );
    for (const { project, version, name, sha256 } of cuda) {
      expect(name.startsWith(`${project.replaceAll("-", "_")}-${version}-py3-none-manylinux`)).toBe(true);
      expect(sha256).toMatch(/^[0-9a-f]{64}$/);
    }
    const sizes = [wheel, ...cuda].map(({ bytes }) => bytes!);
    expect(sizes.reduce((sum, bytes) => sum + bytes)).toBe(3_338_536_619);
  });

  it("says for which machines there is one", () => {
    expect(() => recipeFor("cpu", "sunos-x64")).toThrowError(
      expect.objectContaining({
        code: "ERR_BACKEND",
        message:
          "There is no TensorFlow library for sunos-x64 (cpu); there is one for linux-x64 and linux-arm64 and " +
          "darwin-arm64 and win32-x64. Train with --backend wasm here.",
      }),
    );
  });
});
