// @ts-check
/** What a chart makes of its series before it draws them. */

/**
 * A running exponential average; the weight of what came before the first value is taken out, as Adam does. Gaps stay.
 *
 * @param {readonly (number | null)[]} values
 * @param {number} weight of the past, from 0 (none) to below 1
 */
export function smoothed(values, weight) {
  let [average, share] = [0, 0];
  return values.map((value) => {
    if (value === null) return null;
    average = weight * average + (1 - weight) * value;
    share = weight * share + (1 - weight);
    return average / share;
  });
}

/**
 * @param {import("../blocks.js").Line} line
 * @param {number} step
 * @returns {number} by straight pieces; beyond the ends the nearest piece goes on
 */
export function onLine({ steps, values }, step) {
  let high = steps.findIndex((each) => each >= step);
  if (high < 0) high = steps.length - 1;
  high = Math.max(1, high);
  const [from, to] = [high - 1, high];
  const [x0, x1, y0, y1] = [steps[from], steps[to], values[from], values[to]];
  if (x0 === undefined || x1 === undefined || y0 === undefined || y1 === undefined) return values[0] ?? Number.NaN;
  return x1 === x0 ? y1 : y0 + ((step - x0) / (x1 - x0)) * (y1 - y0);
}

/**
 * @param {readonly number[]} steps rising
 * @param {import("../blocks.js").Line} line
 * @returns {number[]} of each step; strictly rising, since a chart takes equal places for one
 */
export function converted(steps, line) {
  let before = Number.NEGATIVE_INFINITY;
  return steps.map((step) => {
    const value = onLine(line, step);
    before = value > before ? value : before + Math.max(Math.abs(before) * 1e-12, 1e-12);
    return before;
  });
}

/**
 * @param {number} seconds the largest to be shown
 * @returns {{ name: string, seconds: number }} unit of an axis
 */
export function timeUnit(seconds) {
  if (seconds < 180) return { name: "s", seconds: 1 };
  return seconds < 3 * 3600 ? { name: "min", seconds: 60 } : { name: "h", seconds: 3600 };
}

/**
 * @param {readonly (number | null)[]} y
 * @param {"least" | "greatest"} best
 * @returns {number} place of the best value; -1 where there is none
 */
export function bestPlace(y, best) {
  let place = -1;
  y.forEach((value, at) => {
    if (value === null) return;
    const found = place < 0 ? null : (y[place] ?? null);
    if (found === null || (best === "least" ? value < found : value > found)) place = at;
  });
  return place;
}

/**
 * @param {ArrayLike<number>} places rising
 * @param {number} x
 * @returns {number | null} index of the nearest place, the first of two; null where there is none
 */
export function nearest(places, x) {
  let [low, high] = [0, places.length - 1];
  if (high < 0) return null;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((places[middle] ?? 0) < x) low = middle + 1;
    else high = middle;
  }
  return low > 0 && x - (places[low - 1] ?? 0) <= Math.abs((places[low] ?? 0) - x) ? low - 1 : low;
}

/**
 * Some of the places, so that no two are closer than a distance.
 *
 * @param {readonly number[]} pixels rising
 * @param {number} distance
 * @returns {number[]} every k-th of them by its place in the list
 */
export function spacedOut(pixels, distance) {
  if (pixels.length === 0) return [];
  const reach = Math.abs((pixels.at(-1) ?? 0) - (pixels[0] ?? 0));
  const apart = pixels.length > 1 ? reach / (pixels.length - 1) : distance;
  const least = apart > 0 ? Math.ceil(distance / apart) : pixels.length;
  const every = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((each) => each >= least) ?? least;
  return pixels.flatMap((_, at) => ((at + 1) % every === 0 ? [at] : []));
}

/**
 * A range made smaller or larger around a place in it, kept within the whole.
 *
 * @param {readonly [number, number]} range
 * @param {number} factor below 1 to see more of less, infinite for the whole
 * @param {number} centre
 * @param {readonly [number, number]} whole
 * @returns {[number, number] | null} null for the whole
 */
export function zoomed([from, to], factor, centre, whole) {
  if (!Number.isFinite(factor)) return null;
  const low = Math.max(whole[0], centre - factor * (centre - from));
  const high = Math.min(whole[1], centre + factor * (to - centre));
  return low <= whole[0] && high >= whole[1] ? null : [low, high];
}
