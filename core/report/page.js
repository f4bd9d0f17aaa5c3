/**
 * Draws a report from the JSON beside it. All text goes in as text, never as markup: names come from data sets, files and
 * configs, and may be anything. Plain script: it runs inside the report, and is read as it is when one is written.
 */
(() => {
  "use strict";
  const page = JSON.parse(document.getElementById("data").textContent);
  const root = document.getElementById("page");

  /** What lasts from one reload to the next; a browser may refuse to keep anything. */
  const memory = {
    get(key) {
      try {
        return JSON.parse(sessionStorage.getItem(`fitloop ${page.title} ${key}`));
      } catch {
        return null;
      }
    },
    set(key, value) {
      try {
        sessionStorage.setItem(`fitloop ${page.title} ${key}`, JSON.stringify(value));
      } catch {
        // Then the next reload begins as the first did.
      }
    },
  };

  function make(name, properties = {}, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(properties)) {
      if (value === undefined) continue;
      if (key in node && key !== "role") node[key] = value;
      else node.setAttribute(key, value);
    }
    node.append(...children.filter((child) => child !== undefined && child !== null));
    return node;
  }

  const formats = {
    percent: (value) => `${(100 * value).toFixed(1)} %`,
    number: (value) => String(Number(value.toPrecision(4))),
    integer: (value) => Math.round(value).toLocaleString("en"),
    text: String,
  };
  // Numbers that JSON has no way to write come as text: "NaN", "Infinity".
  const shown = (value, format) =>
    value === null || value === undefined ? "" : typeof value === "number" ? formats[format](value) : String(value);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const draw = {
    facts: ({ rows }) => make("dl", {}, ...rows.flatMap(([label, value]) => [make("dt", { textContent: label }), make("dd", { textContent: value })])),
    text: ({ text }) => make("pre", { textContent: text, tabIndex: 0 }),
    pictures: ({ items }) =>
      make(
        "div",
        { className: "pictures" },
        ...items.map(({ src, caption }) =>
          make("figure", {}, make("img", { src, alt: caption }), make("figcaption", { textContent: caption })),
        ),
      ),
    table,
    chart,
    confusion,
  };

  function table({ title, columns, rows, first }) {
    const body = make("tbody");
    const remembered = memory.get(`sort ${title}`);
    const state = remembered ?? { column: null, down: true };
    let all = memory.get(`all ${title}`) === true || first === undefined || rows.length <= first;
    const heads = columns.map(({ name, format }, at) => {
      const button = make("button", { type: "button", textContent: name });
      button.addEventListener("click", () => {
        state.down = state.column === at ? !state.down : format !== "text";
        state.column = at;
        memory.set(`sort ${title}`, state);
        fill();
      });
      return make("th", { scope: "col", className: format === "text" ? "" : "figure" }, button);
    });
    const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a ?? "").localeCompare(String(b ?? "")));
    function fill() {
      const order = [...rows];
      if (state.column !== null) order.sort((a, b) => (state.down ? -1 : 1) * compare(a[state.column], b[state.column]));
      heads.forEach((head, at) => {
        if (state.column === at) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      });
      body.replaceChildren(
        ...(all ? order : order.slice(0, first)).map((row) =>
          make(
            "tr",
            {},
            ...row.map((value, at) =>
              make(at === 0 ? "th" : "td", {
                scope: at === 0 ? "row" : undefined,
                className: columns[at].format === "text" ? "" : "figure",
                textContent: shown(value, columns[at].format),
              }),
            ),
          ),
        ),
      );
    }
    fill();
    const whole = make(
      "div",
      { className: "scroll", tabIndex: 0, role: "group", "aria-label": title },
      make("table", {}, make("caption", { textContent: `${rows.length} rows; a column's name sorts by it` }), make("thead", {}, make("tr", {}, ...heads)), body),
    );
    if (all) return whole;
    const more = make("button", { type: "button", className: "more", textContent: `show all ${rows.length}` });
    more.addEventListener("click", () => {
      all = true;
      memory.set(`all ${title}`, true);
      more.remove();
      fill();
    });
    return make("div", {}, whole, more);
  }

  function chart({ title, format, xLabel, x, series }) {
    const place = make("div", { role: "img", "aria-label": `${title}: ${series.map(described).join("; ")}` });
    const legend = make(
      "ul",
      { className: "legend" },
      ...series.map(({ name }, at) => {
        const mark = make("i");
        mark.style.background = `var(--series-${at % 6})`;
        return make("li", {}, mark, name);
      }),
    );
    const readout = make("p", { className: "note", textContent: "\u00a0" });
    function described({ name, y }) {
      const known = y.filter((value) => value !== null);
      return known.length === 0
        ? `${name} has no points`
        : `${name} from ${shown(known[0], format)} to ${shown(known.at(-1), format)}`;
    }
    const plot = () => {
      place.replaceChildren();
      const data = [x];
      const lines = [{ label: xLabel }];
      const bands = [];
      series.forEach(({ name, y, low, high, points }, at) => {
        const stroke = colour(`--series-${at % 6}`);
        data.push(y);
        lines.push({
          label: name,
          stroke,
          width: points ? 2 : 1.6,
          spanGaps: true,
          points: { show: points === true || y.filter((value) => value !== null).length < 3, size: 5, fill: stroke },
        });
        if (!low || !high) return;
        data.push(high, low);
        for (const edge of ["high", "low"]) lines.push({ label: `${name}, ${edge}`, stroke: "transparent", points: { show: false } });
        bands.push({ series: [data.length - 2, data.length - 1], fill: `${stroke}33` });
      });
      const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
      const ticks = (_, values) => values.map((value) => (value === null ? "" : shown(value, format)));
      new uPlot(
        {
          width: Math.max(260, place.clientWidth),
          height: 240,
          legend: { show: false },
          cursor: { y: false },
          scales: { x: { time: false } },
          series: lines,
          bands,
          axes: [{ ...axis, values: (_, values) => values.map((value) => value.toLocaleString("en")) }, { ...axis, size: 64, values: ticks }],
          hooks: {
            setCursor: [
              ({ cursor: { idx } }) => {
                readout.textContent =
                  idx === null || idx === undefined
                    ? "\u00a0"
                    : [`${xLabel} ${x[idx].toLocaleString("en")}`, ...series.flatMap(({ name, y }) => (y[idx] === null ? [] : [`${name} ${shown(y[idx], format)}`]))].join("   ");
              },
            ],
          },
        },
        data,
        place,
      );
    };
    later.push(plot);
    return make("div", {}, place, legend, readout);
  }

  function confusion({ title, classes, counts }) {
    const size = classes.length;
    const totals = classes.map((_, row) => counts.slice(row * size, (row + 1) * size).reduce((sum, count) => sum + count, 0));
    const accuracy = classes.map((_, row) => counts[row * size + row] / (totals[row] || 1));
    const orders = {
      "as in the data": (a, b) => a - b,
      "worst first": (a, b) => accuracy[a] - accuracy[b],
      "best first": (a, b) => accuracy[b] - accuracy[a],
      "by name": (a, b) => classes[a].localeCompare(classes[b]),
    };
    const choice = make("select", { id: `order-${later.length}` }, ...Object.keys(orders).map((name) => make("option", { value: name, textContent: name })));
    choice.value = memory.get(`order ${title}`) ?? "as in the data";
    const cell = Math.max(5, Math.min(40, Math.floor(620 / size)));
    const margin = cell >= 14 ? 110 : 0; // names of the rows, where they can be read
    const canvas = make("canvas", { width: margin + cell * size, height: cell * size, tabIndex: 0, role: "application" });
    canvas.setAttribute("aria-label", `${title}: rows are true classes, columns what was said. Arrow keys move, Home goes to the first cell.`);
    const said = make("p", { "aria-live": "polite", textContent: "Choose a cell: a click, or the arrow keys." });
    const row = make("div", { className: "scroll" });
    let order = [];
    let at = null;
    function paint() {
      order = classes.map((_, index) => index).sort(orders[choice.value] ?? orders["as in the data"]);
      const context = canvas.getContext("2d");
      const heat = colour("--heat");
      context.fillStyle = colour("--card");
      context.fillRect(0, 0, canvas.width, canvas.height);
      order.forEach((truth, y) => {
        context.fillStyle = colour("--ink");
        context.font = "12px system-ui, sans-serif";
        context.textBaseline = "middle";
        if (margin > 0) context.fillText(classes[truth], 4, (y + 0.5) * cell, margin - 10);
        order.forEach((answer, x) => {
          const share = counts[truth * size + answer] / (totals[truth] || 1);
          if (share === 0) return;
          // Mistakes are rare: the root makes them visible.
          context.fillStyle = `rgba(${heat}, ${Math.sqrt(share)})`;
          context.fillRect(margin + x * cell, y * cell, cell - 0.5, cell - 0.5);
        });
      });
      if (at) {
        context.strokeStyle = colour("--series-1");
        context.lineWidth = 2;
        context.strokeRect(margin + at.x * cell + 1, at.y * cell + 1, cell - 2, cell - 2);
      }
    }
    function choose(x, y) {
      at = { x: Math.max(0, Math.min(size - 1, x)), y: Math.max(0, Math.min(size - 1, y)) };
      const [truth, answer] = [order[at.y], order[at.x]];
      const count = counts[truth * size + answer];
      const share = formats.percent(count / (totals[truth] || 1));
      said.textContent = `${classes[truth]} was said to be ${classes[answer]} ${count} times of ${totals[truth]} (${share}).`;
      const answers = classes
        .map((name, index) => ({ name, count: counts[truth * size + index] }))
        .filter((each) => each.count > 0)
        .sort((a, b) => b.count - a.count)
        .slice(0, 8);
      row.replaceChildren(
        make(
          "table",
          {},
          make("caption", { textContent: `What ${classes[truth]} was taken for` }),
          make("tbody", {}, ...answers.map((each) => make("tr", {}, make("th", { scope: "row", textContent: each.name }), make("td", { className: "figure", textContent: each.count })))),
        ),
      );
      paint();
    }
    choice.addEventListener("change", () => {
      memory.set(`order ${title}`, choice.value);
      at = null;
      paint();
    });
    canvas.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      const scale = canvas.width / box.width;
      const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
      choose(Math.floor((x - margin) / cell), Math.floor(y / cell));
    });
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    canvas.addEventListener("keydown", (event) => {
      if (event.key === "Home") choose(0, 0);
      else if (moves[event.key]) choose((at?.x ?? 0) + moves[event.key][0], (at?.y ?? 0) + moves[event.key][1]);
      else return;
      event.preventDefault();
    });
    later.push(paint);
    const label = make("label", { htmlFor: choice.id, textContent: "order of the classes " }, choice);
    return make("div", { className: "matrix" }, canvas, make("div", { className: "said" }, label, said, row));
  }

  const later = []; // drawings that need their place to have a size, and again when it changes
  const wide = new Set(["confusion", "pictures", "text"]);
  const blocks = make("div", { className: "blocks" });
  for (const block of page.blocks) {
    const content = draw[block.kind](block);
    const folded = block.kind === "text" && !block.open;
    const section = make("section", { className: wide.has(block.kind) || (block.kind === "table" && block.columns.length > 5) ? "wide" : "" });
    if (folded) section.append(make("details", {}, make("summary", { textContent: block.title }), content));
    else section.append(make("h2", { textContent: block.title }), ...(block.note ? [make("p", { className: "note", textContent: block.note })] : []), content);
    blocks.append(section);
  }
  root.append(make("p", { className: "summary", textContent: page.summary }), blocks);

  const drawAll = () => later.forEach((each) => each());
  drawAll();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  let width = innerWidth;
  let pending;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    clearTimeout(pending);
    pending = setTimeout(drawAll, 150);
  });
  if (page.reload) setTimeout(() => location.reload(), 1000 * page.reload);
})();
