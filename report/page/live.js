// @ts-check
import { keep, make } from "./dom.js";
import { duration } from "./format.js";

/** @import { Live, Page } from "../blocks.js" */

/** News older than so many reloads, and than so many seconds: the process may be gone. */
const [silentReloads, silentSeconds] = [8, 300];

/** Milliseconds to wait for the message of a frame. */
const patience = 20_000;

/** What the address of a frame ends with that is to say what is in its page. */
const asking = "#news-";

/**
 * In a frame the page draws nothing. It gives its content to who knows its key, that is to an earlier page of its run.
 *
 * @param {Page} page
 * @returns {boolean} whether it is such a frame
 */
export function answered(page) {
  if (parent === window || !location.hash.startsWith(asking)) return false;
  if (page.key !== undefined && location.hash === asking + page.key) {
    // Pages of files have no origin that could be named; a page from a server speaks to its own server's alone.
    parent.postMessage(page, location.protocol === "file:" ? "*" : location.origin);
  }
  return true;
}

/**
 * What is in the page's file now.
 *
 * @param {string} key
 * @returns {Promise<Page>} fails where the browser does not load the file into a frame, or it is another run's
 */
function news(key) {
  return new Promise((resolve, fail) => {
    const frame = make("iframe", { hidden: true, title: "news of this run", sandbox: "allow-scripts" });
    const timer = setTimeout(end, patience, () => fail(new Error("The page's file did not answer.")));
    /** @param {() => void} then */
    function end(then) {
      clearTimeout(timer);
      removeEventListener("message", hear);
      frame.remove();
      then();
    }
    /** @param {MessageEvent} event */
    function hear({ source, data }) {
      if (source === frame.contentWindow) end(() => resolve(data));
    }
    addEventListener("message", hear);
    frame.src = location.href.replace(/#.*/s, "") + asking + key;
    document.body.append(frame);
  });
}

/**
 * A run under way: how far it is, and a switch for showing news.
 *
 * @param {Page & { live: Live }} first
 * @param {(page: Page) => Promise<void>} update takes the news; while it runs no more are asked for
 */
export function liveBar(first, update) {
  let page = first;
  /** @type {boolean} */
  let on = keep("live", () => on) !== false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let looking = false;
  const toggle = make("button", { type: "button", role: "switch", className: "switch" }, make("i"), "Live");
  toggle.title = `Shows news of this run every ${first.live.reload} s`;
  const progress = make("progress", { "aria-label": "progress" });
  const text = make("span");
  const stale = make("p", { className: "stale" });
  const element = make("div", { className: "live" }, toggle, progress, text, stale);

  function show() {
    const { reload, written, done, total, secondsLeft, checkpoint } = page.live;
    progress.hidden = total === undefined;
    if (total !== undefined) [progress.max, progress.value] = [total, done];
    text.textContent = [
      total === undefined
        ? `step ${done.toLocaleString("en")}`
        : `step ${done.toLocaleString("en")} of ${total.toLocaleString("en")}`,
      ...(secondsLeft === undefined ? [] : [`about ${duration(secondsLeft)} of training left`]),
      checkpoint === undefined ? "no checkpoint yet" : `last checkpoint: step ${checkpoint.toLocaleString("en")}`,
    ].join(" · ");
    const age = (Date.now() - written) / 1000;
    stale.hidden = age <= Math.max(silentSeconds, silentReloads * reload);
    stale.textContent = stale.hidden
      ? ""
      : `This page was written ${duration(age)} ago. If the run is no longer alive, write it again: trainer report RUN.`;
  }
  function wait() {
    toggle.setAttribute("aria-checked", String(on));
    clearTimeout(timer);
    if (on) timer = setTimeout(look, 1000 * page.live.reload);
  }
  async function look() {
    // Nobody sees a hidden tab, and under a pressed mouse nothing should go away.
    if (document.hidden || document.querySelector("main section:active")) return wait();
    if (looking) return;
    looking = true;
    try {
      if (page.key === undefined) throw new Error("A page of an earlier version.");
      const next = await news(page.key);
      if (!on) return;
      await update(next);
      if (!next.live) return element.remove();
      page = { ...next, live: next.live };
      show();
      wait();
    } catch {
      location.reload(); // the way that every browser has
    } finally {
      looking = false;
    }
  }
  toggle.addEventListener("click", () => {
    on = !on;
    wait();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && on && element.isConnected) look();
  });
  show();
  wait();
  return element;
}
