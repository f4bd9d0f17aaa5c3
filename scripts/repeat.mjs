/**
 * The flake budget: `npm run repeat -- 20 [FILE…]` runs the tests that start processes, stop them and race them (or these
 * files) so many times in a row, with the machine kept busy beside them, and stops at the first that fails. A test that
 * fails once in twenty is broken.
 */
import { spawn, spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";

const [times = "20", ...files] = process.argv.slice(2);
if (!/^[1-9]\d*$/.test(times)) {
  console.error(`How many times? A whole number from 1, and "${times}" came.`);
  process.exit(2);
}
const chosen =
  files.length > 0
    ? files
    : ["tests/cli", "tests/run", "tests/core/lock/waiting", "tests/core/loop/repeat", "tests/core/data/download"];
/** Ends with its standard input, which is this process. */
const work =
  "process.stdin.resume().on('end', () => process.exit()); setInterval(() => { for (const end = Date.now() + 99; Date.now() < end; ); }, 1)";
const busy = Array.from({ length: availableParallelism() }, () => spawn(process.execPath, ["-e", work]));
process.on("exit", () => busy.forEach((each) => each.kill("SIGKILL")));
for (const [name, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
])
  process.on(name, () => process.exit(code));

for (let time = 1; time <= Number(times); time++) {
  const { status, stdout, stderr } = spawnSync("npx", ["--no", "vitest", "run", ...chosen], { encoding: "utf8" });
  if (status !== 0) {
    console.log(`${stdout}\n${stderr}\nFailed the ${time}th time of ${times}.`);
    process.exit(1);
  }
  console.log(`${time} of ${times}: ${/Tests .*/.exec(stdout.replaceAll(/\x1b\[\d+m/g, ""))?.[0]}`);
}
process.exit(0); // the busy ones would keep it running
