/** Copies of own.config.ts, a file for each test that changes it: a process imports a file once. */
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll } from "vitest";

const local = join(import.meta.dirname, `local-${process.pid}`); // where "fitloop" is found

/** The file that the copies import. */
export const importedFile = join(local, "own-parts.ts");

/** A copy of own.config.ts; all copies are deleted after the test file. */
export function ownConfigFile(name: string): string {
  const file = join(local, `${name}.config.ts`);
  cpSync(join(import.meta.dirname, "own-parts.ts"), importedFile);
  cpSync(join(import.meta.dirname, "own.config.ts"), file);
  return file;
}

afterAll(() => {
  rmSync(local, { recursive: true, force: true });
  delete process.env.OWN;
});
