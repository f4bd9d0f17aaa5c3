/** Eigenvectors of a symmetric matrix by Jacobi's rotations: exact enough and short for the few rows of a patch. */

export interface Eigen {
  /** Descending. */
  readonly values: readonly number[];
  /** One unit vector for each value. */
  readonly vectors: readonly (readonly number[])[];
}

/**
 * @param matrix symmetric, [size][size]
 * @source Golub and Van Loan, Matrix Computations, section 8.5 (cyclic Jacobi)
 */
export function symmetricEigen(matrix: readonly (readonly number[])[]): Eigen {
  const size = matrix.length;
  const a = matrix.map((row) => [...row]);
  const v = matrix.map((_, row) => matrix.map((_, column) => Number(row === column)));
  const scale = Math.hypot(...a.flat()) || 1;
  for (let sweep = 0; sweep < 100; sweep++) {
    const off = Math.hypot(...a.flatMap((row, i) => row.filter((_, j) => i !== j)));
    if (off <= 1e-15 * scale) break;
    for (let p = 0; p < size - 1; p++) {
      for (let q = p + 1; q < size; q++) rotate(a, v, p, q);
    }
  }
  const order = [...a.keys()].sort((i, j) => a[j]![j]! - a[i]![i]!);
  return { values: order.map((i) => a[i]![i]!), vectors: order.map((i) => v.map((row) => row[i]!)) };
}

/** The rotation in the plane of p and q that makes a[p][q] zero. */
function rotate(a: number[][], v: number[][], p: number, q: number): void {
  const apq = a[p]![q]!;
  if (apq === 0) return;
  const tau = (a[q]![q]! - a[p]![p]!) / (2 * apq);
  const t = Math.sign(tau || 1) / (Math.abs(tau) + Math.hypot(1, tau));
  const c = 1 / Math.hypot(1, t);
  const s = t * c;
  const turn = (matrix: number[][], i: number, j: number, k: number, l: number): void => {
    const [x, y] = [matrix[i]![j]!, matrix[k]![l]!];
    matrix[i]![j] = c * x - s * y;
    matrix[k]![l] = s * x + c * y;
  };
  for (let row = 0; row < a.length; row++) turn(a, row, p, row, q);
  for (let column = 0; column < a.length; column++) turn(a, p, column, q, column);
  for (let row = 0; row < a.length; row++) turn(v, row, p, row, q);
}
