import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { system } from "../../core/files.js";
import { type ExportOptions, exportRun } from "../../export/index.js";
import { trainer, workplace } from "../support/run-cli.js";

const { base } = workplace();
const config = fileURLToPath(new URL("../support/micro.config.ts", import.meta.url));
const run = join(base, "run");

beforeAll(async () => {
  expect(await trainer("--config", config, "--out", run, "--quiet")).toMatchObject({ code: 0 });
});

describe("trainer export", () => {
  it("writes every format into the run's folder, and says what it wrote and how far it is from the run", async () => {
    const { code, stdout, stderr } = await trainer("export", run, "--to", "litert,onnx,tfjs,savedmodel");
    expect({ code, stdout }).toMatchObject({ code: 0 });
    for (const file of ["model.tflite", "model.onnx", "tfjs/model.json", "saved-model/saved_model.pb"]) {
      expect(existsSync(join(run, "export", file)), file).toBe(true);
      expect(stdout).toContain(join(run, "export", file));
    }
    expect(stdout).toMatch(/largest difference \d\.\de-\d+ of the largest logit/);
    expect(stderr).toContain("a mean of 2 views of each image; an exported model sees the plain image only");
    const model = JSON.parse(readFileSync(join(run, "export/tfjs/model.json"), "utf8"));
    expect(model.userDefinedMetadata).toMatchObject({ classes: ["disc", "square", "triangle", "star"] });
  });

  it("writes a page beside tfjs and litert, and none with --no-page", async () => {
    const out = join(base, "web");
    const { code, stdout } = await trainer("export", run, "--to", "tfjs,litert", "--page", "--out", out, "--json");
    expect(code).toBe(0);
    const { pages } = JSON.parse(stdout);
    expect(pages).toEqual([join(out, "tfjs/index.html"), join(out, "litert/index.html")]);
    const about = JSON.parse(readFileSync(join(out, "tfjs/classifier.json"), "utf8"));
    expect(about).toMatchObject({ version: 1, format: "tfjs", model: "model.json", output: "probabilities" });
    expect(about.test.images).toBeGreaterThan(0);
    const page = readFileSync(pages[0], "utf8");
    expect(page).toContain("default-src 'none'");
    expect(page).not.toMatch(/src="|href="http|url\(/);
    const none = await trainer("export", run, "--to", "tfjs", "--no-page", "--out", join(base, "bare"));
    expect(none.stdout).not.toContain("index.html");
    expect(existsSync(join(base, "bare/tfjs/index.html"))).toBe(false);
    const again = await trainer("export", run, "--to", "tfjs,tfjs", "--no-page", "--out", out);
    expect(again.stderr).toContain(`${join(out, "tfjs/model.json")} was there already. It is replaced.`);
    expect(again.stderr).toContain(`${join(out, "tfjs")} had a page of an earlier export. It is removed.`);
    expect(existsSync(join(out, "tfjs/classifier.json"))).toBe(false);
    expect(existsSync(join(out, "tfjs/index.html"))).toBe(false);
    expect(existsSync(join(out, "litert/classifier.json"))).toBe(true); // with the model of its time
  });

  it("leaves pages and shards that somebody else wrote", async () => {
    const [out, words] = [join(base, "theirs"), ["export", run, "--to", "tfjs", "--out", join(base, "theirs")]];
    expect(await trainer(...words, "--page")).toMatchObject({ code: 0 });
    const theirs = ["index.html", "group1-shard1of9.bin"].map((name) => join(out, "tfjs", name));
    for (const file of theirs) writeFileSync(file, "theirs");
    expect(await trainer(...words, "--no-page")).toMatchObject({ code: 0 });
    for (const file of theirs) expect(readFileSync(file, "utf8")).toBe("theirs");
    expect(existsSync(join(out, "tfjs/classifier.json"))).toBe(false);
  });

  it.each([
    [{ output: "logit" }, /^An export: "output" expected one of "probabilities"\|"logits", got "logit"\.$/],
    [{ quantise: "int8" }, /unknown option "quantise" \(did you mean "quantize"\?\)/],
    [{ out: "elsewhere" }, /unknown option "out" \(did you mean "folder"\?\)/],
    [{ keepFloat: "conv1" }, /"keepFloat" expected array, got "conv1"/],
  ])("from code refuses %j", async (options, message) => {
    await expect(exportRun(run, options as ExportOptions)).rejects.toMatchObject({
      code: "ERR_OPTION",
      message: expect.stringMatching(message),
    });
  });

  it("compares int8 with float32, sizes included, before it writes", async () => {
    const folder = join(base, "compared");
    const lines: { line: string; written: boolean }[] = [];
    const log = (line: string): void => void lines.push({ line, written: existsSync(folder) });
    const { files } = await exportRun(run, { to: ["litert:int8", "onnx:int8", "tfjs"], page: false, folder, log });
    const at = lines.findIndex(({ line }) => line.includes("the same class on"));
    expect(lines.slice(at).map(({ line }) => line)).toEqual([
      expect.stringMatching(/^int8 and float32 on 8 validation images: the same class on [\d.]+ %$/),
      expect.stringMatching(/^float32 {2}top-1 .* %\), litert 0\.\d\d MB, onnx 0\.\d\d MB$/),
      expect.stringMatching(/^int8 {5}top-1 .* %\), litert 0\.\d\d MB, onnx 0\.\d\d MB$/),
    ]);
    expect(lines.some(({ written }) => written)).toBe(false);
    expect(files[0]!.float32Bytes).toBeGreaterThan(files[0]!.bytes);
    expect(files[2]!.float32Bytes).toBe(files[2]!.bytes);
  });

  it("leaves no model where a second export into a folder is interrupted, and no old shard where it is not", async () => {
    const out = join(base, "again");
    const again = () => trainer("export", run, "--to", "tfjs", "--page", "--out", out);
    await again();
    const [model, second] = ["model.json", "group1-shard2of2.bin"].map((name) => join(out, "tfjs", name));
    const larger = JSON.parse(readFileSync(model!, "utf8"));
    larger.weightsManifest[0].paths.push("group1-shard2of2.bin");
    writeFileSync(model!, JSON.stringify(larger));
    writeFileSync(second!, "of a larger model");
    const { renameSync } = system;
    const interrupted = vi.spyOn(system, "renameSync").mockImplementation((from, to) => {
      if (String(to).endsWith("model.json")) throw new Error("interrupted");
      renameSync(from, to);
    });
    expect((await again()).code).not.toBe(0);
    interrupted.mockRestore();
    for (const file of ["model.json", "classifier.json"]) expect(existsSync(join(out, "tfjs", file)), file).toBe(false);
    expect((await again()).code).toBe(0);
    for (const file of ["model.json", "classifier.json"]) expect(existsSync(join(out, "tfjs", file)), file).toBe(true);
    expect(readdirSync(join(out, "tfjs")).filter((name) => name.endsWith(".bin"))).toEqual(["group1-shard1of1.bin"]);
  });

  it("refuses options of calibration for a run with trained ranges", async () => {
    const trained = join(base, "trained");
    expect(await trainer("--config", config, "--with", "quantize-aware", "--out", trained, "--quiet")).toMatchObject({
      code: 0,
    });
    const { code, stderr } = await trainer("export", trained, "--quantize", "int8", "--calibrate", "8");
    expect({ code, stderr }).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('This run has those of training (plugin quantize-aware). Remove "calibrate".'),
    });
  });

  it("tells JSON how large the files are and how int8 compares", async () => {
    const out = join(base, "small");
    const { code, stdout } = await trainer(
      "export",
      run,
      "--to",
      "litert,onnx",
      "--quantize",
      "int8",
      "--out",
      out,
      "--json",
    );
    expect(code).toBe(0);
    const { files, comparison, difference } = JSON.parse(stdout);
    expect(files.map(({ format }: { format: string }) => format)).toEqual(["litert", "onnx"]);
    for (const { path, bytes } of files) expect(statSync(path).size).toBe(bytes);
    expect(comparison.images).toBe(8);
    expect(comparison.agreement).toBeGreaterThan(0.5);
    expect(comparison.float.low).toBeLessThanOrEqual(comparison.float.top1);
    expect(difference).toBeLessThan(1e-4);
  });

  it("leaves layers in float32, and names those that int8 changes most", async () => {
    const words = ["export", run, "--to", "litert", "--quantize", "int8", "--no-page", "--json"];
    const whole = JSON.parse((await trainer(...words, "--out", join(base, "whole"))).stdout);
    expect(whole.comparison.worst.length).toBe(5);
    const [{ layer, error }, next] = whole.comparison.worst;
    expect(error).toBeGreaterThanOrEqual(next.error);
    const kept = JSON.parse((await trainer(...words, "--keep-float", layer, "--out", join(base, "kept"))).stdout);
    expect(kept.files[0].bytes).not.toBe(whole.files[0].bytes);
    expect(kept.comparison.worst.map((each: { layer: string }) => each.layer)).not.toContain(layer);
  });

  it("writes each format in a type of its own, as README.md shows it", async () => {
    const readme = readFileSync(join(import.meta.dirname, "../../README.md"), "utf8");
    const [, to] = /`trainer export RUN --to (\S+)`/.exec(readme)!;
    const out = join(base, "each");
    const { code, stdout, stderr } = await trainer("export", run, "--to", to!, "--no-page", "--out", out, "--json");
    expect(code, stderr).toBe(0);
    const { files, comparison } = JSON.parse(stdout);
    const names = files.map(({ path }: { path: string }) => relative(out, path));
    const written = ["model-int8.tflite", "model-int8.onnx", "tfjs-int8-dynamic/model.json"];
    expect(names).toEqual([...written, "saved-model/saved_model.pb"]);
    expect(comparison.images).toBe(8);
    const small = readFileSync(join(out, "model-int8.onnx"));
    await trainer("export", run, "--to", "onnx", "--quantize", "int8", "--out", join(base, "alone"));
    expect(readFileSync(join(base, "alone", "model-int8.onnx")).equals(small)).toBe(true);
  });

  it("takes a type of --quantize where a format names none, and the names tflite and fp16", async () => {
    const out = join(base, "named");
    const words = ["--to", "tflite,onnx:float32,onnx:fp16", "--quantize", "fp16", "--no-page", "--out", out, "--json"];
    const { files } = JSON.parse((await trainer("export", run, ...words)).stdout);
    const names = files.map(({ path }: { path: string }) => relative(out, path));
    expect(names).toEqual(["model-float16.tflite", "model.onnx", "model-float16.onnx"]);
    for (const { path, bytes } of files) expect(statSync(path).size).toBe(bytes);
  });

  it("writes the same bytes again", async () => {
    const written = async (name: string): Promise<Buffer> => {
      await trainer("export", run, "--to", "onnx", "--quantize", "float16", "--out", join(base, name));
      return readFileSync(join(base, name, "model-float16.onnx"));
    };
    expect((await written("once")).equals(await written("twice"))).toBe(true);
  });

  it.each([
    [["--to", "coreml"], 2, /expected one or more of litert, onnx, tfjs, savedmodel, .*, got coreml\./],
    [
      ["--to", "tfjs", "--quantize", "int8"],
      2,
      /"tfjs" cannot hold int8 weights\. It can hold float32, float16, int8-dynamic\. .* --to tfjs:int8-dynamic\.\n/,
    ],
    [
      ["--to", "litert,onnx,tfjs,savedmodel", "--quantize", "int8"],
      2,
      /Give each format its type: --to litert:int8,onnx:int8,tfjs:int8-dynamic,savedmodel:float32\./,
    ],
    [["--to", "savedmodel:float16"], 2, /It holds float32 only/],
    [["--to", "litert:int4"], 2, /such as litert:int8 \(float32, float16, int8, int8-dynamic\), got litert:int4\./],
    [["--to", "litert:int8:int8"], 2, /got litert:int8:int8\./],
    [["--quantize", "int4"], 2, /expected one of float16, int8, int8-dynamic, got int4/],
    [["--to", "onnx", "--page"], 2, /A page needs the format "tfjs" or "litert", got onnx/],
    [
      ["--quantize", "int8", "--keep-float", "logitz", "--keep-float", "logits"],
      2,
      /the graph has no layer "logitz" \(did you mean "logits"\?\)/,
    ],
    [["--keep-float", "logits"], 2, /"keepFloat" is for "int8", got float32/],
    [["--calibrate", "8"], 2, /"calibrate" is for "int8", got float32/],
    [["--share", "1", "--quantize", "float16"], 2, /"share" is for "int8", got float16/],
    [["--share", "0.2"], 2, /expected a number above 0.5, at most 1, got 0.2/],
  ])("refuses %j, and writes nothing", async (words, expected, message) => {
    const out = join(base, "refused");
    const { code, stderr } = await trainer("export", run, ...words, "--out", out);
    expect({ code, stderr }).toMatchObject({ code: expected, stderr: expect.stringMatching(message) });
    expect(existsSync(out)).toBe(false);
  });

  it("refuses a folder that is no finished run", async () => {
    expect(await trainer("export", base)).toMatchObject({ code: 65 });
  });
});
