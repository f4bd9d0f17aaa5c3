// @ts-check
/** Bringing a page that is open to another content: what has not changed stays the element that it was. */

/**
 * @typedef {{ key: string, text: string, make: () => HTMLElement, element?: HTMLElement }} Wanted
 *   `text`: all that the element is made from
 */

/** @type {WeakMap<Element, { key: string, text: string }>} */
const made = new WeakMap();

/**
 * Makes what is new among the wanted elements, so that it can be loaded before it is shown.
 *
 * @param {Element} parent
 * @param {readonly Wanted[]} wanted keys occur once
 * @returns {Wanted[]} the new ones, with their elements
 */
export function makeNew(parent, wanted) {
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
 * @param {readonly Wanted[]} wanted after `makeNew`
 * @param {(gone: Element) => void} remove
 */
export function put(parent, wanted, remove) {
  const focus = focusIn(parent);
  const stays = new Set(wanted.map(({ element }) => element));
  for (const child of Array.from(parent.children)) {
    if (stays.has(/** @type {HTMLElement} */ (child))) continue;
    const next = wanted.find(({ key, element }) => key === made.get(child)?.key && !element?.isConnected);
    remove(child);
    if (next?.element) child.replaceWith(next.element);
    else child.remove();
  }
  let place = parent.firstElementChild;
  for (const { element } of wanted) {
    if (!element) continue;
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
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
