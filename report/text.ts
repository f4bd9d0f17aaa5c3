/** Words and numbers as pages show them. */
import { homedir } from "node:os";
import { short } from "../core/format.js";

/** A page may be sent to somebody, who need not learn the name of its reader's account. */
export function withoutHome(text: string, home = homedir()): string {
  return home.length > 1 ? text.replaceAll(home, "~") : text;
}

export const capital = (name: string): string => name.slice(0, 1).toUpperCase() + name.slice(1);

/** 3.38 M, 176 k, 940. */
export function compact(count: number): string {
  const [size, unit] = count >= 1e6 ? [1e6, " M"] : count >= 1e4 ? [1e3, " k"] : [1, ""];
  return `${short(count / size, size === 1 ? 4 : 3)}${unit}`;
}
