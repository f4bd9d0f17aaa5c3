/** Options of benchmarks: one that is no answer ends the command with code 2, rather than measure something else. */

function refuse(problem: string): never {
  console.error(problem);
  process.exit(2);
}

/** A whole number from 1 on. */
export function whole(option: string, value: string): number {
  if (/^[1-9]\d*$/.test(value)) return Number(value);
  return refuse(`--${option} ${value}: expected a whole number from 1 on.`);
}

/** One of some names. */
export function oneOf<const T extends string>(option: string, value: string, names: readonly T[]): T {
  return names.find((name) => name === value) ?? refuse(`--${option} ${value}: there are ${names.join(", ")}.`);
}
