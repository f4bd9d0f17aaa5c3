// @ts-check
/** Elements, and what a page remembers. Text always goes in as text, never as markup: names may be anything. */

/**
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Record<string, unknown>} [properties] of the element where it has them, otherwise attributes
 * @param {...(Node | string | null | undefined)} children
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function make(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined) continue;
    if (key in node && key !== "role") Reflect.set(node, key, value);
    else node.setAttribute(key, String(value));
  }
  for (const child of children) if (child !== undefined && child !== null) node.append(child);
  return node;
}

/**
 * @param {string} text
 * @param {() => void} act
 * @param {Record<string, unknown>} [properties]
 */
export function button(text, act, properties = {}) {
  const node = make("button", { type: "button", textContent: text, ...properties });
  node.addEventListener("click", act);
  return node;
}

/**
 * A choice of one name from several.
 *
 * @param {string} label
 * @param {readonly string[]} names
 * @param {string | undefined} chosen
 * @param {(name: string) => void} act
 */
export function choice(label, names, chosen, act) {
  const select = make("select", {}, ...names.map((name) => make("option", { value: name, textContent: name })));
  if (chosen !== undefined && names.includes(chosen)) select.value = chosen;
  select.addEventListener("change", () => act(select.value));
  return make("label", { className: "choice" }, `${label} `, select);
}

/** @param {string} name of a custom property in page.css */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** What lasts from one reload to the next; a browser may refuse to store anything. */
export const memory = {
  /** @param {string} key @returns {any} null where nothing is stored */
  get(key) {
    try {
      return JSON.parse(sessionStorage.getItem(`fitloop ${document.title} ${key}`) ?? "null");
    } catch {
      return null;
    }
  },
  /** @param {string} key @param {unknown} value */
  set(key, value) {
    try {
      sessionStorage.setItem(`fitloop ${document.title} ${key}`, JSON.stringify(value));
    } catch {
      // Then the next reload begins as the first did.
    }
  },
};

/**
 * Shared by all parts of the page. `paper`: pixels of a printed page's width, whatever its format. `range`: what the
 * curves of one axis are zoomed to. `cursor`: the place on an axis that a reader points at.
 *
 * @typedef {{ axis: string, ends: [number, number] }} Zoom
 */
export const view = {
  printing: false,
  paper: 640,
  axis: /** @type {string} */ (memoryOf("axis", "step")),
  smoothing: /** @type {number} */ (memoryOf("smoothing", 0.6)),
  range: /** @type {Zoom | null} */ (memoryOf("range", null)),
  cursor: /** @type {{ axis: string, x: number } | null} */ (null),
};

/** @param {string} key @param {unknown} otherwise */
function memoryOf(key, otherwise) {
  return typeof document === "undefined" ? otherwise : (memory.get(key) ?? otherwise);
}

/** @type {Map<Element, () => void>} drawings that need their place to have a size, and again when it or the colours change */
const drawings = new Map();

/**
 * @param {Element} element
 * @param {() => void} draw called once the element is on the page, and whenever the drawing may look different
 */
export const onDraw = (element, draw) => void drawings.set(element, draw);

/** @param {Element} [inside] all of the page, or a part of it */
export const drawAll = (inside = document.body) => {
  for (const [element, draw] of drawings) {
    if (!element.isConnected) drawings.delete(element);
    else if (inside.contains(element)) draw();
  }
};

/** @type {Map<string, () => unknown>} */
const places = new Map();

/**
 * A place that a reader has come to, asked for when the page goes away.
 *
 * @param {string} key
 * @param {() => unknown} read
 * @returns {any} what it was before, or null
 */
export function keep(key, read) {
  places.set(key, read);
  return memory.get(key);
}

export const keepAll = () => {
  for (const [key, read] of places) memory.set(key, read());
};

/**
 * A button that copies a text, and says so.
 *
 * @param {string} what it copies, for its name: "command"
 * @param {() => string} text
 */
export function copyButton(what, text) {
  const node = button("Copy", copy, { className: "small", "aria-label": `Copy ${what}` });
  async function copy() {
    node.textContent = (await copied(text())) ? "Copied" : "Not copied";
    announce(`${what}: ${node.textContent}`);
    setTimeout(() => (node.textContent = "Copy"), 2000);
  }
  return node;
}

/** @param {string} text */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without the permission, or in a frame: the way that came before.
    const area = make("textarea", { value: text, className: "unseen" });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/**
 * A button that saves a text as a file.
 *
 * @param {string} name the file's, without its ending
 * @param {() => string} text
 */
export function csvButton(name, text) {
  return button("CSV", save, { className: "small", "aria-label": `Save ${name} as CSV` });
  function save() {
    const url = URL.createObjectURL(new Blob([text()], { type: "text/csv" }));
    const file = name.replaceAll(/[^\p{L}\p{N}]+/gu, "-").replaceAll(/^-|-$/g, "") || "data";
    make("a", { href: url, download: `${file}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }
}

/** @type {HTMLElement | undefined} */
let speaker;

/** @param {string} text read aloud by a screen reader */
export function announce(text) {
  speaker ??= make("p", { className: "unseen", role: "status" });
  if (!speaker.isConnected) document.body.append(speaker);
  speaker.textContent = text;
}
