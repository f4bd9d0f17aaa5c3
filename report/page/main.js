// @ts-check
/// <reference lib="dom" />
/**
 * Draws a page from the JSON beside it. Plain script: html.ts joins these files, without their imports and exports, into
 * one script that runs inside the page.
 */
import { chart } from "./chart.js";
import { confusion } from "./confusion.js";
import { announce, choice, copyButton, drawAll, keep, keepAll, make, memory, onDraw, view } from "./dom.js";
import { answered, liveBar } from "./live.js";
import { parallel } from "./parallel.js";
import { createChanged, place } from "./parts.js";
import { scatter } from "./scatter.js";
import { table } from "./table.js";
import { facts, images, strip, tiles } from "./tiles.js";

/** @import { Block, Page } from "../blocks.js" */

let page = /** @type {Page} */ (JSON.parse(document.getElementById("data")?.textContent ?? ""));
const root = /** @type {HTMLElement} */ (document.getElementById("page"));

/**
 * What a kind of block is drawn as; `draw` is called once it has a place, and whenever it may look different.
 *
 * @typedef {{ element: HTMLElement, tools?: readonly Node[], draw?: () => void, dispose?: () => void }} Part
 * @param {Card} block
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
    case "parallel":
      return parallel(block);
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

const wide = ["tiles", "confusion", "images", "strip", "text", "scatter", "parallel"];

/** @typedef {Exclude<Block, { kind: "heading" }>} Card */

/** @param {Card} block */
function isWide(block) {
  // A short table of five columns has room beside another block.
  const isWideTable = block.kind === "table" && block.columns.length > (block.rows.length > 4 ? 4 : 5);
  return isWideTable || wide.includes(block.kind);
}

/**
 * Widths that leave no hole: two cards beside each other; of an odd number three in the last row, or one alone in it.
 *
 * @param {readonly Card[]} blocks
 * @returns {("wide" | "half" | "third")[]}
 */
function widthsOf(blocks) {
  const widths = /** @type {("wide" | "half" | "third")[]} */ (
    blocks.map((block) => (isWide(block) ? "wide" : "half"))
  );
  let from = 0;
  [...widths, "wide"].forEach((width, at) => {
    if (width === "half") return;
    if ((at - from) % 2 === 1) {
      const thirds = at - from >= 3 && blocks.slice(at - 3, at).every(({ kind }) => kind === "chart");
      widths.fill(thirds ? "third" : "wide", thirds ? at - 3 : at - 1, at);
    }
    from = at + 1;
  });
  return widths;
}

/** A card of the grid. @param {Card} block @param {string} width @param {string | undefined} heading that it stands under */
function card(block, width, heading) {
  const tone = block.kind === "text" && block.tone ? ` ${block.tone}` : "";
  const section = make("section", { className: `is-${block.kind} ${width}${tone}` });
  const { element, tools = [], draw, dispose } = partOf(block);
  if (draw) onDraw(section, draw);
  if (dispose) disposals.set(section, dispose);
  const row = tools.length > 0 ? make("div", { className: "tools" }, ...tools) : null;
  if (block.kind === "text" && !block.open) {
    const details = make("details", {}, make("summary", { textContent: block.title }), row, element);
    details.open = keep(`open ${block.title}`, () => details.open) === true;
    section.append(details);
    return section;
  }
  const isNamed = block.kind === "tiles" || block.title === heading; // by what stands above it
  const title = make("h3", { className: isNamed ? "unseen" : "", textContent: block.title });
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

/** @typedef {Extract<Block, { kind: "heading" }>} Heading */
/** @typedef {{ heading: Heading | undefined, id: string, blocks: Card[] }} Section */

/** What stands under each heading. @param {readonly Block[]} blocks */
function sectionsOf(blocks) {
  /** @type {Section[]} */
  const sections = [];
  for (const block of blocks) {
    if (block.kind === "heading") {
      // Of letters and digits alone, and of no other element.
      const name = `part-${block.title.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-")}`;
      const same = sections.filter(({ id }) => id.replace(/-\d+$/, "") === name).length;
      sections.push({ heading: block, id: `${name}-${same}`, blocks: [] });
    } else {
      if (sections.length === 0) sections.push({ heading: undefined, id: "part", blocks: [] });
      sections.at(-1)?.blocks.push(block);
    }
  }
  return sections;
}

/** @param {Block} block */
const isCurves = (block) =>
  block.kind === "chart" && block.series.some(({ look, clock }) => look === "noisy" || clock !== undefined);

/** Keys of their own for things of one name. @param {readonly string[]} names */
const keysOf = (names) =>
  names.map((name, at) => `${names.slice(0, at).filter((each) => each === name).length} ${name}`);

/** @type {Map<Element, () => void>} */
const disposals = new Map();
/** @param {Element} removed */
function disposeIn(removed) {
  for (const [section, dispose] of disposals) {
    if (!removed.contains(section)) continue;
    dispose();
    disposals.delete(section);
  }
}

/** @param {Section} section @returns {import("./parts.js").Wanted[]} */
function cardsOf({ heading, blocks }) {
  const widths = widthsOf(blocks);
  const keys = keysOf(blocks.map(({ kind, title }) => `${kind} ${title}`));
  return blocks.map((block, at) => ({
    key: keys[at] ?? "",
    text: JSON.stringify([block, widths[at]]),
    make: () => card(block, widths[at] ?? "half", heading?.title),
  }));
}

const contents = make("nav", { className: "contents", "aria-label": "Contents" });
const body = make("div", { className: "body" });
const summary = make("p", { className: "summary" });

/**
 * Shows the page as it is now. Where it is open already, only what has changed is drawn again.
 *
 * @returns {Promise<void>} once images that have come are there to be shown; the first time nothing waits for them
 */
async function render() {
  const sections = sectionsOf(page.blocks);
  const tooled = sections.find(({ blocks }) => blocks.some(isCurves));
  const parts = sections.map((section) => ({
    key: section.id,
    text: JSON.stringify([section.heading, section === tooled]),
    make: () => {
      const { heading, id } = section;
      return make(
        "div",
        { className: "part" },
        heading ? make("h2", { id, textContent: heading.title }) : null,
        heading?.note ? make("p", { className: "note", textContent: heading.note }) : null,
        section === tooled ? curveTools() : null,
        make("div", { className: "blocks" }),
      );
    },
  }));
  createChanged(body, parts);
  const grids = sections.map((section, at) => {
    const grid = /** @type {HTMLElement} */ (/** @type {any} */ (parts[at]).element.lastElementChild);
    const cards = cardsOf(section);
    return { grid, cards, changed: createChanged(grid, cards) };
  });
  const changed = grids.flatMap((each) => each.changed.flatMap(({ element }) => element ?? []));
  if (body.isConnected) {
    const coming = changed.flatMap((element) => Array.from(element.querySelectorAll("img")));
    await Promise.all(coming.map((image) => image.decode().catch(() => {}))); // else the page would jump
  }
  summary.textContent = page.summary;
  place(body, parts, disposeIn);
  for (const { grid, cards } of grids) place(grid, cards, disposeIn);
  const links = sections.flatMap(({ heading, id }) => (heading ? [{ heading, id }] : []));
  if (contents.childElementCount !== links.length)
    contents.replaceChildren(
      ...links.map(({ heading, id }) => make("a", { href: `#${id}`, textContent: heading.title })),
    );
  contents.hidden = links.length < 2;
  if (!body.isConnected) {
    root.append(summary, ...(page.live ? [liveBar({ ...page, live: page.live }, update)] : []), contents, body);
    drawAll();
  } else for (const element of changed) drawAll(element);
}

/** @param {Page} next */
async function update(next) {
  keepAll();
  const ended = page.live && !next.live;
  page = next;
  await render();
  if (ended) announce(page.summary);
}

if (!answered(page)) render();

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
