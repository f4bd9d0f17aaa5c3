/** Temperature scaling (Guo et al. 2017): one number that makes a network's probabilities match its accuracy. */
import { TrainerError } from "../errors.js";
import type { Outputs } from "../loop/types.js";

/** The smallest probability that counts; as in the loss. */
const smallest = 1e-38;

/**
 * Probabilities at a temperature: above 1 they are less certain, below 1 more. Their order stays.
 *
 * softmax(logits / T) is p^(1/T), normalised. So the mean over several views can be scaled as one view can.
 *
 * @param probabilities [rows, classes], row by row
 * @param temperature above 0; 1 changes nothing
 */
export function atTemperature(probabilities: Float32Array, classes: number, temperature: number): Float32Array {
  if (temperature === 1) return probabilities;
  const scaled = new Float32Array(probabilities.length);
  const powers = new Float64Array(classes);
  for (let row = 0; row < probabilities.length; row += classes) {
    let largest = 0;
    for (let at = 0; at < classes; at++) largest = Math.max(largest, probabilities[row + at]!);
    let sum = 0;
    for (let at = 0; at < classes; at++) {
      powers[at] = (probabilities[row + at]! / largest) ** (1 / temperature); // the largest is 1: no row sums to 0
      sum += powers[at]!;
    }
    for (let at = 0; at < classes; at++) scaled[row + at] = powers[at]! / sum;
  }
  return scaled;
}

/**
 * The temperature at which the mean loss is least. The loss is convex in 1/T, so its slope has one zero: bisection finds it.
 *
 * @throws TrainerError ERR_DATA where no temperature is best: all images classified correctly, or none of them, or
 *   probabilities that are not numbers
 */
export function bestTemperature({ probabilities, labels }: Outputs, classes: number): number {
  const logs = Float64Array.from(probabilities, (each) => Math.log(Math.max(each, smallest)));
  if (logs.some(Number.isNaN)) throw unfit("its probabilities are not numbers");
  /** d(mean loss)/d(1/T): the mean logit that the network expects, less the true class's. */
  const slope = (inverse: number): number => {
    let sum = 0;
    for (let row = 0; row < labels.length; row++) {
      const own = row * classes;
      let largest = Number.NEGATIVE_INFINITY;
      for (let at = 0; at < classes; at++) largest = Math.max(largest, logs[own + at]!);
      let [weights, expected] = [0, 0];
      for (let at = 0; at < classes; at++) {
        const weight = Math.exp(inverse * (logs[own + at]! - largest));
        weights += weight;
        expected += weight * logs[own + at]!;
      }
      sum += expected / weights - logs[own + labels[row]!]!;
    }
    return sum / labels.length;
  };
  let [low, high] = [1 / 1000, 1000];
  if (slope(high) <= 0) throw unfit("every image is classified correctly, so more certain is always better");
  if (slope(low) >= 0) throw unfit("the network knows no more than chance");
  for (let step = 0; step < 100; step++) {
    const middle = Math.sqrt(low * high);
    if (slope(middle) < 0) low = middle;
    else high = middle;
  }
  return 1 / Math.sqrt(low * high);
}

const unfit = (why: string): TrainerError =>
  new TrainerError(
    "ERR_DATA",
    `No temperature fits these validation images: ${why}. Use more images, or leave it at 1.`,
  );
