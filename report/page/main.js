// @ts-check
/// <reference lib="dom" />
/**
 * Draws a page from the JSON beside it. Plain script: html.ts joins these files, without their imports and exports, into
 * one script that runs inside the page.
 */
import { chart } from "./chart.js";
import { confusion } from "./confusion.js";
import { choice, copyButton, drawAll, keep, keepAll, make, memory, onDraw, view } from "./dom.js";
import { liveBar } from "./live.js";
import { scatter } from "./scatter.js";
import { table } from "./table.js";
import { facts, images, strip, tiles } from "./tiles.js";

/** @import { Block, Page } from "../blocks.js" */

const page = /** @type {Page} */ (JSON.parse(document.getElementById("data")?.textContent ?? ""));
const root = /** @type {HTMLElement} */ (document.getElementById("page"));

/**
 * What a kind of block is drawn as; `draw` is called once it has a place, and whenever it may look different.
 *
 * @typedef {{ element: HTMLElement, tools?: readonly Node[], draw?: () => void, remove?: () => void }} Part
 * @param {Exclude<Block, { kind: "heading" }>} block
 * @returns {Part}
 */
function partOf(block) {
  switch (block.kind) {
    case "tiles":
      return { element: tiles(block) };
    case "facts": {
      const [first] = block.rows;
      return { element: facts(block), tools: first ? [copyButton(first[0], () => first[1])] : [] };
    }
    case "chart":
      return chart(block, page.clocks ?? []);
    case "scatter":
      return scatter(block);
    case "table":
      return table(block);
    case "confusion":
      return confusion(block);
    case "images":
      return { element: images(block) };
    case "strip":
      return { element: strip(block) };
    case "text": {
      const element = make("pre", { textContent: block.text, tabIndex: 0 });
      return { element, tools: [copyButton(block.title, () => block.text)] };
    }
  }
}

const wide = ["tiles", "confusion", "images", "strip", "text", "scatter"];

/** A card of the grid. @param {Exclude<Block, { kind: "heading" }>} block */
function card(block) {
  // A short table of five columns has room beside another block.
  const isWideTable = block.kind === "table" && block.columns.length > (block.rows.length > 4 ? 4 : 5);
  const isWide = isWideTable || wide.includes(block.kind);
  const section = make("section", { className: `is-${block.kind}${isWide ? " wide" : ""}` });
  const { element, tools = [], draw } = partOf(block);
  if (draw) onDraw(section, draw);
  const row = tools.length > 0 ? make("div", { className: "tools" }, ...tools) : null;
  if (block.kind === "text" && !block.open) {
    const details = make("details", {}, make("summary", { textContent: block.title }), row, element);
    details.open = keep(`open ${block.title}`, () => details.open) === true;
    section.append(details);
    return section;
  }
  const title = make("h3", { className: block.kind === "tiles" ? "unseen" : "", textContent: block.title });
  section.append(make("div", { className: "head" }, title, row));
  if (block.note) section.append(make("p", { className: "note", textContent: block.note }));
  section.append(element);
  return section;
}

/** What all curves of the page are drawn over, and how much they are smoothed. */
function curveTools() {
  const clocks = page.clocks ?? [];
  const axes = [
    "step",
    ...(clocks.some(({ epoch }) => epoch) ? ["epoch"] : []),
    ...(clocks.some(({ seconds }) => seconds) ? ["time"] : []),
  ];
  const amount = make("output", { textContent: String(view.smoothing) });
  const slider = make("input", { type: "range", min: "0", max: "0.99", step: "0.01", value: String(view.smoothing) });
  slider.addEventListener("input", () => {
    view.smoothing = Number(slider.value);
    amount.textContent = slider.value;
    memory.set("smoothing", view.smoothing);
    drawAll();
  });
  const tools = make(
    "div",
    { className: "tools curves" },
    make("label", { className: "choice" }, "Smoothing ", slider, amount),
  );
  if (axes.length > 1) {
    tools.prepend(
      choice("Horizontal axis", axes, view.axis, (name) => {
        view.axis = name;
        memory.set("axis", name);
        drawAll();
      }),
    );
  }
  return tools;
}

/** Ids of headings: of letters and digits alone, and of no other element. @param {string} title @param {number} at */
const idOf = (title, at) => `part-${title.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-")}-${at}`;

function build() {
  const contents = make("nav", { className: "contents", "aria-label": "Contents" });
  const body = make("div", { className: "body" });
  let grid = make("div", { className: "blocks" });
  body.append(grid);
  let tooled = false;
  page.blocks.forEach((block, at) => {
    if (block.kind === "heading") {
      const id = idOf(block.title, at);
      contents.append(make("a", { href: `#${id}`, textContent: block.title }));
      grid = make("div", { className: "blocks" });
      body.append(make("h2", { id, textContent: block.title }));
      if (block.note) body.append(make("p", { className: "note", textContent: block.note }));
      body.append(grid);
      return;
    }
    if (
      block.kind === "chart" &&
      !tooled &&
      block.series.some(({ look, clock }) => look === "noisy" || clock !== undefined)
    ) {
      grid.before(curveTools());
      tooled = true;
    }
    grid.append(card(block));
  });
  root.append(make("p", { className: "summary", textContent: page.summary }));
  if (page.live) root.append(liveBar(page.live));
  if (contents.childElementCount > 1) root.append(contents);
  root.append(body);
}

build();
drawAll();

history.scrollRestoration = "manual"; // a browser would restore before the page has its height
const scrolled = keep("scroll", () => scrollY);
addEventListener("load", () => {
  // Images have their sizes by then.
  if (scrolled === null && location.hash.length > 1) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  else scrollTo(0, scrolled ?? 0);
});
addEventListener("pagehide", keepAll);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll());
let width = innerWidth;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let pending;
addEventListener("resize", () => {
  if (innerWidth === width || view.printing) return;
  width = innerWidth;
  clearTimeout(pending);
  pending = setTimeout(() => drawAll(), 150);
});

/** @type {HTMLDetailsElement[]} */
let closed = [];
/** On paper all is open, and drawings are in light colours and as wide as a page. @param {boolean} on */
function print(on) {
  view.printing = on;
  document.documentElement.classList.toggle("printing", on);
  if (on) closed = Array.from(document.querySelectorAll("details")).filter((details) => !details.open);
  for (const details of closed) details.open = on;
  drawAll();
}
addEventListener("beforeprint", () => print(true));
addEventListener("afterprint", () => print(false));
