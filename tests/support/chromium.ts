/** Chromium without a window, for the tests of pages. FITLOOP_CHROMIUM names it. */
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const path = process.env.FITLOOP_CHROMIUM ?? "/usr/bin/chromium";

/** @throws Error where it is not installed: these tests fail then, they do not skip */
export function launchChromium(...more: readonly string[]): Promise<Browser> {
  if (!existsSync(path))
    throw new Error(`These tests need Chromium, and ${path} is not there. Install it, or name it in FITLOOP_CHROMIUM.`);
  const quiet = [
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ];
  return chromium.launch({ executablePath: path, args: ["--no-sandbox", "--disable-gpu", ...quiet, ...more] });
}
