// @ts-check
import { bestPlace, converted, nearest, smoothed, spacedOut, timeUnit, zoomed } from "./curves.js";
import { announce, button, choice, colour, csvButton, make, memory, view } from "./dom.js";
import { csv, shown, tick } from "./format.js";

/** @import { Chart, Clock, Series } from "../blocks.js" */
/** @typedef {{ hidden: string[], logX: boolean, logY: boolean, range: [number, number] | null, view: string | null }} State */
/** @typedef {{ series: Series, at: number, x: number[], y: (number | null)[] }} Curve what is drawn of a series */

/** Pixels of a chart's height, and between two marks of epochs. */
const [height, apart] = [260, 34];

/** There are no parts of a step: distances between marks on their axis. */
const wholeSteps = Array.from({ length: 15 }, (_, power) => [1, 2, 5].map((digit) => digit * 10 ** power)).flat();

/** Series have so many colours; the next ones are dashed, the ones after them dotted. */
const colours = 8;
/** @type {(number[] | undefined)[]} */
const dashes = [undefined, [8, 4], [2, 3]];

/**
 * Charts of curves, which share cursor and zoom.
 *
 * @type {Map<Element, { axisName: () => string, follow: () => void, draw: () => void }>}
 */
const linked = new Map();

/** @param {string} axis @param {Element} except */
const others = (axis, except) =>
  [...linked].flatMap(([element, chart]) => {
    if (!element.isConnected) linked.delete(element);
    return element.isConnected && element !== except && chart.axisName() === axis ? [chart] : [];
  });

/** @type {Map<string, string>} axes besides steps, and their names */
const otherAxes = new Map([
  ["epoch", "epoch"],
  ["time", "training time"],
]);

/**
 * @param {Chart & { title: string }} block
 * @param {readonly Clock[]} clocks
 */
export function chart({ title, format, xLabel, yLabel, series, best, logX, logY, epochs, marks, categories }, clocks) {
  const start = { hidden: [], logX: logX === true, logY: logY === true, range: null, view: null };
  const state = /** @type {State} */ ({ ...start, ...memory.get(`chart ${title}`) });
  const remember = () => memory.set(`chart ${title}`, state);
  const isLinked = series.some(({ clock }) => clock !== undefined);
  const scattered = series.every(({ look }) => look === "points");
  const views = [...new Set(series.flatMap((each) => each.view ?? []))];
  if (!views.includes(state.view ?? "")) state.view = views[0] ?? null;
  const keys = "Left and right move along it, plus and minus zoom, 0 shows all of it.";
  const place = make("div", {
    className: "plot",
    tabIndex: 0,
    role: "application",
    "aria-roledescription": "chart",
    "aria-label": `${title}: ${series.filter(isShown).map(described).join("; ")}. ${keys}`,
  });
  const values = series.map(() => make("span", { className: "value" }));
  const toggles = series.map(toggleOf);
  const legend = make("ul", { className: "legend" }, ...toggles.map((toggle) => make("li", {}, toggle)));
  const readout = make("p", { className: "readout" });

  /** @type {import("uplot") | undefined} */
  let drawn;
  /** @type {number | null} */
  let at = null;
  /** @type {Curve[]} */
  let curves = [];
  let unit = { name: "", seconds: 1 };
  /** @type {string | null} a series that a reader points at in the legend */
  let emphasis = null;

  /** @param {Series} each */
  function isShown(each) {
    return each.view === undefined || each.view === state.view;
  }
  /** @param {Series} each */
  function described({ name, y }) {
    const known = y.filter((value) => value !== null);
    if (known.length === 0) return `${name} has no points`;
    const extreme = best ? y[bestPlace(y, best)] : null;
    return [
      `${name}: first ${shown(known[0], format)}`,
      ...(best ? [`best ${shown(extreme, format)}`] : []),
      `last ${shown(known.at(-1), format)}`,
    ].join(", ");
  }
  /** @param {Series} each @param {number} index */
  function toggleOf({ name, look }, index) {
    const dash = look === "points" ? undefined : dashOf(index);
    const mark = make("i", { className: [look ?? "", dash ? "dashed" : ""].join(" ").trim() });
    mark.style.setProperty("--mark", `var(--series-${colourOf(index)})`);
    if (dash) mark.style.setProperty("--dash", `${dash[0]}px`);
    const label = make("span", { className: "name", textContent: name });
    const toggle = make("button", { type: "button", className: "series" }, mark, label, values[index]);
    toggle.addEventListener("click", () => {
      state.hidden = state.hidden.includes(name)
        ? state.hidden.filter((each) => each !== name)
        : [...state.hidden, name];
      remember();
      draw();
    });
    // Among several, the one that is pointed at stands out.
    const emphasise = (/** @type {string | null} */ chosen) => {
      if (series.length < 3 || chosen === emphasis) return;
      emphasis = chosen;
      draw();
    };
    for (const come of ["mouseenter", "focus"]) toggle.addEventListener(come, () => emphasise(name));
    for (const leave of ["mouseleave", "blur"]) toggle.addEventListener(leave, () => emphasise(null));
    return toggle;
  }
  /** Runs and their groups have colours of their own, however many views there are. @param {number} index */
  function placeOf(index) {
    return series.filter((each, place) => place < index && each.view === series[index]?.view).length;
  }
  /** @param {number} index */
  function colourOf(index) {
    return placeOf(index) % colours;
  }
  /** @param {number} index */
  function dashOf(index) {
    return dashes[Math.floor(placeOf(index) / colours) % dashes.length];
  }

  /** Which axis the page's choice comes to here. */
  function axis() {
    const key = view.axis === "time" ? "seconds" : "epoch";
    const known = series.every(({ clock }) => clock !== undefined && clocks[clock]?.[key] !== undefined);
    return otherAxes.has(view.axis) && known ? { key, name: otherAxes.get(view.axis) ?? "" } : undefined;
  }
  const axisName = () => axis()?.key ?? "step";
  const range = () => (!isLinked ? state.range : view.range?.axis === axisName() ? view.range.ends : null);
  /** @param {[number, number] | null} ends */
  function zoomTo(ends) {
    if (isLinked) {
      view.range = ends && { axis: axisName(), ends };
      memory.set("range", view.range);
      for (const other of others(axisName(), place)) other.draw();
    } else {
      state.range = ends;
      remember();
    }
    draw();
  }
  /** @param {readonly number[]} x @param {Series | undefined} each */
  function onAxis(x, each) {
    const chosen = axis();
    const line = chosen && clocks[each?.clock ?? -1]?.[/** @type {"epoch" | "seconds"} */ (chosen.key)];
    if (!line) return [...x];
    return converted(
      x,
      chosen.key === "seconds" ? { ...line, values: line.values.map((s) => s / unit.seconds) } : line,
    );
  }
  /** A logarithm has no place for zero. @param {number | null} value */
  const onScale = (value) => (value === null || (state.logY && value <= 0) ? null : value);

  /** @param {number | null} index of a place in the drawn data, which the other charts go to as well */
  function point(index) {
    tell(index);
    if (!isLinked) return;
    const x = index === null ? undefined : drawn?.data[0][index];
    view.cursor = x === undefined ? null : { axis: axisName(), x };
    for (const other of others(axisName(), place)) other.follow();
  }
  let following = false;
  /** Goes to where a reader points in another chart, or pointed before this one was drawn again. */
  function follow() {
    if (!drawn) return;
    const place = sharedPlace();
    const x = place === null ? undefined : drawn.data[0][place];
    const left = x === undefined ? -1 : drawn.valToPos(x, "x");
    following = true;
    drawn.setCursor(left >= 0 && left <= drawn.over.clientWidth ? { left, top: 0 } : { left: -10, top: -10 });
    following = false;
    tell(place);
  }
  /** The place in this chart's data that is nearest to where a reader points. */
  const sharedPlace = () => (drawn && view.cursor?.axis === axisName() ? nearest(drawn.data[0], view.cursor.x) : null);
  /** @param {number | null} index of a place in the drawn data */
  function tell(index) {
    at = index;
    const x = index === null ? undefined : drawn?.data[0][index];
    readout.textContent = x === undefined ? "" : placeText(x);
    series.forEach((each, of) => {
      const curve = curves.find(({ at: own }) => own === of);
      const value = x === undefined || !curve ? null : lastUpTo(curve, x, each.look === "points");
      const node = values[of];
      if (node) node.textContent = value === null ? "" : shown(value, format);
    });
  }
  /** @param {number} x */
  function placeText(x) {
    if (categories) return categories[Math.round(x)] ?? "";
    const name = axis() ? `${axis()?.name}` : xLabel;
    const suffix = axis()?.key === "seconds" ? ` ${unit.name}` : "";
    return `${name} ${Number(x.toPrecision(6)).toLocaleString("en", { maximumSignificantDigits: 6 })}${suffix}`;
  }
  const spoken = () =>
    [readout.textContent, ...series.map(({ name }, of) => [name, values[of]?.textContent])]
      .map((part) => (Array.isArray(part) ? (part[1] ? part.join(" ") : "") : part))
      .filter(Boolean)
      .join(", ");

  /** @param {number} place in the data */
  function moveTo(place) {
    if (!drawn) return;
    const x = drawn.data[0];
    const next = Math.max(0, Math.min(x.length - 1, place));
    const value = x[next];
    if (value === undefined) return;
    drawn.setCursor({ left: drawn.valToPos(value, "x"), top: 0 });
    point(next); // of points closer than pixels the cursor finds another
    announce(spoken());
  }
  /** @param {number} factor */
  function zoom(factor) {
    const x = drawn?.data[0];
    const [first, last] = [x?.[0], x?.at(-1)];
    if (!drawn || first === undefined || last === undefined) return;
    const logarithm = state.logX && first > 0;
    const to = (/** @type {number} */ value) => (logarithm ? Math.log(value) : value);
    const from = (/** @type {number} */ value) => (logarithm ? Math.exp(value) : value);
    const before = range() ?? [first, last];
    const inside = at === null ? undefined : x?.[at];
    const centre = inside !== undefined && inside >= before[0] && inside <= before[1] ? to(inside) : undefined;
    const ends = /** @type {[number, number]} */ (before.map(to));
    const next = zoomed(ends, factor, centre ?? (ends[0] + ends[1]) / 2, [to(first), to(last)]);
    const after = /** @type {[number, number] | null} */ (next?.map(from) ?? null);
    zoomTo(after);
    announce(after ? `${title}: ${placeText(after[0])} to ${placeText(after[1])}` : `${title}: all`);
  }
  /** @type {Record<string, () => void>} */
  const moves = {
    ArrowLeft: () => moveTo((at ?? drawn?.data[0].length ?? 0) - 1),
    ArrowRight: () => moveTo((at ?? -1) + 1),
    Home: () => moveTo(0),
    End: () => moveTo(Number.MAX_SAFE_INTEGER),
    "+": () => zoom(1 / 2),
    "=": () => zoom(1 / 2),
    "-": () => zoom(2),
    0: () => zoom(Number.POSITIVE_INFINITY),
    Escape: () => zoom(Number.POSITIVE_INFINITY),
  };
  place.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    move();
  });

  function draw() {
    const chosen = axis();
    unit = timeUnit(
      Math.max(0, ...clocks.map(({ seconds }) => (seconds && chosen ? (seconds.values.at(-1) ?? 0) : 0))),
    );
    curves = series.flatMap((each, of) =>
      isShown(each) && !state.hidden.includes(each.name)
        ? [{ series: each, at: of, x: onAxis(each.x, each), y: each.y.map(onScale) }]
        : [],
    );
    series.forEach((each, of) => {
      const toggle = toggles[of];
      toggle?.setAttribute("aria-pressed", String(!state.hidden.includes(each.name)));
      if (toggle?.parentElement) toggle.parentElement.hidden = !isShown(each);
    });
    log.setAttribute("aria-pressed", String(state.logY));
    const { data, lines, bands } = layersOf(curves);
    const cursor = at === null ? undefined : drawn?.data[0][at];
    const ends = range();
    drawn?.destroy();
    const name = categories
      ? xLabel
      : chosen
        ? `${chosen.name}${chosen.key === "seconds" ? ` (${unit.name})` : ""}`
        : xLabel;
    const plain = {
      stroke: colour("--soft"),
      grid: { stroke: colour("--line"), width: 1 },
      ticks: { stroke: colour("--line") },
      font: "12px system-ui, sans-serif",
      labelFont: "12px system-ui, sans-serif",
      labelSize: 18,
    };
    const numbers = (/** @type {unknown} */ _, /** @type {(number | null)[]} */ ticks) =>
      ticks.map((value) => (value === null ? "" : tick(value, format)));
    drawn = new uPlot(
      {
        width: view.printing ? view.paper : Math.max(240, place.clientWidth),
        height,
        legend: { show: false },
        cursor: { y: false, drag: { x: true, y: false, setScale: false } },
        scales: {
          x: {
            time: false,
            distr: state.logX && logX ? 3 : 1,
            ...(ends || scattered ? { range: (_, low, high) => ends ?? padded(low, high) } : {}),
          },
          y: {
            distr: state.logY ? 3 : 1,
            range: (_, low, high) => (state.logY ? uPlot.rangeLog(low ?? 1, high ?? 10, 10, false) : room(low, high)),
          },
        },
        series: /** @type {import("uplot").Series[]} */ ([{ label: name }, ...lines]),
        bands,
        axes: [
          {
            ...plain,
            label: name,
            size: 34,
            ...(categories ? { splits: () => categories.map((_, place) => place) } : {}),
            ...(isLinked && !chosen ? { incrs: wholeSteps } : {}),
            values: (_, ticks) =>
              categories
                ? ticks.map((place) => shortName(categories[place] ?? ""))
                : ticks.map((value) =>
                    value === null
                      ? ""
                      : Number(value.toPrecision(6)).toLocaleString("en", { maximumSignificantDigits: 6 }),
                  ),
          },
          { ...plain, label: yLabel, size: 62, values: numbers },
        ],
        hooks: {
          // Without a place the library speaks of a chart that has just been drawn: the reader's place stays.
          setCursor: [({ cursor: { idx } }) => (typeof idx === "number" && !following ? point(idx) : undefined)],
          setSelect: [
            (plot) => {
              const { left, width } = plot.select;
              if (width < 4) return;
              zoomTo([plot.posToVal(left, "x"), plot.posToVal(left + width, "x")]);
            },
          ],
          ready: [() => (isLinked ? follow() : undefined)],
          drawAxes: [(plot) => drawEpochs(plot)],
          draw: [(plot) => drawMarks(plot)],
        },
      },
      /** @type {import("uplot").AlignedData} */ (data),
      place,
    );
    reset.hidden = ends === null;
    if (isLinked) return tell(sharedPlace()); // the line follows when the chart is ready
    const found = cursor === undefined ? -1 : drawn.data[0].indexOf(cursor);
    tell(found < 0 ? null : found);
  }
  place.addEventListener("mouseleave", () => point(null));
  place.addEventListener("dblclick", () => zoom(Number.POSITIVE_INFINITY));

  /** Data and lines as the library takes them: of each curve its band's edges, its points, and the smoothed line. */
  function layersOf(/** @type {readonly Curve[]} */ shownCurves) {
    /** @type {import("uplot").Series[]} */
    const lines = [];
    /** @type {import("uplot").Band[]} */
    const bands = [];
    const tables = shownCurves.map(({ series: { name, look, low, high }, at: of, x, y }) => {
      const own = colour(`--series-${colourOf(of)}`);
      const faint = emphasis !== null && emphasis !== name;
      const stroke = faint ? `${own}33` : own;
      const dash = dashOf(of);
      const columns = /** @type {unknown[]} */ ([x, y]);
      const noisy = look === "noisy" && view.smoothing > 0;
      lines.push({
        label: name,
        stroke: noisy ? `${own}${faint ? "14" : "59"}` : stroke,
        ...(dash ? { dash } : {}),
        width: noisy || look === "noisy" ? 1 : 2.4,
        spanGaps: true,
        ...(look === "points" ? { paths: () => null } : {}),
        points: {
          show: look !== "noisy" && y.length <= 30 ? true : y.filter((value) => value !== null).length < 3,
          size: look === "points" ? 9 : 5,
          fill: stroke,
          stroke,
        },
      });
      if (low && high) {
        columns.push(high.map(onScale), low.map(onScale));
        for (const edge of ["high", "low"])
          lines.push({ label: `${name}, ${edge}`, stroke: "transparent", points: { show: false }, spanGaps: true });
        bands.push({ series: [lines.length - 1, lines.length], fill: `${own}${faint ? "0d" : "26"}` });
      }
      if (noisy) {
        columns.push(smoothed(y, view.smoothing));
        lines.push({
          label: `${name}, smoothed`,
          stroke,
          ...(dash ? { dash } : {}),
          width: 1.8,
          spanGaps: true,
          points: { show: false },
        });
      }
      return /** @type {import("uplot").AlignedData} */ (columns);
    });
    return { data: tables.length > 0 ? uPlot.join(tables) : [[]], lines, bands };
  }

  /** @param {import("uplot")} plot @param {number} x @param {(pixel: number, box: { top: number, height: number }) => void} paint */
  function lineAt(plot, x, paint) {
    const { left, top, width, height: tall } = plot.bbox;
    const pixel = plot.valToPos(x, "x", true);
    if (pixel >= left && pixel <= left + width) paint(pixel, { top, height: tall });
  }
  /** @param {import("uplot")} plot */
  function drawEpochs(plot) {
    if (!epochs || epochs.length === 0 || axis()?.key === "epoch") return;
    const { ctx } = plot;
    const ratio = devicePixelRatio;
    const places = onAxis(epochs, series[0]);
    const pixels = places.map((x) => plot.valToPos(x, "x", true));
    ctx.save();
    ctx.strokeStyle = colour("--mark");
    ctx.fillStyle = colour("--soft");
    ctx.font = `${10 * ratio}px system-ui, sans-serif`;
    ctx.textAlign = "right";
    ctx.textBaseline = "top";
    ctx.setLineDash([2 * ratio, 3 * ratio]);
    for (const epoch of spacedOut(pixels, apart * ratio)) {
      lineAt(plot, places[epoch] ?? Number.NaN, (pixel, { top, height: tall }) => {
        ctx.beginPath();
        ctx.moveTo(pixel, top);
        ctx.lineTo(pixel, top + tall);
        ctx.stroke();
        ctx.fillText(`e${epoch + 1}`, pixel - 2 * ratio, top + ratio);
      });
    }
    ctx.restore();
  }
  /** Names at places, and a ring around each curve's best value. @param {import("uplot")} plot */
  function drawMarks(plot) {
    const { ctx } = plot;
    const ratio = devicePixelRatio;
    ctx.save();
    ctx.font = `${12 * ratio}px system-ui, sans-serif`;
    ctx.lineWidth = 1.5 * ratio;
    (marks ?? []).forEach(({ x, name }, line) => {
      lineAt(plot, x, (pixel, { top, height: tall }) => {
        ctx.strokeStyle = ctx.fillStyle = colour(`--series-${1 + (line % 6)}`);
        ctx.textAlign = pixel > plot.bbox.left + plot.bbox.width / 2 ? "right" : "left";
        ctx.beginPath();
        ctx.moveTo(pixel, top);
        ctx.lineTo(pixel, top + tall);
        ctx.stroke();
        ctx.fillText(name, pixel + (ctx.textAlign === "left" ? 5 : -5) * ratio, top + (14 + 16 * line) * ratio);
      });
    });
    for (const { series: each, at: of, x, y } of best ? curves : []) {
      const [place, value] = [bestPlace(y, best ?? "least"), y[bestPlace(y, best ?? "least")]];
      const where = x[place];
      if (each.look === "noisy" || where === undefined || typeof value !== "number") continue;
      lineAt(plot, where, (pixel) => {
        ctx.strokeStyle = colour(`--series-${colourOf(of)}`);
        ctx.beginPath();
        ctx.arc(pixel, plot.valToPos(value, "y", true), 7 * ratio, 0, 2 * Math.PI);
        ctx.stroke();
      });
    }
    ctx.restore();
  }

  const log = button("log", () => ((state.logY = !state.logY), remember(), draw()), {
    className: "small",
    "aria-label": `${title}: logarithmic axis`,
  });
  const reset = button("Reset zoom", () => zoom(Number.POSITIVE_INFINITY), { className: "small" });
  /** @type {Node[]} */
  const tools = [
    reset,
    button("+", () => zoom(1 / 2), { className: "small", "aria-label": `${title}: zoom in` }),
    button("−", () => zoom(2), { className: "small", "aria-label": `${title}: zoom out` }),
    log,
    csvButton(title, () => csv(tableOf(series, xLabel))),
  ];
  if (views.length > 1) {
    const show = choice("Show", views, state.view ?? undefined, (name) => {
      state.view = name;
      remember();
      draw();
    });
    tools.unshift(show);
  }
  if (isLinked) linked.set(place, { axisName, follow, draw });
  const under = make("div", { className: "under" }, readout, legend);
  return { element: make("div", { className: "chart" }, place, under), tools, draw, dispose: () => drawn?.destroy() };
}

/** Room beside single points, which would lie on the frame. @param {number} low @param {number} high @returns {[number, number]} */
function padded(low, high) {
  if (low > 0 && high / low > 20) return [low / 1.5, high * 1.5];
  const room = 0.06 * (high - low) || 0.1 * Math.abs(high) || 1;
  return [low - room, high + room];
}

/** A scale's ends; of no values, as where a zoom leaves none of them, from 0 to 1. @param {number | null} low @param {number | null} high @returns {import("uplot").Range.MinMax} */
const room = (low, high) => (low === null || high === null ? [0, 1] : uPlot.rangeNum(low, high, 0.1, true));

/** @param {string} name */
const shortName = (name) => (name.length > 18 ? `${name.slice(0, 17)}…` : name);

/**
 * @param {Curve} curve
 * @param {number} upTo
 * @param {boolean} exact whether only the place itself counts
 * @returns {number | null} the value at the last known place
 */
function lastUpTo({ x, y }, upTo, exact) {
  for (let at = x.length - 1; at >= 0; at--) {
    const [place, value] = [x[at], y[at]];
    if (place === undefined || place > upTo) continue;
    if (exact && place < upTo) return null;
    if (value !== null && value !== undefined) return value;
  }
  return null;
}

/**
 * A row for each value of each series: runs have steps of their own.
 *
 * @param {readonly Series[]} series
 * @param {string} xLabel
 * @returns {(string | number | null)[][]}
 */
export function tableOf(series, xLabel) {
  const banded = series.some(({ low, high }) => low && high);
  const head = ["series", xLabel, "value", ...(banded ? ["low", "high"] : [])];
  const rows = series.flatMap(({ name, x, y, low, high }) =>
    x.map((place, at) => [name, place, y[at] ?? null, ...(banded ? [low?.[at] ?? null, high?.[at] ?? null] : [])]),
  );
  return [head, ...rows];
}
