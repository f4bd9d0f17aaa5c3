/**
 * Confident learning (Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels"): which labels
 * contradict probabilities that were computed without them. It is what cleanlab's `find_label_issues` does with
 * `filter_by="prune_by_noise_rate"`, and its scores are `get_label_quality_scores`: tests hold both against it.
 */
import { roundHalfEven } from "../round.js";

export interface LabelledOutputs {
  /** [images, classes] row by row; each row by a model that was not trained on its image. */
  readonly probabilities: ArrayLike<number>;
  /** [images] */
  readonly labels: ArrayLike<number>;
  readonly classes: number;
}

export interface LabelDoubts {
  /** Images with a doubted label, the least credible first. */
  readonly doubted: Int32Array;
  /** [images] The probability of the given label (self-confidence), from 0 to 1: low for a label in doubt. */
  readonly quality: Float64Array;
  /** [images] The most probable class. */
  readonly suggested: Int32Array;
  /** [classes, classes] How many images of a given label (row) are of a class (column): estimated, whole numbers. */
  readonly joint: readonly Int32Array[];
}

/** Slack of comparisons, as cleanlab has it. */
const slack = 1e-6;

export function doubtedLabels(outputs: LabelledOutputs): LabelDoubts {
  const { probabilities, labels, classes } = outputs;
  const count = labels.length;
  const at = (row: number, column: number): number => probabilities[row * classes + column]!;
  const suggested = Int32Array.from({ length: count }, (_, row) => largest(classes, (column) => at(row, column)));
  const quality = Float64Array.from({ length: count }, (_, row) => at(row, labels[row]!));
  if (count === 0) return { doubted: new Int32Array(), quality, suggested, joint: [] };
  const joint = calibrated(confidentJoint(outputs, suggested), labels);
  const wrong = keepOneOfEach(joint);

  const doubted = new Set<number>();
  for (let given = 0; given < classes; given++) {
    const own = rowsOf(labels, given);
    if (own.length < 2) continue; // the last image of a class stays
    for (let other = 0; other < classes; other++) {
      if (other === given || wrong[given]![other] === 0) continue;
      const margin = (row: number): number => at(row, other) - at(row, given);
      const ranked = [...own].sort((a, b) => margin(b) - margin(a));
      for (const row of ranked.slice(0, wrong[given]![other])) doubted.add(row);
    }
  }
  // A label that the model gives too is in no doubt.
  const kept = [...doubted].filter((row) => {
    return largest(classes, (column) => at(row, column) + (column === labels[row] ? slack : 0)) !== labels[row];
  });
  return {
    doubted: Int32Array.from(kept.sort((a, b) => quality[a]! - quality[b]! || a - b)),
    quality,
    suggested,
    joint,
  };
}

/** The place of the largest value, the first of equal ones. */
function largest(length: number, value: (place: number) => number): number {
  let best = 0;
  for (let place = 1; place < length; place++) if (value(place) > value(best)) best = place;
  return best;
}

function rowsOf(labels: ArrayLike<number>, label: number): number[] {
  const rows: number[] = [];
  for (let row = 0; row < labels.length; row++) if (labels[row] === label) rows.push(row);
  return rows;
}

/**
 * Section 3.1 of the paper: an image counts for a class where its probability reaches the class's threshold, the mean
 * probability of that class over the images labelled so. Of several such classes the most probable one counts.
 */
function confidentJoint({ probabilities, labels, classes }: LabelledOutputs, suggested: Int32Array): Float64Array[] {
  const thresholds = Float64Array.from({ length: classes }, (_, label) => {
    const rows = rowsOf(labels, label);
    if (rows.length === 0) return 2; // above every probability
    const sum = rows.reduce((all, row) => all + probabilities[row * classes + label]!, 0);
    return Math.max(sum / rows.length, 2 * slack);
  });
  const joint = Array.from({ length: classes }, () => new Float64Array(classes));
  for (let row = 0; row < labels.length; row++) {
    const confident: number[] = [];
    for (let label = 0; label < classes; label++) {
      if (probabilities[row * classes + label]! >= thresholds[label]! - slack) confident.push(label);
    }
    if (confident.length === 0) continue;
    joint[labels[row]!]![confident.length > 1 ? suggested[row]! : confident[0]!]!++;
  }
  for (let label = 0; label < classes; label++) joint[label]![label] = Math.max(joint[label]![label]!, 1);
  return joint;
}

/** Rows that sum to the images of each label, in whole numbers (equation 3 of the paper). */
function calibrated(joint: readonly Float64Array[], labels: ArrayLike<number>): Int32Array[] {
  const rows = joint.map((row, label) => {
    const [images, sum] = [rowsOf(labels, label).length, sumOf(row)];
    return row.map((value) => (value / sum) * images);
  });
  const total = rows.reduce((all, row) => all + sumOf(row), 0);
  return rows.map((row) => rounded(row.map((value) => (value / total) * labels.length)));
}

const sumOf = (values: ArrayLike<number>): number => Array.from(values).reduce((all, value) => all + value, 0);

/** Whole numbers near these, of the same sum: those with the largest error change by one. */
function rounded(values: Float64Array): Int32Array {
  const whole = values.map(roundHalfEven);
  const total = roundHalfEven(sumOf(values));
  for (let missing = total - sumOf(whole); missing !== 0; missing = total - sumOf(whole)) {
    const step = Math.sign(missing);
    const error = (place: number): number => values[place]! - whole[place]!;
    const order = [...whole.keys()].sort((a, b) => step * (error(b) - error(a)) || step * (b - a));
    for (const place of order.slice(0, Math.abs(missing))) whole[place]! += step;
  }
  return Int32Array.from(whole);
}

/** The counts of wrong labels, so that each class keeps an image: what its diagonal lacks is taken from the others of its row. */
function keepOneOfEach(joint: readonly Int32Array[]): Int32Array[] {
  return joint.map((row, label) => {
    const lack = Math.max(row[label]!, 1) - row[label]!;
    const others = Math.max(row.filter((value) => value !== 0).length - 1, 1);
    return row.map((value, other) =>
      other === label ? Math.max(value, 1) : Math.trunc(Math.max(value - lack / others, 0)),
    );
  });
}
