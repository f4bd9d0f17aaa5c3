/** Loaded before the command line: what a process sees that is not on Linux. */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const hidden = (path) => /^\/(proc|sys)\b/.test(String(path));
const refuse = (path) => {
  throw Object.assign(new Error(`ENOENT: no such file or directory, open '${path}'`), {
    code: "ENOENT",
    syscall: "open",
  });
};
for (const name of ["readFileSync", "readlinkSync", "openSync", "statSync", "readdirSync"]) {
  const real = fs[name];
  fs[name] = (path, ...rest) => (hidden(path) ? refuse(path) : real(path, ...rest));
}
syncBuiltinESMExports();
Object.defineProperty(process, "platform", { value: "sunos" });
