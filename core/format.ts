/** Numbers for people. */

/** 0.583 -> `58.3 %`. */
export const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** To so many significant digits, without zeros at the end: 0.012. */
export const short = (value: number, digits = 3): string => String(Number(value.toPrecision(digits)));

/** `1.30 G`, `555.4 M`, `512`. */
export function scaled(count: number): string {
  if (count >= 1e9) return `${(count / 1e9).toFixed(2)} G`;
  if (count >= 1e6) return `${(count / 1e6).toFixed(1)} M`;
  return String(count);
}

/** `1.2 GB`, `274 MB`, `12 kB`. */
export function formatBytes(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  if (bytes >= 1e6) return `${Math.round(bytes / 1e6)} MB`;
  return `${Math.ceil(bytes / 1e3)} kB`;
}

/** Of a file: `0.21 MB`. */
export const fileSize = (bytes: number): string => `${(bytes / 1e6).toFixed(2)} MB`;

/** `1 thread`, `2 threads`. */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** 1 h 02 min, 3 min 05 s, 12 s. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return "?";
  const whole = Math.round(seconds);
  const two = (value: number): string => String(value).padStart(2, "0");
  if (whole >= 3600) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
  if (whole >= 60) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${whole} s`;
}
