/** The Python half of a benchmark: a script that answers each line with a line of JSON. */
import { spawn } from "node:child_process";
import { basename } from "node:path";
import { createInterface } from "node:readline";

export interface Peer {
  /** The next answer; `line` asks for it, and left out it is one that comes by itself. */
  answer<T>(line?: string): Promise<T>;
  end(): void;
}

/** Starts `script` with a Python that has what it needs: `packages` names that for people. */
export function startPeer(python: string, script: string, args: readonly string[], packages: string): Peer {
  const child = spawn(python, [script, ...args], { stdio: ["pipe", "pipe", "inherit"] });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async answer<T>(line?: string): Promise<T> {
      if (line !== undefined) child.stdin.write(`${line}\n`);
      const { value, done } = await answers.next();
      if (done) throw new Error(`${basename(script)} ended early; are ${packages} installed in ${python}?`);
      return JSON.parse(value) as T;
    },
    end: () => void child.stdin.end(),
  };
}
