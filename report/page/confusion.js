// @ts-check
import { button, choice, colour, keep, make, memory, view } from "./dom.js";
import { counted, formats } from "./format.js";

/** @import { Block } from "../blocks.js" */
/** @typedef {{ truth: number, predicted: number }} Pair */

/** Pixels: of a cell at least, where there are some classes and where there are very many; at most; of an axis' title. */
const [least, leastOfMany, tallest, titleSize] = [7, 3, 54, 20];
const font = "12px system-ui, sans-serif";

/** Orders of the classes, and those of the list of pairs. */
const orders = ["most confused first", "as in the data", "highest recall first", "by name"];

/** Beyond so many classes the diagonal is a line that needs no frames. */
const framed = 30;

/**
 * @param {readonly string[]} classes
 * @param {readonly number[]} counts
 */
export function figuresOf(classes, counts) {
  const size = classes.length;
  const at = (/** @type {number} */ truth, /** @type {number} */ predicted) => counts[truth * size + predicted] ?? 0;
  const totals = classes.map((_, truth) => classes.reduce((sum, _, predicted) => sum + at(truth, predicted), 0));
  const recall = classes.map((_, own) => at(own, own) / (totals[own] || 1));
  const mistakes = classes
    .flatMap((_, truth) => classes.map((_, predicted) => ({ truth, predicted, count: at(truth, predicted) })))
    .filter(({ truth, predicted, count }) => truth !== predicted && count > 0)
    .sort((a, b) => b.count - a.count);
  const confused = classes.map((_, own) => (totals[own] ?? 0) - at(own, own));
  return { at, totals, recall, mistakes, confused };
}

/** @param {Extract<Block, { kind: "confusion" }>} block */
export function confusion({ title, classes, counts }) {
  const size = classes.length;
  const { at, totals, recall, mistakes, confused } = figuresOf(classes, counts);
  /** @param {number} label */
  const nameOf = (label) => classes[label] ?? "";
  /** @type {Record<string, (a: number, b: number) => number>} */
  const compare = {
    "most confused first": (a, b) => (confused[b] ?? 0) - (confused[a] ?? 0),
    "as in the data": (a, b) => a - b,
    "highest recall first": (a, b) => (recall[b] ?? 0) - (recall[a] ?? 0),
    "by name": (a, b) => nameOf(a).localeCompare(nameOf(b)),
  };
  let chosenOrder = memory.get(`order ${title}`);
  if (!orders.includes(chosenOrder)) chosenOrder = orders[0];
  const id = `confused-${document.querySelectorAll(".matrix").length}-${title.length}`;
  const canvas = make("canvas", { tabIndex: 0, role: "application", "aria-describedby": id });
  canvas.setAttribute(
    "aria-label",
    `${title}: rows are true classes, columns are predicted classes. Arrow keys move, Home goes to the first cell.`,
  );
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const plane = make("div", { className: "plane" }, canvas);
  const readout = make("p", { className: "cell", "aria-live": "polite" });
  const row = make("div", { className: "scroll" });
  const described = make("p", {
    id,
    className: "unseen",
    textContent:
      mistakes.length === 0 ? "No mistakes." : `Most confused: ${mistakes.slice(0, 10).map(describePair).join(" ")}`,
  });
  /** @type {number[]} */
  let order = [];
  /** @type {Pair | null} */
  let chosen = keep(`cell ${title}`, () => chosen);
  if (!(chosen && chosen.truth < size && chosen.predicted < size)) chosen = null;
  let margins = { left: 0, top: 0 };
  let cell = { width: 0, height: 0 };

  /** @param {Pair} pair */
  function describePair({ truth, predicted }) {
    const count = at(truth, predicted);
    const of = totals[truth] ?? 0;
    return `${nameOf(truth)} predicted as ${nameOf(predicted)}: ${count} of ${counted(of, "image")} (${formats.percent(count / (of || 1))}).`;
  }
  /** @param {string} name @param {number} width */
  function cut(name, width) {
    if (context.measureText(name).width <= width) return name;
    let letters = [...name];
    while (letters.length > 1 && context.measureText(`${letters.join("")}…`).width > width)
      letters = letters.slice(0, -1);
    return `${letters.join("")}…`;
  }
  function paint() {
    order = classes.map((_, index) => index).sort(compare[chosenOrder]);
    context.font = font;
    const longest = Math.max(...classes.map((name) => context.measureText(name).width));
    const room = view.printing ? view.paper : plane.clientWidth;
    const names = Math.min(room < 500 ? 70 : 140, longest);
    const left = titleSize + names + 8;
    const width = Math.max(size > 200 ? leastOfMany : least, (room - left - 2) / size);
    const tall = Math.min(width, Math.max(size > 200 ? leastOfMany : least, Math.min(tallest, 640 / size)));
    cell = { width: Math.min(width, 3 * Math.max(tall, 24)), height: tall };
    const upright = cell.width < longest + 8; // names of columns
    margins = { left, top: titleSize + (upright ? names : 14) + 8 };
    const [across, down] = [left + size * cell.width + 1, margins.top + size * cell.height + 1];
    const ratio = Math.min(view.printing ? 2 : devicePixelRatio, 8000 / Math.max(across, down)); // what browsers can draw at all
    canvas.width = across * ratio;
    canvas.height = down * ratio;
    canvas.style.width = `${across}px`;
    context.scale(ratio, ratio);
    context.font = font;
    context.textBaseline = "middle";
    const [ink, card] = [colour("--ink"), colour("--card")];
    context.fillStyle = card;
    context.fillRect(0, 0, across, down);
    paintNames(ink, names, upright);
    paintCells(ink, card);
    context.strokeStyle = colour("--line");
    context.strokeRect(left - 0.5, margins.top - 0.5, size * cell.width + 1, size * cell.height + 1);
    paintDiagonal();
    if (chosen) frame(order.indexOf(chosen.predicted), order.indexOf(chosen.truth), colour("--accent"), 2.5);
  }
  function paintDiagonal() {
    const soft = colour("--soft");
    if (size <= framed) {
      for (let own = 0; own < size; own++) frame(own, own, soft, 1);
      return;
    }
    context.strokeStyle = soft;
    context.lineWidth = 0.5;
    context.beginPath();
    context.moveTo(margins.left, margins.top);
    context.lineTo(margins.left + size * cell.width, margins.top + size * cell.height);
    context.stroke();
    context.lineWidth = 1;
  }
  /** @param {number} x @param {number} y @param {string} stroke @param {number} width */
  function frame(x, y, stroke, width) {
    context.strokeStyle = stroke;
    context.lineWidth = width;
    const [left, top] = [margins.left + x * cell.width, margins.top + y * cell.height];
    context.strokeRect(left + width / 2, top + width / 2, cell.width - width, cell.height - width);
    context.lineWidth = 1;
  }
  /** @param {string} ink @param {number} names @param {boolean} upright */
  function paintNames(ink, names, upright) {
    const { left, top } = margins;
    /** @param {string} text @param {number} x @param {number} y @param {CanvasTextAlign} align */
    const upwards = (text, x, y, align) => {
      context.save();
      context.translate(x, y);
      context.rotate(-Math.PI / 2);
      context.textAlign = align;
      context.fillText(text, 0, 0);
      context.restore();
    };
    context.fillStyle = colour("--soft");
    context.textAlign = "left";
    context.fillText("predicted class →", left, titleSize / 2);
    upwards("← true class", titleSize / 2, top, "right");
    context.fillStyle = ink;
    // Names closer than their letters are tall would lie on each other.
    const [everyRow, everyColumn] = [cell.height, cell.width].map((each) => Math.ceil(14 / each));
    order.forEach((label, place) => {
      if (place % (everyRow ?? 1) === 0) {
        context.textAlign = "right";
        context.fillText(cut(nameOf(label), names), left - 6, top + (place + 0.5) * cell.height);
      }
      if (upright && place % (everyColumn ?? 1) === 0)
        upwards(cut(nameOf(label), names), left + (place + 0.5) * cell.width, top - 6, "left");
      if (!upright) {
        context.textAlign = "center";
        context.fillText(nameOf(label), left + (place + 0.5) * cell.width, top - 10);
      }
    });
  }
  /** @param {string} ink @param {string} card */
  function paintCells(ink, card) {
    const [right, wrong, turn] = [colour("--right"), colour("--wrong"), Number(colour("--heat-turn"))];
    const gap = cell.height > 12 ? 1 : 0.5;
    context.textAlign = "center";
    order.forEach((truth, y) =>
      order.forEach((predicted, x) => {
        const count = at(truth, predicted);
        if (count === 0) return;
        // Mistakes are rare: the root makes them visible.
        const share = count / (totals[truth] || 1);
        const strength = Math.sqrt(share);
        const [left, top] = [margins.left + x * cell.width, margins.top + y * cell.height];
        context.fillStyle = `rgba(${truth === predicted ? right : wrong}, ${strength})`;
        context.fillRect(left, top, cell.width - gap, cell.height - gap);
        if (cell.height < 16 || context.measureText(String(count)).width > cell.width - 4) return;
        context.fillStyle = strength > turn ? card : ink;
        const middle = left + cell.width / 2;
        const percent = `${Math.round(100 * share)} %`;
        const both = cell.height >= 36 && context.measureText(percent).width < cell.width - 6;
        context.fillText(String(count), middle, top + cell.height / 2 - (both ? 8 : 0));
        if (both) context.fillText(percent, middle, top + cell.height / 2 + 8);
      }),
    );
  }
  function show() {
    readout.textContent = chosen ? describePair(chosen) : "Choose a cell with a click or the arrow keys.";
    if (!chosen) return;
    const { truth } = chosen;
    const answers = classes
      .map((name, index) => ({ name, count: at(truth, index) }))
      .filter((each) => each.count > 0)
      .sort((a, b) => b.count - a.count)
      .slice(0, 6);
    row.replaceChildren(
      make(
        "table",
        {},
        make("caption", { textContent: `Predictions for images of ${nameOf(truth)}` }),
        make(
          "tbody",
          {},
          ...answers.map((each) =>
            make(
              "tr",
              {},
              make("th", { scope: "row", textContent: each.name }),
              make("td", { className: "figure", textContent: String(each.count) }),
            ),
          ),
        ),
      ),
    );
  }
  /** @param {Pair} pair */
  function choose(pair) {
    chosen = pair;
    show();
    paint();
  }
  /** @param {MouseEvent} event @returns {Pair | null} the cell there; at a name the class's most frequent mistake */
  function cellAt(event) {
    const box = canvas.getBoundingClientRect();
    const scale = parseFloat(canvas.style.width) / box.width;
    const [x, y] = [(event.clientX - box.left) * scale - margins.left, (event.clientY - box.top) * scale - margins.top];
    /** @param {number} offset @param {number} side */
    const label = (offset, side) => order[Math.max(0, Math.min(size - 1, Math.floor(offset / side)))] ?? 0;
    if (x >= 0 && y >= 0) return { truth: label(y, cell.height), predicted: label(x, cell.width) };
    if (x < 0 && y < 0) return null;
    const own = x < 0 ? label(y, cell.height) : label(x, cell.width);
    const mistake = mistakes.find(({ truth, predicted }) => (x < 0 ? truth : predicted) === own);
    return mistake ? { truth: mistake.truth, predicted: mistake.predicted } : { truth: own, predicted: own };
  }
  canvas.addEventListener("click", (event) => {
    const pair = cellAt(event);
    if (pair) choose(pair);
  });
  canvas.addEventListener("mousemove", (event) => {
    const pair = cellAt(event);
    if (pair) readout.textContent = describePair(pair);
  });
  canvas.addEventListener("mouseleave", show);
  /** @type {Record<string, [right: number, down: number]>} */
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    if (event.key !== "Home" && !moves[event.key]) return;
    event.preventDefault();
    const [right, down] = moves[event.key] ?? [0, 0];
    /** @param {number} label @param {number} by */
    const moved = (label, by) => Math.max(0, Math.min(size - 1, order.indexOf(label) + by));
    const [x, y] =
      event.key === "Home" || !chosen ? [0, 0] : [moved(chosen.predicted, right), moved(chosen.truth, down)];
    choose({ truth: order[y] ?? 0, predicted: order[x] ?? 0 });
    // Into sight, with the names of the rows beside it.
    const from = x * cell.width;
    const room = plane.clientWidth - margins.left - cell.width;
    plane.scrollLeft = Math.min(from, Math.max(plane.scrollLeft, from - room));
  });
  show();
  const ordering = choice("Order of classes", orders, chosenOrder, (name) => {
    chosenOrder = name;
    memory.set(`order ${title}`, name);
    paint();
  });
  const scale = make(
    "p",
    { className: "scale" },
    make("span", {}, make("i", { className: "right" }), " correct"),
    make("span", {}, make("i", { className: "wrong" }), " wrong"),
    make("span", {}, "darker: a larger share of the true class"),
  );
  const pairs = make(
    "ol",
    { className: "pairs" },
    ...mistakes.slice(0, 6).map((pair) => {
      const name = `${nameOf(pair.truth)} → ${nameOf(pair.predicted)}`;
      const go = button(name, () => choose({ truth: pair.truth, predicted: pair.predicted }), { className: "pair" });
      return make(
        "li",
        {},
        go,
        make("span", { className: "soft", textContent: `${pair.count} of ${totals[pair.truth]}` }),
      );
    }),
  );
  const list =
    mistakes.length > 0
      ? [make("h4", { textContent: "Most confused" }), pairs]
      : [make("p", { textContent: "No mistakes." })];
  const beside = make("div", { className: "beside" }, scale, ...list, readout, row, described);
  return { element: make("div", { className: "matrix" }, plane, beside), tools: [ordering], draw: paint };
}
