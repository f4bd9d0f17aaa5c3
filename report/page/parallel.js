// @ts-check
import { announce, choice, make, memory, view } from "./dom.js";
import { shown, tick } from "./format.js";

/** @import { Block } from "../blocks.js" */
/** @typedef {Extract<Block, { kind: "parallel" }>} Parallel */
/** @typedef {{ name: string, texts: string[], places: (number | null)[], marks: { at: number, text: string }[] }} Axis */

const tall = 300;
const frame = { left: 24, right: 24, top: 34, bottom: 14 };

/** Names of one axis that have room above each other. */
const mostNames = 12;

/** @param {string} text @param {number} most letters */
const cutTo = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

/**
 * An axis from 0 to 1 with the runs' places on it. Numbers over more than a factor of twenty have a logarithmic one.
 *
 * @param {string} name
 * @param {readonly (string | number | null)[]} values of the runs
 * @param {(value: number) => string} format
 * @returns {Axis}
 */
export function axisOf(name, values, format) {
  const known = values.filter((value) => value !== null);
  const texts = values.map((value) => (value === null ? "none" : typeof value === "number" ? format(value) : value));
  if (!known.every((value) => typeof value === "number")) {
    const names = [...new Set(known.map(String))].sort();
    const at = (/** @type {string} */ each) => (names.length < 2 ? 0.5 : names.indexOf(each) / (names.length - 1));
    const every = Math.ceil(names.length / mostNames);
    return {
      name,
      texts,
      places: values.map((value) => (value === null ? null : at(String(value)))),
      marks: names.filter((_, place) => place % every === 0).map((text) => ({ at: at(text), text })),
    };
  }
  const numbers = /** @type {number[]} */ (known);
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  const logarithmic = low > 0 && high / low > 20;
  const to = logarithmic ? Math.log : (/** @type {number} */ value) => value;
  const from = logarithmic ? Math.exp : (/** @type {number} */ value) => value;
  const at = (/** @type {number} */ value) => (high > low ? (to(value) - to(low)) / (to(high) - to(low)) : 0.5);
  const distinct = [...new Set(numbers)].sort((a, b) => a - b);
  const few =
    distinct.length <= 5
      ? distinct
      : [0, 0.25, 0.5, 0.75, 1].map((part) => from(to(low) + part * (to(high) - to(low))));
  return {
    name,
    texts,
    places: values.map((value) => (typeof value === "number" ? at(value) : null)),
    marks: few.map((value) => ({ at: at(value), text: format(value) })),
  };
}

/** @param {string} name @param {Record<string, string | number>} attributes @param {string} [text] */
function svg(name, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, String(value));
  if (text !== undefined) node.textContent = text;
  return node;
}

/**
 * A line for each run across an axis for each hyperparameter, to the result on the right. The better the result, the
 * stronger the line.
 *
 * @param {Parallel} block
 */
export function parallel({ title, runs, x: fields, y: results }) {
  const names = results.map(({ name }) => name);
  let result = Math.max(0, names.indexOf(memory.get(`result ${title}`)));
  /** @type {number | null} */
  let at = null;
  /** @type {Axis[]} */
  let axes = [];
  /** @type {number[]} runs that have a result, the best first */
  let order = [];
  /** @type {Map<number, { line: SVGElement, points: [number, number][] }>} */
  let lines = new Map();
  const readout = make("p", { className: "readout" });
  const place = make("div", {
    className: "parallel",
    tabIndex: 0,
    role: "application",
    "aria-roledescription": "chart",
    "aria-label": `${title}: ${runs.length} runs over ${fields.map(({ name }) => name).join(", ")}. Left and right move along the runs, the best first.`,
  });

  const describeRun = (/** @type {number} */ run) =>
    `${runs[run]?.name}: ${axes.map(({ name, texts }) => `${name} ${texts[run]}`).join(", ")}`;

  /** @param {number | null} run */
  function point(run) {
    at = run;
    for (const [own, { line }] of lines) {
      line.classList.toggle("chosen", own === run);
      line.classList.toggle("faint", run !== null && own !== run);
    }
    const line = run === null ? undefined : lines.get(run)?.line;
    line?.parentNode?.append(line); // above the others
    readout.textContent = run === null ? "" : describeRun(run);
  }

  function draw() {
    const chosen = results[result];
    if (!chosen) return;
    axes = [
      ...fields.map(({ name, values }) => axisOf(name, values, (value) => shown(value, "number"))),
      axisOf(chosen.name, chosen.values, (value) =>
        chosen.format === "percent" ? tick(Number(value.toFixed(3)), "percent") : shown(value, chosen.format),
      ),
    ];
    const places = axes.at(-1)?.places ?? [];
    const goodness = (/** @type {number} */ run) => {
      const place = places[run] ?? 0;
      return chosen.better === "lower" ? 1 - place : place;
    };
    order = runs.flatMap((_, run) => (places[run] === null ? [] : [run])).sort((a, b) => goodness(b) - goodness(a));
    const width = view.printing ? view.paper : Math.max(280, place.clientWidth);
    const inner = { width: width - frame.left - frame.right, height: tall - frame.top - frame.bottom };
    const across = (/** @type {number} */ axis) => frame.left + (inner.width * axis) / (axes.length - 1);
    const up = (/** @type {number} */ part) => frame.top + inner.height * (1 - part);
    const room = inner.width / (axes.length - 1) / 7.5; // letters between two axes
    const root = svg("svg", { width, height: tall, viewBox: `0 0 ${width} ${tall}`, "aria-hidden": "true" });
    const layer = svg("g", {});
    lines = new Map(
      order.toReversed().map((run) => {
        const points = axes.flatMap(({ places: own }, axis) => {
          const part = own[run];
          return part === null || part === undefined
            ? []
            : [/** @type {[number, number]} */ ([across(axis), up(part)])];
        });
        const line = svg("polyline", { points: points.map((each) => each.join(",")).join(" ") });
        line.style.setProperty("--good", `${Math.round(100 * goodness(run))}%`);
        layer.append(line);
        return [run, { line, points }];
      }),
    );
    root.append(layer);
    axes.forEach(({ name, marks }, axis) => {
      const last = axis === axes.length - 1;
      const anchor = last ? "end" : axis === 0 ? "start" : "middle";
      const x = across(axis);
      root.append(svg("line", { x1: x, x2: x, y1: up(0), y2: up(1) }));
      root.append(
        svg("text", { x, y: 16, class: "name", "text-anchor": anchor }, cutTo(name, Math.max(4, Math.floor(room)))),
      );
      for (const { at: part, text } of marks) {
        root.append(
          svg(
            "text",
            { x: x + (last ? -7 : 7), y: up(part) + 4, "text-anchor": last ? "end" : "start" },
            cutTo(text, Math.max(4, Math.floor(room - 2))),
          ),
        );
      }
    });
    place.replaceChildren(root);
    point(at !== null && lines.has(at) ? at : null);
  }

  /** @param {MouseEvent} event @returns {number | null} the run whose line is nearest to the mouse */
  function runAt(event) {
    const box = place.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let best = { run: /** @type {number | null} */ (null), distance: 24 };
    for (const [run, { points }] of lines) {
      points.forEach(([x0, y0], index) => {
        const [x1, y1] = points[index + 1] ?? [x0, y0];
        if (x < x0 || x > x1) return;
        const distance = Math.abs(y - (y0 + (x1 > x0 ? ((x - x0) / (x1 - x0)) * (y1 - y0) : 0)));
        if (distance < best.distance) best = { run, distance };
      });
    }
    return best.run;
  }
  place.addEventListener("mousemove", (event) => point(runAt(event)));
  place.addEventListener("mouseleave", () => point(null));
  /** @type {Record<string, (index: number) => number>} */
  const moves = {
    ArrowLeft: (index) => index - 1,
    ArrowRight: (index) => index + 1,
    Home: () => 0,
    End: () => order.length - 1,
  };
  place.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const next = order[Math.max(0, Math.min(order.length - 1, move(at === null ? -1 : order.indexOf(at))))];
    if (next === undefined) return;
    point(next);
    announce(describeRun(next));
  });
  const chooser = choice("Result", names, names[result], (name) => {
    result = names.indexOf(name);
    memory.set(`result ${title}`, name);
    draw();
  });
  const under = make("div", { className: "under" }, readout);
  return { element: make("div", {}, place, under), tools: [chooser], draw };
}
