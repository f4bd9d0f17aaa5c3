/** Adds to a counter in a file, slowly, under the lock of a folder: what two at once would lose count of. */
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { waitForLock } from "../../core/lock/waiting.js";

const [folder, counter, rounds] = process.argv.slice(2) as [string, string, string];
for (let round = 0; round < Number(rounds); round++) {
  const release = await waitForLock(folder, { pollMs: 2 });
  const count = Number(readFileSync(counter, "utf8"));
  await sleep(5);
  writeFileSync(counter, String(count + 1));
  release();
}
