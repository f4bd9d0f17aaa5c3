// @ts-check
import { chart } from "./chart.js";
import { choice, make, memory } from "./dom.js";

/** @import { Block, Chart } from "../blocks.js" */

/**
 * A hyperparameter against a result: one series of points for each group. Names become places 0, 1, …; numbers over more
 * than a factor of twenty stand on a logarithmic axis.
 *
 * @param {Pick<Extract<Block, { kind: "scatter" }>, "runs" | "x" | "y">} block
 * @param {number} xAt
 * @param {number} yAt
 * @returns {Omit<Chart, "kind">}
 */
export function pointsOf({ runs, x, y }, xAt, yAt) {
  const [across, up] = [x[xAt], y[yAt]];
  if (!across || !up) throw new Error(`There is no value ${xAt} and ${yAt} to draw.`);
  const numeric = across.values.every((value) => value === null || typeof value === "number");
  const named = [...new Set(across.values.filter((value) => value !== null).map(String))].sort();
  const place = (/** @type {string | number} */ value) => (numeric ? Number(value) : named.indexOf(String(value)));
  const points = runs.flatMap(({ group }, run) => {
    const [at, value] = [across.values[run], up.values[run]];
    return at === null || at === undefined || value === null || value === undefined
      ? []
      : [{ group, x: place(at), y: value }];
  });
  points.sort((a, b) => a.x - b.x);
  const [low, high] = [points[0]?.x ?? 0, points.at(-1)?.x ?? 0];
  return {
    format: up.format,
    xLabel: across.name,
    yLabel: up.name,
    logX: numeric && low > 0 && high / low > 20,
    ...(numeric ? {} : { categories: named }),
    // In the order of the runs, as in the other charts: a group has one colour on the page.
    series: [...new Set(runs.map(({ group }) => group))].map((group) => {
      const own = points.filter((point) => point.group === group);
      return {
        name: group,
        look: "points",
        x: besideEachOther(own.map((point) => point.x)),
        y: own.map((point) => point.y),
      };
    }),
  };
}

/** Points at one place would be one: each next one stands a hair beside it. @param {readonly number[]} x rising */
function besideEachOther(x) {
  let before = Number.NEGATIVE_INFINITY;
  return x.map((value) => (before = value > before ? value : before + Math.max(Math.abs(before), 1) * 1e-9));
}

/** @param {Extract<Block, { kind: "scatter" }>} block */
export function scatter(block) {
  const { title, x, y } = block;
  const place = make("div");
  const inside = make("span", { className: "tools" });
  /** @type {ReturnType<typeof chart> | undefined} */
  let inner;
  /** @param {readonly { name: string }[]} values @param {string} key */
  const remembered = (values, key) =>
    Math.max(
      0,
      values.findIndex(({ name }) => name === memory.get(`${key} ${title}`)),
    );
  const chosen = { x: remembered(x, "x"), y: remembered(y, "y") };
  function draw() {
    inner?.dispose();
    inner = chart({ kind: "chart", title, ...pointsOf(block, chosen.x, chosen.y) }, []);
    inside.replaceChildren(...inner.tools);
    place.replaceChildren(inner.element);
    inner.draw();
  }
  /** @param {"x" | "y"} key @param {string} label */
  const chooser = (key, label) => {
    const names = block[key].map(({ name }) => name);
    return choice(label, names, names[chosen[key]], (name) => {
      chosen[key] = names.indexOf(name);
      memory.set(`${key} ${title}`, name);
      draw();
    });
  };
  return { element: place, tools: [chooser("x", "Hyperparameter"), chooser("y", "Result"), inside], draw };
}
