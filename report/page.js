/**
 * Draws a report from the JSON beside it. All text goes in as text, never as markup: names come from data sets, files and
 * configs, and may be anything. Plain script: it runs inside the report, and is read as it is when one is written.
 */
(() => {
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
  /** Places that a reader has come to, asked for once the page goes away. */
  const places = [];
  function keep(key, read) {
    places.push(() => memory.set(key, read()));
    return memory.get(key);
  }
  let printing = false;

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
  const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const draw = {
    facts: ({ rows }) =>
      make(
        "dl",
        {},
        ...rows.flatMap(([label, value]) => [make("dt", { textContent: label }), make("dd", { textContent: value })]),
      ),
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
    const compare = (a, b) =>
      typeof a === "number" && typeof b === "number" ? a - b : String(a ?? "").localeCompare(String(b ?? ""));
    function fill() {
      const order = [...rows];
      if (state.column !== null)
        order.sort((a, b) => (state.down ? -1 : 1) * compare(a[state.column], b[state.column]));
      heads.forEach((head, at) => {
        if (state.column === at) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      });
      body.replaceChildren(
        ...(all || printing ? order : order.slice(0, first)).map((row) =>
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
    later.push(fill); // paper has no button for the rows that are hidden
    const whole = make(
      "div",
      { className: "scroll", tabIndex: 0, role: "group", "aria-label": title },
      make(
        "table",
        {},
        make("caption", { textContent: `${counted(rows.length, "row")}; a column's name sorts by it` }),
        make("thead", {}, make("tr", {}, ...heads)),
        body,
      ),
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

  function chart({ title, format, xLabel, x, series, best }) {
    const keys = "Left and right move along it, Home and End go to its ends.";
    const place = make("div", {
      tabIndex: 0,
      role: "application",
      "aria-roledescription": "chart",
      "aria-label": `${title}: ${series.map(described).join("; ")}. ${keys}`,
    });
    const legend = make(
      "ul",
      { className: "legend" },
      ...series.map(({ name }, at) => {
        const mark = make("i");
        mark.style.background = `var(--series-${at % 6})`;
        return make("li", {}, mark, name);
      }),
    );
    const readout = make("p", { className: "readout", "aria-live": "polite", textContent: "\u00a0" });
    function described({ name, y }) {
      const known = y.filter((value) => value !== null);
      if (known.length === 0) return `${name} has no points`;
      const extreme = known.reduce((one, other) => (best === "least" ? Math.min(one, other) : Math.max(one, other)));
      return [
        `${name}: first ${shown(known[0], format)}`,
        ...(best ? [`best ${shown(extreme, format)}`] : []),
        `last ${shown(known.at(-1), format)}`,
      ].join(", ");
    }
    let drawn;
    let at = null;
    function tell(index) {
      at = index ?? null;
      const figures = ({ name, y }) => (y[at] === null ? [] : [`${name} ${shown(y[at], format)}`]);
      readout.textContent =
        at === null ? "\u00a0" : [`${xLabel} ${x[at].toLocaleString("en")}`, ...series.flatMap(figures)].join("   ");
    }
    const moves = {
      ArrowLeft: () => (at ?? x.length) - 1,
      ArrowRight: () => (at ?? -1) + 1,
      Home: () => 0,
      End: () => x.length - 1,
    };
    place.addEventListener("keydown", (event) => {
      if (!moves[event.key] || x.length === 0) return;
      event.preventDefault();
      const next = Math.max(0, Math.min(x.length - 1, moves[event.key]()));
      drawn.setCursor({ left: drawn.valToPos(x[next], "x"), top: 0 });
      tell(next); // of points closer than pixels the cursor finds another
    });
    later.push(() => {
      drawn?.destroy();
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
        for (const edge of ["high", "low"])
          lines.push({ label: `${name}, ${edge}`, stroke: "transparent", points: { show: false } });
        bands.push({ series: [data.length - 2, data.length - 1], fill: `${stroke}33` });
      });
      const axis = {
        stroke: colour("--soft"),
        grid: { stroke: colour("--line"), width: 1 },
        ticks: { stroke: colour("--line") },
      };
      const ticks = (_, values) => values.map((value) => (value === null ? "" : shown(value, format)));
      drawn = new uPlot(
        {
          width: printing ? paper : Math.max(260, place.clientWidth),
          height: 240,
          legend: { show: false },
          cursor: { y: false },
          scales: { x: { time: false } },
          series: lines,
          bands,
          axes: [
            { ...axis, values: (_, values) => values.map((value) => value.toLocaleString("en")) },
            { ...axis, size: 64, values: ticks },
          ],
          hooks: { setCursor: [({ cursor: { idx } }) => tell(idx)] },
        },
        data,
        place,
      );
    });
    return make("div", {}, place, legend, readout);
  }

  function confusion({ title, classes, counts }) {
    const size = classes.length;
    const totals = classes.map((_, row) =>
      counts.slice(row * size, (row + 1) * size).reduce((sum, count) => sum + count, 0),
    );
    const accuracy = classes.map((_, row) => counts[row * size + row] / (totals[row] || 1));
    const orders = {
      "as in the data": (a, b) => a - b,
      "worst first": (a, b) => accuracy[a] - accuracy[b],
      "best first": (a, b) => accuracy[b] - accuracy[a],
      "by name": (a, b) => classes[a].localeCompare(classes[b]),
    };
    const choice = make(
      "select",
      { id: `order-${later.length}` },
      ...Object.keys(orders).map((name) => make("option", { value: name, textContent: name })),
    );
    choice.value = memory.get(`order ${title}`) ?? "as in the data";
    const cell = Math.max(size > 200 ? 3 : 7, Math.min(40, Math.floor(640 / size)));
    const font = "11px system-ui, sans-serif";
    const every = Math.ceil(13 / cell); // names closer than that would lie on each other
    const canvas = make("canvas", { tabIndex: 0, role: "application", "aria-describedby": `worst-${later.length}` });
    canvas.setAttribute(
      "aria-label",
      `${title}: rows are true classes, columns what was said. Arrow keys move, Home goes to the first cell.`,
    );
    const context = canvas.getContext("2d");
    const plane = make("div", { className: "plane" }, canvas);
    const said = make("p", { "aria-live": "polite" });
    const row = make("div", { className: "scroll" });
    const mistakes = classes
      .flatMap((_, truth) => classes.map((_, answer) => ({ truth, answer, count: counts[truth * size + answer] })))
      .filter(({ truth, answer, count }) => truth !== answer && count > 0)
      .sort((a, b) => b.count - a.count);
    const worst = make("p", {
      id: canvas.getAttribute("aria-describedby"),
      className: "unseen",
      textContent:
        mistakes.length === 0 ? "No mistakes." : `Most confused: ${mistakes.slice(0, 10).map(told).join(" ")}`,
    });
    let order = [];
    let chosen = keep(`cell ${title}`, () => chosen);
    if (!(chosen?.truth < size && chosen.answer < size)) chosen = null;
    let margins = { left: 0, top: 0 };

    function told({ truth, answer }) {
      const count = counts[truth * size + answer];
      return `${classes[truth]} was said to be ${classes[answer]} ${counted(count, "time")} of ${totals[truth]} (${formats.percent(count / (totals[truth] || 1))}).`;
    }
    function cut(name, width) {
      if (context.measureText(name).width <= width) return name;
      let letters = [...name];
      while (letters.length > 1 && context.measureText(`${letters.join("")}…`).width > width)
        letters = letters.slice(0, -1);
      return `${letters.join("")}…`;
    }
    function paint() {
      order = classes.map((_, index) => index).sort(orders[choice.value] ?? orders["as in the data"]);
      context.font = font;
      const names = Math.min(
        innerWidth < 600 ? 70 : 130,
        Math.max(...classes.map((name) => context.measureText(name).width)),
      );
      const title = 20; // of an axis
      margins = { left: title + names + 8, top: title + names + 8 };
      const [width, height] = [margins.left + size * cell, margins.top + size * cell];
      const ratio = Math.min(printing ? 2 : devicePixelRatio, 8000 / Math.max(width, height)); // what browsers can draw at all
      canvas.width = width * ratio;
      canvas.height = height * ratio;
      canvas.style.width = `${width}px`;
      context.scale(ratio, ratio);
      context.font = font;
      context.textBaseline = "middle";
      const { left, top } = margins;
      const [heat, ink, card, turn] = [
        colour("--heat"),
        colour("--ink"),
        colour("--card"),
        Number(colour("--heat-turn")),
      ];
      context.fillStyle = card;
      context.fillRect(0, 0, width, height);
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
      context.fillText("said to be →", left, title / 2);
      upwards("← true class", title / 2, top, "right");
      context.fillStyle = ink;
      order.forEach((label, at) => {
        if (at % every !== 0) return;
        const name = cut(classes[label], names);
        const middle = (at + 0.5) * cell;
        context.textAlign = "right";
        context.fillText(name, left - 6, top + middle);
        upwards(name, left + middle, top - 6, "left");
      });
      context.textAlign = "center";
      order.forEach((truth, y) =>
        order.forEach((answer, x) => {
          const count = counts[truth * size + answer];
          if (count === 0) return;
          // Mistakes are rare: the root makes them visible.
          const strength = Math.sqrt(count / totals[truth]);
          context.fillStyle = `rgba(${heat}, ${strength})`;
          context.fillRect(left + x * cell, top + y * cell, cell - 0.5, cell - 0.5);
          if (cell < 20 || context.measureText(count).width > cell - 4) return;
          context.fillStyle = strength > turn ? card : ink;
          context.fillText(count, left + (x + 0.5) * cell, top + (y + 0.5) * cell);
        }),
      );
      context.strokeStyle = colour("--line");
      context.strokeRect(left - 0.5, top - 0.5, size * cell, size * cell);
      if (!chosen) return;
      context.strokeStyle = colour("--series-1");
      context.lineWidth = 2;
      context.strokeRect(
        left + order.indexOf(chosen.answer) * cell + 1,
        top + order.indexOf(chosen.truth) * cell + 1,
        cell - 2,
        cell - 2,
      );
    }
    function show() {
      said.textContent = chosen ? told(chosen) : "Choose a cell: a click, or the arrow keys.";
      if (!chosen) return;
      const { truth } = chosen;
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
          make(
            "tbody",
            {},
            ...answers.map((each) =>
              make(
                "tr",
                {},
                make("th", { scope: "row", textContent: each.name }),
                make("td", { className: "figure", textContent: each.count }),
              ),
            ),
          ),
        ),
      );
    }
    function choose(cellAt) {
      chosen = cellAt;
      show();
      paint();
    }
    /** The cell at a place of the canvas; at a name the class's largest mistake, or the class itself where it has none. */
    function cellAt(event) {
      const box = canvas.getBoundingClientRect();
      const scale = parseFloat(canvas.style.width) / box.width;
      const [x, y] = [
        (event.clientX - box.left) * scale - margins.left,
        (event.clientY - box.top) * scale - margins.top,
      ];
      const label = (offset) => order[Math.max(0, Math.min(size - 1, Math.floor(offset / cell)))];
      if (x >= 0 && y >= 0) return { truth: label(y), answer: label(x) };
      if (x < 0 && y < 0) return null;
      const own = x < 0 ? label(y) : label(x);
      return mistakes.find(({ truth, answer }) => (x < 0 ? truth : answer) === own) ?? { truth: own, answer: own };
    }
    choice.addEventListener("change", () => {
      memory.set(`order ${title}`, choice.value);
      paint();
    });
    canvas.addEventListener("click", (event) => {
      const cell = cellAt(event);
      if (cell) choose(cell);
    });
    canvas.addEventListener("mousemove", (event) => {
      const cell = cellAt(event);
      if (cell) said.textContent = told(cell);
    });
    canvas.addEventListener("mouseleave", show);
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    canvas.addEventListener("keydown", (event) => {
      if (event.key !== "Home" && !moves[event.key]) return;
      event.preventDefault();
      const [right, down] = moves[event.key] ?? [0, 0];
      const moved = (label, by) => Math.max(0, Math.min(size - 1, order.indexOf(label) + by));
      const [x, y] =
        event.key === "Home" || !chosen ? [0, 0] : [moved(chosen.answer, right), moved(chosen.truth, down)];
      choose({ truth: order[y], answer: order[x] });
      // Into sight, with the names of the rows beside it.
      const from = x * cell;
      const room = plane.clientWidth - margins.left - cell;
      plane.scrollLeft = Math.min(from, Math.max(plane.scrollLeft, from - room));
    });
    show();
    later.push(paint);
    const label = make("label", { htmlFor: choice.id, textContent: "order of the classes " }, choice);
    const scale = make("p", { className: "scale" }, "0 % ", make("i"), " 100 % of the true class's pictures");
    return make(
      "div",
      { className: "matrix" },
      plane,
      make("div", { className: "said" }, label, scale, said, row, worst),
    );
  }

  const later = []; // drawings that need their place to have a size, and again when it or the colours change
  const paper = 640; // pixels of a page's width, whatever its format
  const wide = new Set(["confusion", "pictures", "text"]);
  const blocks = make("div", { className: "blocks" });
  for (const block of page.blocks) {
    const content = draw[block.kind](block);
    const folded = block.kind === "text" && !block.open;
    // A short table of five columns has room beside another block.
    const isWideTable = block.kind === "table" && block.columns.length > (block.rows.length > 4 ? 4 : 5);
    const section = make("section", { className: wide.has(block.kind) || isWideTable ? "wide" : "" });
    if (folded) {
      const details = make("details", {}, make("summary", { textContent: block.title }), content);
      details.open = keep(`open ${block.title}`, () => details.open) === true;
      section.append(details);
    } else
      section.append(
        make("h2", { textContent: block.title }),
        ...(block.note ? [make("p", { className: "note", textContent: block.note })] : []),
        content,
      );
    blocks.append(section);
  }
  root.append(
    make("p", { className: "summary", textContent: page.summary }),
    ...(page.reload ? [reloading(page.reload)] : []),
    blocks,
  );

  function reloading(seconds) {
    const button = make("button", { type: "button", className: "more" });
    let stopped = keep("stopped", () => stopped) === true;
    let timer;
    function show() {
      button.textContent = stopped ? "load again while the run lasts" : `stop loading again every ${seconds} s`;
      clearTimeout(timer);
      if (!stopped) timer = setTimeout(() => location.reload(), 1000 * seconds);
    }
    button.addEventListener("click", () => {
      stopped = !stopped;
      show();
    });
    show();
    return button;
  }

  const drawAll = () => later.forEach((each) => each());
  drawAll();
  history.scrollRestoration = "manual"; // a browser would restore before the page has its height
  const scrolled = keep("scroll", () => scrollY);
  addEventListener("load", () => scrollTo(0, scrolled ?? 0)); // pictures have their sizes by then
  addEventListener("pagehide", () => places.forEach((each) => each()));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  let width = innerWidth;
  let pending;
  addEventListener("resize", () => {
    if (innerWidth === width || printing) return;
    width = innerWidth;
    clearTimeout(pending);
    pending = setTimeout(drawAll, 150);
  });

  /** On paper all is open, and drawings are in light colours and as wide as a page. */
  let closed = [];
  function print(on) {
    printing = on;
    document.documentElement.classList.toggle("printing", on);
    if (on) closed = [...document.querySelectorAll("details:not([open])")];
    for (const details of closed) details.open = on;
    drawAll();
  }
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
})();
