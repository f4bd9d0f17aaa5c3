// @ts-check
import { choice, copyButton, csvButton, make, memory, view } from "./dom.js";
import { bestRow, counted, csv, formats, isMeasured, plainValue, shown, signed, sorted } from "./format.js";

/** @import { Block, Cell, Column } from "../blocks.js" */

const none = "nothing";

/** @param {Extract<Block, { kind: "table" }>} block */
export function table({ title, columns, rows, first, compare }) {
  const body = make("tbody");
  const state = /** @type {{ column: number | null, down: boolean }} */ (
    memory.get(`sort ${title}`) ?? { column: null, down: true }
  );
  let all = memory.get(`all ${title}`) === true || first === undefined || rows.length <= first;
  const names = rows.map((row) => String(plainValue(row[0])));
  let base = compare ? names.indexOf(memory.get(`base ${title}`) ?? names[0]) : -1;
  const best = columns.map(({ better }, at) =>
    bestRow(
      rows.map((row) => row[at] ?? null),
      better,
    ),
  );

  const heads = columns.map(({ name, format, bar }, at) => {
    const sort = make("button", { type: "button" }, ...wholeWords(name));
    sort.addEventListener("click", () => {
      state.down = state.column === at ? !state.down : format !== "text";
      state.column = at;
      memory.set(`sort ${title}`, state);
      fill();
    });
    return make("th", { scope: "col", className: bar ? "bar" : format === "text" ? "" : "figure" }, sort);
  });
  /** @param {Cell} value @param {number} at @param {readonly Cell[]} row */
  const cellOf = (value, at, row) => {
    const column = /** @type {Column} */ (columns[at]);
    const { format } = column;
    const own = rows.indexOf(row);
    const node = make(at === 0 ? "th" : "td", {
      scope: at === 0 ? "row" : undefined,
      className: column.bar ? "bar" : format === "text" ? "" : "figure",
    });
    if (column.bar) node.append(barOf(value));
    node.append(shown(value, format));
    if (isMeasured(value) && value.count !== undefined)
      node.append(make("span", { className: "soft", textContent: ` of ${value.count}` }));
    if (own === best[at]) {
      node.classList.add("best");
      const mark = make("span", { className: "badge", title: "best of its column" });
      mark.append(make("span", { className: "unseen", textContent: "best" }));
      node.append(mark);
    }
    const isResult = column.better !== undefined;
    const difference =
      isResult && base >= 0 && own !== base ? differenceOf(value, rows[base]?.[at], format) : undefined;
    if (difference !== undefined) node.append(make("span", { className: "difference", textContent: difference }));
    return node;
  };
  function fill() {
    const order = state.column === null ? rows : sorted(rows, state.column, state.down);
    heads.forEach((head, at) => {
      if (state.column === at) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    const some = all || view.printing ? order : order.slice(0, first);
    body.replaceChildren(...some.map((row) => make("tr", {}, ...row.map((value, at) => cellOf(value, at, row)))));
  }
  const whole = make(
    "div",
    { className: "scroll", tabIndex: 0, role: "group", "aria-label": title },
    make(
      "table",
      {},
      make("caption", {
        className: "unseen",
        textContent: `${title}: ${counted(rows.length, "row")}. A column's name sorts by it.`,
      }),
      make("thead", {}, make("tr", {}, ...heads)),
      body,
    ),
  );
  const asCsv = () => csv([columns.map(({ name }) => name), ...rows.map((row) => row.map(plainValue))]);
  /** @type {Node[]} */
  const tools = [csvButton(title, asCsv), copyButton(title, asCsv)];
  if (compare && rows.length > 1) {
    const against = choice("Differences against", [none, ...names], base < 0 ? none : names[base], (name) => {
      base = names.indexOf(name);
      memory.set(`base ${title}`, name);
      fill();
    });
    tools.unshift(against);
  }
  const element = make("div", {}, whole);
  if (!all) {
    const more = make("button", { type: "button", className: "more", textContent: `show all ${rows.length}` });
    more.addEventListener("click", () => {
      all = true;
      memory.set(`all ${title}`, true);
      more.remove();
      fill();
    });
    element.append(more);
  }
  // Drawn again on paper, which has no button for the rows that are hidden.
  return { element, tools, draw: fill };
}

/** A name whose short words are not broken at their hyphens: "top-1". @param {string} name */
const wholeWords = (name) =>
  name
    .split(/( )/)
    .map((word) =>
      /^[^ ]+-[^ ]+$/.test(word) && word.length < 20 ? make("span", { className: "whole", textContent: word }) : word,
    );

/**
 * @param {Cell} value
 * @param {Cell | undefined} base
 * @param {Column["format"]} format
 */
function differenceOf(value, base, format) {
  const [own, other] = [plainValue(value), plainValue(base)];
  return typeof own === "number" && typeof other === "number" ? signed(own - other, format) : undefined;
}

/** A share as a bar, with its interval as a line over it; empty where there is no number. @param {Cell} cell */
function barOf(cell) {
  const bar = make("span", { className: "share", "aria-hidden": "true" });
  const value = plainValue(cell);
  if (typeof value !== "number") return bar;
  const fill = make("i");
  fill.style.width = `${100 * value}%`;
  bar.append(fill);
  if (isMeasured(cell) && cell.low !== undefined && cell.high !== undefined) {
    const reach = make("b");
    reach.style.left = `${100 * cell.low}%`;
    reach.style.width = `${100 * (cell.high - cell.low)}%`;
    bar.append(reach);
    bar.title = `95 % interval ${formats.percent(cell.low)} to ${formats.percent(cell.high)}`;
  }
  return bar;
}
