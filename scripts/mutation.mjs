/**
 * How many small bugs the tests notice: `npm run mutation [PART…]` changes one operator, value or block at a time in the
 * modules below (Stryker), runs the tests that stand beside each, and prints the share that turned a test red, with every
 * change that none noticed in build/mutation.
 *
 * Exits 1 where a module is under the bar.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bar = 85;

/** Module -> its tests, the quick ones. A test that starts processes notices little: what they do is not changed. */
const modules = {
  "core/options": ["core/options", "core/config/config", "core/config/load-inside"],
  "core/rng": ["core/rng"],
  "core/config/config": ["core/config/config"],
  "core/config/load": ["core/config/load-inside"],
  "report/html": ["report/html"],
  "run/changes": ["run/changes"],
  "run/checkpoint-files": ["run/checkpoint-damage", "run/checkpoints"],
  "run/checkpoint-names": ["run/checkpoint-names"],
  "run/checkpoint-writer": ["run/checkpoint-writer", "run/golden-run"],
  "run/checkpoints": ["run/checkpoints", "run/checkpoint-faults", "run/checkpoint-power-cut"],
  "core/lock/exclusive-file": ["core/lock/exclusive-file", "run/lock"],
  "core/files": ["core/files", "run/checkpoint-faults", "run/checkpoint-power-cut"],
  "run/folder": ["run/folder"],
  "run/json": ["run/json"],
  "run/lock": ["run/lock"],
  "run/metrics": ["run/metrics"],
  "run/record": ["run/record"],
  "run/retention": ["run/checkpoints", "run/checkpoint-faults"],
};

const wanted = process.argv.slice(2);
const chosen = Object.keys(modules).filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)));
if (chosen.length === 0) {
  console.error(
    `No module is called so. There are:\n${Object.keys(modules)
      .map((name) => `  ${name}`)
      .join("\n")}`,
  );
  process.exit(2);
}

/** One change, as it reads in a list. */
function told(name, lines, { location: { start, end }, replacement = "", status }) {
  const first = lines[start.line - 1];
  const was =
    start.line === end.line ? first.slice(start.column - 1, end.column - 1) : `${first.slice(start.column - 1)} …`;
  const reached = status === "NoCoverage" ? " (no test comes here)" : "";
  return `${name}.ts:${start.line}:${start.column}${reached}: ${was} -> ${replacement.replace(/\s+/g, " ")}\n`;
}

const undetected = ["Survived", "NoCoverage"];
let [killed, all] = [0, 0];
let low = 0;
for (const name of chosen) {
  const place = join("build", "mutation", name.replaceAll("/", "-"));
  mkdirSync(join(root, place), { recursive: true });
  const config = {
    testRunner: "vitest",
    vitest: { configFile: "vitest.config.ts", related: false },
    plugins: ["@stryker-mutator/vitest-runner"],
    mutate: [`${name}.ts`],
    coverageAnalysis: "perTest",
    concurrency: 2,
    timeoutMS: 10_000,
    tempDirName: join(place, "sandbox"),
    ignorePatterns: ["/build", "/dist", "/runs", "/tests/golden/torch", "/tests/golden/image", "*.tgz"],
    reporters: ["json"],
    jsonReporter: { fileName: join(place, "report.json") },
    logLevel: "warn",
  };
  writeFileSync(join(root, place, "stryker.config.json"), JSON.stringify(config, undefined, 2));
  const words = ["--no", "--", "stryker", "run", join(place, "stryker.config.json")];
  // Stryker's own `testFiles` would never switch on what changes while a module loads (its issue 6144).
  const env = { ...process.env, MUTATION_TESTS: modules[name].map((test) => `tests/${test}.test.ts`).join(",") };
  const { status } = spawnSync("npx", words, { cwd: root, env, stdio: ["ignore", "ignore", "inherit"] });
  if (status !== 0) process.exit(status ?? 1);
  const { files } = JSON.parse(readFileSync(join(root, place, "report.json"), "utf8"));
  const [{ mutants, source }] = Object.values(files);
  const tried = mutants.filter(({ status }) => ["Killed", "Timeout", ...undetected].includes(status));
  const missed = tried.filter(({ status }) => undetected.includes(status));
  writeFileSync(
    join(root, place, "unnoticed.txt"),
    missed.map((mutant) => told(name, source.split("\n"), mutant)).join(""),
  );
  const noticed = tried.length - missed.length;
  if (noticed / tried.length < bar / 100) low++;
  killed += noticed;
  all += tried.length;
  const share = ((100 * noticed) / tried.length).toFixed(1).padStart(5);
  console.log(
    `${share} %  ${noticed} of ${tried.length}  ${name}${missed.length > 0 ? `  ${place}/unnoticed.txt` : ""}`,
  );
}
console.log(
  `${((100 * killed) / all).toFixed(1)} % of ${all} changes turned a test red; the bar is ${bar} % for each module.`,
);
process.exit(low > 0 ? 1 : 0);
