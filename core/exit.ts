/** Leaving the process is the command's own: a config or a plugin that does it takes a run with it. */

/** Makes `process.exit` an error of its caller, in these words. Returns what undoes that. */
export function forbidExit(words: (call: string) => string): () => void {
  const { exit } = process;
  process.exit = (code) => {
    throw new Error(words(`process.exit(${code ?? ""})`));
  };
  return () => void (process.exit = exit);
}
