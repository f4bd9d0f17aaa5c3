/** What a loop without end costs: its own turn, and nothing after it. `load.test.ts` has the configs. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const watchdog = JSON.stringify(new URL("../../../core/config/watchdog.ts", import.meta.url).href);
const cwd = fileURLToPath(new URL("../../..", import.meta.url));
const printedBy = (code: string): string => {
  const program = `import { watch } from ${watchdog};\n${code}`;
  return execFileSync(process.execPath, ["--import", "tsx", "--input-type=module", "-e", program], {
    cwd,
    encoding: "utf8",
  });
};

it("ends a loop, and the next turn comes", () => {
  const printed = printedBy(`
    const dog = watch(100);
    new Promise(setImmediate).then(() => {
      try { for (;;); } catch { console.log("caught"); } finally { console.log("finally"); }
      console.log("after");
    });
    setTimeout(() => (dog.stop(), console.log("next")), 50);
  `);
  expect(printed).toBe("next\n");
});

it("does nothing to whoever stops it in time, and keeps no process alive", () => {
  const printed = printedBy(`
    watch(3_600_000);
    const dog = watch(50);
    dog.stop();
    for (const end = performance.now() + 200; performance.now() < end; );
    console.log("unharmed");
  `);
  expect(printed).toBe("unharmed\n");
});
