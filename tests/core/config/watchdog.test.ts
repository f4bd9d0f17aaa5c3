/** A process that is busy for too long is ended in words. `load.test.ts` has the configs. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const watchdog = JSON.stringify(new URL("../../../core/config/watchdog.ts", import.meta.url).href);
const cwd = fileURLToPath(new URL("../../..", import.meta.url));
function run(code: string) {
  const program = `import { watch } from ${watchdog};\n${code}`;
  const args = ["--import", "tsx", "--input-type=module", "-e", program];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd, encoding: "utf8", timeout: 200_000 });
  return { status, stdout, stderr: stderr.replace("Waiting for the debugger to disconnect...\n", "") };
}

it.each([
  ["at once", "spin();"],
  ["in a promise", "await null; spin();"],
  ["in a timer", "setTimeout(spin);"],
  ["in an immediate", "setImmediate(spin);"],
])("ends what spins %s, past any handler", (_, start) => {
  const ended = run(`
    watch({ patience: 100, text: "enough\\n", code: 2 });
    const spin = () => { try { for (;;); } catch { console.log("caught"); } finally { console.log("finally"); } };
    process.on("exit", () => console.log("exit"));
    ${start}
  `);
  expect(ended).toEqual({ status: 2, stdout: "", stderr: "enough\n" });
});

it("does nothing to whoever stops it in time, and keeps no process alive", () => {
  const ended = run(`
    watch({ patience: 3_600_000, text: "", code: 2 });
    const dog = watch({ patience: 50, text: "enough", code: 2 });
    dog.stop();
    for (const end = performance.now() + 200; performance.now() < end; );
    console.log("unharmed");
  `);
  expect(ended).toEqual({ status: 0, stdout: "unharmed\n", stderr: "" });
});
