/** A run's own folder where the user may not write. A file of its own, since only a process may change its user, no thread. */
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { createRunFolder } from "../../run/folder.js";

const base = mkdtempSync(join(tmpdir(), "fitloop-closed-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

/** Tests often run as root, to whom no mode says no. */
function asNobody<T>(act: () => T): T {
  if (process.getuid!() !== 0) return act();
  process.seteuid!(65534);
  try {
    return act();
  } finally {
    process.seteuid!(0);
  }
}

it("--out in a folder that may only be read is refused", () => {
  const closed = join(base, "closed");
  mkdirSync(closed);
  chmodSync(closed, 0o555);
  chmodSync(base, 0o755);
  const out = join(closed, "run");
  const message = expect.stringContaining(`${out} cannot be created: EACCES`) as string;
  expect(() => asNobody(() => createRunFolder({ out, name: "a" }))).toThrow(
    expect.objectContaining({ code: "ERR_OUTPUT", exitCode: 73, message }),
  );
  expect(readdirSync(closed)).toEqual([]);
});
