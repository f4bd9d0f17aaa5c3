// @ts-check
import { keep, make } from "./dom.js";
import { duration } from "./format.js";

/** @import { Live } from "../blocks.js" */

/** News older than so many reloads, and than so many seconds: the process may be gone. */
const [silentReloads, silentSeconds] = [8, 300];

/**
 * A run under way: how far it is, and a switch for loading the page again.
 *
 * @param {Live} live
 */
export function liveBar({ reload, written, done, total, secondsLeft, checkpoint }) {
  /** @type {boolean} */
  let on = keep("live", () => on) !== false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const toggle = make("button", { type: "button", role: "switch", className: "switch" }, make("i"), "Live");
  toggle.title = `Loads this page again every ${reload} s`;
  function show() {
    toggle.setAttribute("aria-checked", String(on));
    clearTimeout(timer);
    if (on) timer = setTimeout(() => location.reload(), 1000 * reload);
  }
  toggle.addEventListener("click", () => {
    on = !on;
    show();
  });
  show();
  const parts = [
    total === undefined
      ? `step ${done.toLocaleString("en")}`
      : `step ${done.toLocaleString("en")} of ${total.toLocaleString("en")}`,
    ...(secondsLeft === undefined ? [] : [`about ${duration(secondsLeft)} of training left`]),
    checkpoint === undefined ? "no checkpoint yet" : `last checkpoint: step ${checkpoint.toLocaleString("en")}`,
  ];
  const bar = total === undefined ? null : make("progress", { max: total, value: done, "aria-label": "progress" });
  const age = (Date.now() - written) / 1000;
  const silent = age > Math.max(silentSeconds, silentReloads * reload);
  const warning = silent
    ? make("p", {
        className: "stale",
        textContent: `This page was written ${duration(age)} ago. If the run is no longer alive, write it again: trainer report RUN.`,
      })
    : null;
  return make("div", { className: "live" }, toggle, bar, make("span", { textContent: parts.join(" · ") }), warning);
}
