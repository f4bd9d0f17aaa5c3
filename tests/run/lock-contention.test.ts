/** R13: of many processes that start in one run's folder at once, one gets it. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, it } from "vitest";
import { buildMember, contend, type Member } from "../support/lock-crew.js";

const base = mkdtempSync(join(tmpdir(), "fitloop-contention-"));
const crew: Member[] = [];
afterAll(() => {
  for (const { process } of crew) process.kill("SIGKILL");
  rmSync(base, { recursive: true, force: true });
});

it("many processes at once have one winner in every round, whom the others name within a second", async () => {
  const folder = join(base, "run");
  mkdirSync(folder);
  const newMember = await buildMember(base);
  crew.push(...Array.from({ length: 10 }, newMember));
  await contend(crew, folder, 20);
});
