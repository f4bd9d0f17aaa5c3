/**
 * A page as one HTML file that needs nothing else and may do nothing else: its content policy names the very scripts and
 * styles it carries by their hashes, images come inside the page, and no request goes anywhere but to the file itself.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { escapeJson, escapeText, hashOf } from "../core/html.js";
import { packageRoot } from "../core/package.js";
import { toJson } from "../run/json.js";
import type { Page } from "./blocks.js";

/** The page's own scripts, in the order in which each finds what it needs. */
export const pageScripts = [
  "dom.js",
  "format.js",
  "curves.js",
  "table.js",
  "chart.js",
  "scatter.js",
  "parallel.js",
  "confusion.js",
  "tiles.js",
  "live.js",
  "parts.js",
  "main.js",
] as const;

interface Parts {
  readonly scripts: readonly string[];
  readonly styles: readonly string[];
}

let parts: Parts | undefined;

function pageParts(): Parts {
  const require = createRequire(import.meta.url);
  const own = (name: string): string => readFileSync(join(packageRoot(), "report", "page", name), "utf8");
  const chart = (name: string): string => readFileSync(require.resolve(`uplot/dist/${name}`), "utf8");
  return (parts ??= {
    scripts: [chart("uPlot.iife.min.js"), joined(pageScripts.map(own))],
    styles: [chart("uPlot.min.css"), own("page.css")],
  });
}

/**
 * Modules as one script. An inline module can import no other inline one; so they share a scope, in which every name is
 * there once, and their imports and the word "export" go.
 */
export function joined(modules: readonly string[]): string {
  const bare = modules.map((text) => text.replaceAll(/^import [^;]*;\n/gm, "").replaceAll(/^export (?=\w)/gm, ""));
  return `(() => {\n"use strict";\n${bare.join("\n")}})();\n`;
}

export function pageHtml(page: Page): string {
  const { scripts, styles } = pageParts();
  const policy = [
    "default-src 'none'",
    `script-src ${scripts.map(hashOf).join(" ")}`,
    // uPlot sets sizes and colours as style attributes through the DOM, which a policy does not concern.
    `style-src ${styles.map(hashOf).join(" ")}`,
    "img-src data:",
    // A page of a run under way loads its own file again, in a frame that may do nothing but say what is in it.
    ...(page.live ? ["frame-src 'self'"] : []),
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="fitloop">
<title>${escapeText(page.title)}</title>
${styles.map((text) => `<style>${text}</style>`).join("\n")}
</head>
<body>
<main id="page"><h1>${escapeText(page.title)}</h1><noscript><p>A script draws this page, and scripts are switched off here. Allow them to see it.</p></noscript></main>
<script type="application/json" id="data">${escapeJson(toJson(page))}</script>
${scripts.map((text) => `<script>${text}</script>`).join("\n")}
</body>
</html>
`;
}
