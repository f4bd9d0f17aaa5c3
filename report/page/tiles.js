// @ts-check
import { make } from "./dom.js";
import { counted, formats, isMeasured, shown, spreadText, tick } from "./format.js";

/** @import { Block } from "../blocks.js" */

/** An end of an interval, which has little room. @param {number} value @param {import("../blocks.js").Format} format */
const short = (value, format) =>
  format === "percent" ? tick(Number(value.toFixed(3)), format) : formats[format](value);

/** @param {Extract<Block, { kind: "tiles" }>} block */
export function tiles({ items }) {
  return make(
    "dl",
    { className: "tiles" },
    ...items.map(({ label, value, format, note }) => {
      const { low, high, deviation, count } = isMeasured(value) ? value : {};
      const seeds = count === undefined ? "" : ` over ${counted(count, "seed")}`;
      const spread =
        deviation === undefined ? [] : [make("dd", { textContent: `± ${spreadText(deviation, format)}${seeds}` })];
      const reach =
        low === undefined || high === undefined
          ? []
          : [
              make("dd", {
                className: "reach",
                textContent: `95 %: ${short(low, format).replace(" %", "")}–${short(high, format)}`,
              }),
            ];
      return make(
        "div",
        { className: "tile" },
        make("dt", { textContent: label }),
        make("dd", { className: "large", textContent: shown(isMeasured(value) ? value.value : value, format) }),
        ...spread,
        ...reach,
        ...(note === undefined ? [] : [make("dd", { textContent: note })]),
      );
    }),
  );
}

/** @param {Extract<Block, { kind: "images" }>} block */
export function images({ items, colours }) {
  const figures = items.map(({ src, lines, correct }) => {
    const [first, ...others] = lines;
    const verdict = correct === undefined ? "" : correct ? "correct" : "wrong";
    const caption = make(
      "figcaption",
      {},
      make("strong", { textContent: first ?? "" }),
      ...others.map((line) => make("span", { textContent: line })),
    );
    const text = [verdict, ...lines].filter((line) => line !== "").join("; ");
    return make("figure", { className: verdict }, sharp(make("img", { src, alt: text })), caption);
  });
  return make("div", {}, make("div", { className: "images" }, ...figures), colours ? colourMap(colours) : null);
}

/** Enlarged pixels stay squares, those of photographs are blended. @param {HTMLImageElement} image */
function sharp(image) {
  image.addEventListener("load", () => image.classList.toggle("pixels", image.naturalHeight < 128));
  return image;
}

/** @param {readonly string[]} colours from 0 to 1 */
function colourMap(colours) {
  const bar = make("i");
  bar.style.background = `linear-gradient(to right, ${colours.join(", ")})`;
  return make("p", { className: "map" }, "Grad-CAM: no evidence for the class ", bar, " most evidence");
}

/** @param {Extract<Block, { kind: "strip" }>} block */
export function strip({ title, src, columns }) {
  return make(
    "div",
    { className: "strip", role: "img", "aria-label": title },
    ...Array.from({ length: columns }, (_, at) => {
      const image = make("img", { src, alt: "" });
      image.style.width = `${100 * columns}%`;
      image.style.marginLeft = `${-100 * at}%`;
      return make("span", {}, image);
    }),
  );
}

/** @param {Extract<Block, { kind: "facts" }>} block */
export function facts({ rows }) {
  return make(
    "dl",
    { className: "facts" },
    ...rows.flatMap(([label, value]) => [make("dt", { textContent: label }), make("dd", { textContent: value })]),
  );
}
