/** Schedules with warm restarts, in whole numbers of steps or epochs. */

/**
 * The cycle in which a step or epoch, counted from 0, lies. Cycle i lasts `first` · `factor`^i: T_0 · T_mult^i of Loshchilov
 * and Hutter 2017, section 3. It is found without a logarithm, which is off by one at exact restarts: log 243 to the base 3 is
 * 4.999….
 *
 * @returns the first step or epoch of the cycle, and the cycle's length
 */
export function cycleAt(place: number, first: number, factor: number): { start: number; length: number } {
  let start = 0;
  let length = first;
  while (place >= start + length) {
    start += length;
    length *= factor;
  }
  return { start, length };
}
