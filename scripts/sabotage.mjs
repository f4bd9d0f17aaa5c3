/**
 * Proof that the tests bite: `npm run sabotage [NAME…]` breaks a copy of the sources in one line, as a tired hand might,
 * and runs the test that must notice. Each line below names a bug, where it goes, and that test. Before each bug its test
 * is run on the untouched copy: it must pass there, and must fail with the bug. Your own files are only read.
 * `--check` only looks whether every line still stands where this list says.
 *
 * Exits 1 if a bug goes unnoticed.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Name, file, the line as it is and as it becomes, the test file, and which of its tests. */
const bugs = [
  [
    "a checkpoint's files are not flushed",
    "core/files.ts",
    "      length += bytes.length;\n    }\n    system.fsyncSync(file);",
    "      length += bytes.length;\n    }",
    "tests/run/checkpoint-power-cut.test.ts",
  ],
  [
    "a checkpoint gets its name before its folder is flushed",
    "run/checkpoints.ts",
    "    flushFolder(temporary);\n",
    "",
    "tests/run/checkpoint-power-cut.test.ts",
  ],
  [
    "the second last checkpoint is pruned too",
    "run/retention.ts",
    "listed.slice(0, -Math.max(2, keep))",
    "listed.slice(0, -Math.max(1, keep - 1))",
    "tests/run/checkpoints.test.ts",
  ],
  [
    "checksums of a checkpoint's files are not compared",
    "run/checkpoint-files.ts",
    "if (expected.sha256 !== sha256) {",
    "if (false) {",
    "tests/run/checkpoint-damage.test.ts",
  ],
  [
    "a resumed run forgets the optimizer's state",
    "core/loop/snapshot.ts",
    "set(name, value);\n  }\n  state.counts.clear();",
    'set(name, key === "slots" ? tf.zerosLike(value) : value);\n  }\n  state.counts.clear();',
    "tests/core/loop/resume.test.ts",
    "SGD with momentum",
  ],
  [
    "a resumed run forgets how many updates Adam has made",
    "core/loop/snapshot.ts",
    "  for (const [name, count] of snapshot.counts) state.counts.set(name, count);\n",
    "",
    "tests/core/loop/resume.test.ts",
    "AdamW",
  ],
  [
    "a resumed run begins its epoch with the first batch again",
    "core/loop/trainer.ts",
    "loaders.train.epoch(position.epoch, position.batchInEpoch)",
    "loaders.train.epoch(position.epoch)",
    "tests/core/loop/resume.test.ts",
    "SGD with momentum",
  ],
  [
    "a plugin's saved tensors are left out of checkpoints",
    "run/checkpoint-writer.ts",
    "for (const [name, value] of tensors ?? []) named",
    "for (const [name, value] of []) named",
    "tests/core/loop/resume.test.ts",
    "a step that fails, and the way back",
  ],
  [
    "metrics are not cut back where a run goes on",
    "run/record.ts",
    "{ from: before?.metricsBytes }",
    "{}",
    "tests/cli/resume.test.ts",
    "each step once",
  ],
  [
    "a line's checksum is not compared",
    "run/metrics.ts",
    "if (found !== stated)",
    "if (false)",
    "tests/run/metrics.test.ts",
  ],
  [
    "the crop draws from Math.random",
    "plugins/random-crop-flip/index.ts",
    "rng.chance(flip)",
    "(Math.random() < flip)",
    "tests/contract.test.ts",
    "random-crop-flip",
  ],
  [
    "a dropped unit depends on the process's clock",
    "core/loop/step.ts",
    "stream(seed, `layer/${path}`, microBatch)",
    "stream(seed + process.pid + Number(process.hrtime.bigint() % 1000n), `layer/${path}`, microBatch)",
    "tests/contract.test.ts",
    "dropout",
  ],
  [
    "infinity passes for a number",
    "core/loop/step.ts",
    "if (Number.isFinite(value)) return;",
    "if (!Number.isNaN(value)) return;",
    "tests/core/loop/divergence.test.ts",
    "halt",
  ],
  [
    "a step that fails has let the running statistics through",
    "core/loop/step.ts",
    '    mustBeFinite("loss", step.loss);\n',
    '    commit(state.weights, under("buffer/", passes));\n    mustBeFinite("loss", step.loss);\n',
    "tests/core/loop/divergence.test.ts",
    "halt",
  ],
  [
    "a rollback keeps the learning rate",
    "core/loop/recovery.ts",
    "rateFactor * policy.factor",
    "rateFactor",
    "tests/core/loop/divergence.test.ts",
    "rollback",
  ],
  [
    "each step leaks one tensor",
    "core/loop/step.ts",
    "step.loss = numberIn(passes.loss!);",
    "step.loss = numberIn(tf.keep(passes.loss!));",
    "tests/core/loop/repeat.test.ts",
    "gain no tensor",
  ],
  [
    "a plugin's leak is not told",
    "core/loop/leaks.ts",
    "if (account.unknown || levels",
    "if (account || levels",
    "tests/core/loop/leaks.test.ts",
    "third step",
  ],
  [
    "a lock is believed by the process's number alone",
    "core/lock/process.ts",
    'if (now !== "") return now === start;',
    'if (now !== "") return true;',
    "tests/run/lock.test.ts",
  ],
  [
    "a failed onFitEnd skips the others",
    "core/loop/hook-set.ts",
    'else if (hook === "onFitEnd") endFailures',
    'else if (hook === "onFitStart") endFailures',
    "tests/core/loop/trainer.test.ts",
    "the end of a run",
  ],
  [
    "NaN is the best",
    "core/monitor.ts",
    "  if (value === undefined || !Number.isFinite(value)) return false;\n",
    "  if (value === undefined) return false;\n",
    "tests/core/monitor.test.ts",
  ],
  [
    "a tie counts for the model",
    "core/metrics.ts",
    "if (other !== label && values[row * classes + other]! >= own) rank++;",
    "if (other !== label && values[row * classes + other]! > own) rank++;",
    "tests/core/loop/evaluate.test.ts",
  ],
  ["a signal's handlers stay after the run", "cli/fit.ts", "    ends.stop();\n", "", "tests/cli/signals.test.ts"],
  [
    "a closed terminal's second SIGHUP costs the checkpoint",
    "cli/interrupt.ts",
    '      if (exitCode !== undefined && name === "SIGHUP") return;\n',
    "",
    "tests/cli/process.test.ts",
    "a second SIGHUP",
  ],
  [
    "a gradient by hand that gives its input back is lost",
    "core/nn/backward.ts",
    "    for (const { id } of node.outputs) gradients.delete(id);\n",
    "",
    "tests/core/nn/backward.test.ts",
    "gives its input back",
  ],
  [
    "the way back keeps what it has used",
    "core/nn/backward.ts",
    "    tf.dispose([...node.saved]);\n",
    "",
    "tests/core/nn/backward.test.ts",
    "in six tenths of the memory",
  ],
  [
    "a graph is proved with other random numbers",
    "core/backend/graph/capture.ts",
    "drawn[next++]!.clone()",
    "drawn[0]!.clone()",
    "tests/core/backend/graph/capture.test.ts",
    "under one name too",
  ],
  [
    "a graph freezes a tensor made before it",
    "core/backend/graph/recorder.ts",
    '    if (old) reject("it uses a tensor that is neither an input nor made by it");\n',
    "",
    "tests/core/backend/graph/capture.test.ts",
    "has not been given yet",
  ],
  [
    "what was said of steps that are made again stays in the metrics",
    "run/checkpoint-writer.ts",
    '      if (point === "rollback") metrics?.cut(anchorBytes ?? 0);\n',
    "",
    "tests/run/rollback.test.ts",
  ],
  [
    "a resumed run goes back to where it was resumed",
    "core/loop/recovery.ts",
    "if (rollsBack && (!withinEpoch(now) || !anchor)) {",
    'if (rollsBack && point !== "step") {',
    "tests/run/rollback.test.ts",
  ],
  [
    "prune: channels that are gone come back",
    "plugins/prune/index.ts",
    "new Map([...weights, ...maskedOf(weights)]));\n    // Late",
    "weights);\n    // Late",
    "tests/plugins/prune.test.ts",
    "half of the work is gone",
  ],
  [
    "prune: an average of weights has something of the channels that are gone",
    "plugins/prune/index.ts",
    "      if (gone.size === 0) return evaluation;\n",
    "      if (gone.size >= 0) return evaluation;\n",
    "tests/plugins/prune.test.ts",
    "averages of weights",
  ],
  [
    "prune: a resumed run forgets the gradients that it has seen",
    "plugins/prune/index.ts",
    "scores = new Map(saved.scores.map(([name, each]) => [name, Float64Array.from(each)]));",
    "scores = new Map();",
    "tests/plugins/prune.test.ts",
    "by taylor",
  ],
  [
    "prune: the most important channels go",
    "plugins/prune/choose.ts",
    "rank(a) - rank(b) || a - b",
    "rank(b) - rank(a) || a - b",
    "tests/plugins/prune.test.ts",
    "the same share of each layer",
  ],
  [
    "quantize-aware: ranges move in the last epochs",
    "plugins/quantize-aware/forward.ts",
    "      if (frozen) return before;\n",
    "",
    "tests/plugins/quantize-aware.test.ts",
    "keeps statistics and ranges",
  ],
  [
    "quantize-aware: the rounding begins at once",
    "plugins/quantize-aware/index.ts",
    "epoch < from",
    "epoch < 0",
    "tests/plugins/quantize-aware.test.ts",
    "to the bits of a plain run",
  ],
  [
    "quantize-aware: an average of weights has averaged ranges",
    "plugins/quantize-aware/index.ts",
    "...names.map((name) => [name, weights.get(name)!] as const)",
    "...[]",
    "tests/plugins/quantize-aware.test.ts",
    "averages of weights",
  ],
  [
    "an exported file is whole in memory before it is written",
    "export/formats/pieces.ts",
    "for (const part of parts) {",
    "for (const part of parts.map((each) => (each instanceof Uint8Array ? each : each.bytes()))) {",
    "tests/export/pieces.test.ts",
    "when it is written",
  ],
];

const moved = bugs.filter(([, file, from]) => readFileSync(join(root, file), "utf8").split(from).length !== 2);
for (const [name, file, from] of moved) console.error(`${file} must have this once, for "${name}":\n${from}`);
if (moved.length > 0) process.exit(2);
if (process.argv[2] === "--check") process.exit(0);

const wanted = process.argv.slice(2);
const chosen = bugs.filter(([name]) => wanted.length === 0 || wanted.some((part) => name.includes(part)));
if (chosen.length === 0) {
  console.error(`No bug is called so. There are:\n${bugs.map(([name]) => `  ${name}`).join("\n")}`);
  process.exit(2);
}

const copy = mkdtempSync(join(tmpdir(), "fitloop-sabotage-"));
process.on("exit", () => rmSync(copy, { recursive: true, force: true }));
for (const [name, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
])
  process.on(name, () => process.exit(code));
const listed = spawnSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
  cwd: root,
  encoding: "utf8",
});
for (const file of listed.stdout.split("\0").filter(Boolean)) {
  mkdirSync(dirname(join(copy, file)), { recursive: true });
  cpSync(join(root, file), join(copy, file));
}
symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));

/** The names of the tests that fail in the copy; an empty list where all that ran pass. */
function failing(file, only) {
  const words = ["vitest", "run", file, "--reporter=json", "--bail=1", ...(only ? ["-t", only] : [])];
  const { stdout, stderr } = spawnSync("npx", ["--no", ...words], { cwd: copy, encoding: "utf8", maxBuffer: 1 << 28 });
  const start = stdout.indexOf('{"numTotalTestSuites"');
  if (start < 0) throw new Error(`vitest gave no result for ${file}:\n${stdout}\n${stderr}`);
  const { numPassedTests, testResults } = JSON.parse(stdout.slice(start, stdout.lastIndexOf("}") + 1));
  const failed = testResults.flatMap(({ assertionResults, status, message }) => {
    const names = assertionResults.filter((each) => each.status === "failed").map(({ fullName }) => fullName);
    return names.length === 0 && status === "failed" ? [`(the file itself: ${message.split("\n")[0]})`] : names;
  });
  if (failed.length === 0 && numPassedTests === 0) throw new Error(`${file}: no test is called "${only}".`);
  return failed;
}

const healthy = new Map();
let unnoticed = 0;
for (const [name, file, from, to, test, only] of chosen) {
  const path = join(copy, file);
  const source = readFileSync(path, "utf8");
  const key = `${test} ${only}`;
  if (!healthy.has(key)) healthy.set(key, failing(test, only));
  if (healthy.get(key).length > 0) throw new Error(`${test} fails without any bug: ${healthy.get(key).join(", ")}`);
  writeFileSync(
    path,
    source.replace(from, () => to),
  );
  const [red] = failing(test, only);
  writeFileSync(path, source);
  if (red === undefined) unnoticed++;
  console.log(
    `${red === undefined ? "UNNOTICED" : "noticed  "}  ${name}\n           ${file} -> ${test}${red === undefined ? "" : `: ${red}`}`,
  );
}
console.log(`${chosen.length - unnoticed} of ${chosen.length} bugs are noticed.`);
process.exit(unnoticed > 0 ? 1 : 0);
