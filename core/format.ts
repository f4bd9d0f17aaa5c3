/** Numbers for people. */

/** 0.583 -> `58.3 %`. */
export const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** Bytes: `274 MB`, `1.2 GB`. */
export const megabytes = (bytes: number): string =>
  bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;

/** `1 thread`, `2 threads`. */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;
