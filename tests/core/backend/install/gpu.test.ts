/** What `backend status` says about a GPU: which one, and why it is not used. */
import { describe, expect, it } from "vitest";
import { type GpuQuestion, gpuStatus } from "../../../../core/backend/install/gpu.js";

const h200 = "NVIDIA H200, 143771 MiB, 570.86.10\n";
const banner = "| NVIDIA-SMI 570.86.10   Driver Version: 570.86.10   CUDA Version: 12.8     |\n";
const smi =
  (listed: string, text = banner) =>
  (_: string, args: readonly string[]) =>
    Promise.resolve(args.length > 0 ? listed : text);
const missing = (): Promise<string> => Promise.reject(new Error("x", { cause: { code: "ENOENT" } }));
const failing = (): Promise<string> =>
  Promise.reject(new Error("nvidia-smi … failed:\nFailed to initialize NVML: Driver/library version mismatch"));

const ask = (overrides: Partial<GpuQuestion> = {}) =>
  gpuStatus({
    platform: "linux-x64",
    env: {},
    run: smi(h200),
    backend: { name: "tensorflow", device: "CPU, some" },
    installed: true,
    ...overrides,
  });

const device = { devices: [{ name: "NVIDIA H200", memory: "143771 MiB" }], driver: "570.86.10", cuda: "12.8" };

it("names GPU, driver and CUDA, and gives no reason where the GPU is used", async () => {
  expect(await ask({ backend: { name: "tensorflow", device: "GPU" } })).toEqual(device);
});

describe("why none is used", () => {
  it.each<[string, Partial<GpuQuestion>, RegExp]>([
    [
      "another platform",
      { platform: "darwin-arm64" },
      /^There is no GPU variant for darwin-arm64, only for linux-x64\.$/,
    ],
    ["no driver", { run: missing }, /^No NVIDIA driver answers here \(nvidia-smi is missing\)\.$/],
    ["a driver that fails", { run: failing }, /nvidia-smi failed: Failed to initialize NVML: Driver.*mismatch\)\.$/],
    ["a driver without GPU", { run: smi("\n") }, /^The NVIDIA driver lists no GPU\.$/],
    ["the other variant", { installed: false }, /not installed\. To get it: trainer backend install --gpu$/],
    ["a hidden GPU", { env: { CUDA_VISIBLE_DEVICES: "" } }, /^CUDA_VISIBLE_DEVICES is "", which hides every GPU\.$/],
    ["a GPU number below zero", { env: { CUDA_VISIBLE_DEVICES: "-1" } }, /hides every GPU/],
    ["an old driver", { run: smi(h200, "CUDA Version: 11.4") }, /^The driver runs CUDA 11\.4 at most; /],
    ["something else", { env: { CUDA_VISIBLE_DEVICES: "0" } }, /^TensorFlow found no GPU that it can use\./],
  ])("%s", async (_, overrides, reason) => expect((await ask(overrides)).unused).toMatch(reason));
});
