/**
 * What a process needs before anything else is loaded: Node and the loader of TypeScript would end with a stack, or hang,
 * where it is missing.
 */

/** Fewer open files are not enough to load the sources of a checkout. */
const leastFiles = 128;
/** WebAssembly, which Node's own loader uses, reserves about 10 GB of addresses for each of its memories. */
const leastAddresses = 32e9;

/**
 * Why the command cannot start, in one sentence and what to do; undefined if it can.
 *
 * @param {() => string} cwd the working folder; throws where it was deleted
 * @param {() => string} readLimits the text of /proc/self/limits; throws where there is none
 * @returns {string | undefined}
 */
export function startProblem(cwd, readLimits) {
  try {
    cwd();
  } catch {
    return "The working folder was deleted. Change into a folder that exists.";
  }
  let limits;
  try {
    limits = readLimits();
  } catch (error) {
    if (error.code !== "EMFILE") return undefined; // a system without /proc
    return tooFewFiles("no more");
  }
  const softLimit = (name) =>
    Number(new RegExp(`^${name} +(\\d+) `, "m").exec(limits)?.[1] ?? Number.POSITIVE_INFINITY);
  const files = softLimit("Max open files");
  if (files < leastFiles) return tooFewFiles(files);
  const addresses = softLimit("Max address space");
  if (addresses < leastAddresses) {
    return (
      `The process may use ${(addresses / 1e9).toFixed(1)} GB of address space (ulimit -v), and ${leastAddresses / 1e9} GB are ` +
      "needed, most of it reserved and never used. Limit its memory in another way: systemd-run -p MemoryMax=, or a container."
    );
  }
  return undefined;
}

const tooFewFiles = (files) =>
  `The process may open ${files} files (ulimit -n), and at least ${leastFiles} are needed. Raise the limit: ulimit -n 1024`;
