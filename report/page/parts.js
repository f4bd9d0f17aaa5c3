// @ts-check
/** Bringing a page that is open to another content: what has not changed stays the element that it was. */

/**
 * @typedef {{ key: string, text: string, make: () => HTMLElement, element?: HTMLElement }} Wanted
 *   `text`: all that the element is made from
 */

/** @type {WeakMap<Element, { key: string, text: string }>} */
const made = new WeakMap();

/**
 * Creates the wanted elements that are new or have changed, so that they can be loaded before they are shown.
 *
 * @param {Element} parent
 * @param {readonly Wanted[]} wanted keys occur once
 * @returns {Wanted[]} those, with their elements
 */
export function createChanged(parent, wanted) {
  const there = new Map(Array.from(parent.children, (child) => [made.get(child)?.key, child]));
  return wanted.filter((each) => {
    const old = there.get(each.key);
    each.element = old && made.get(old)?.text === each.text ? /** @type {HTMLElement} */ (old) : each.make();
    made.set(each.element, { key: each.key, text: each.text });
    return each.element !== old;
  });
}

/**
 * Puts wanted elements into their parent, in their order. An element that stays is not moved, so that it keeps focus,
 * selection and scroll position; one that takes the place of another takes its focus too.
 *
 * @param {Element} parent
 * @param {readonly Wanted[]} wanted after `createChanged`
 * @param {(removed: Element) => void} onRemove called before an element goes
 */
export function place(parent, wanted, onRemove) {
  const focus = focusIn(parent);
  const stays = new Set(wanted.map(({ element }) => element));
  for (const child of Array.from(parent.children)) {
    if (stays.has(/** @type {HTMLElement} */ (child))) continue;
    const next = wanted.find(({ key, element }) => key === made.get(child)?.key && !element?.isConnected);
    onRemove(child);
    if (next?.element) child.replaceWith(next.element);
    else child.remove();
  }
  let position = parent.firstElementChild;
  for (const { element } of wanted) {
    if (!element) continue;
    if (element === position) position = position.nextElementSibling;
    else parent.insertBefore(element, position);
  }
  focus();
}

const focusable = "a, button, select, input, summary, [tabindex]";

/**
 * @param {Element} parent
 * @returns {() => void} gives the focus to what has taken the place of the element that has it now
 */
function focusIn(parent) {
  const active = document.activeElement;
  const child = active && Array.from(parent.children).find((each) => each.contains(active));
  const key = child && made.get(child)?.key;
  if (!active || !child || key === undefined) return () => {};
  const at = Array.from(child.querySelectorAll(focusable)).indexOf(active);
  return () => {
    if (active.isConnected) return;
    const next = Array.from(parent.children).find((each) => made.get(each)?.key === key);
    const node = next?.querySelectorAll(focusable)[at];
    if (node instanceof HTMLElement) node.focus({ preventScroll: true });
  };
}
