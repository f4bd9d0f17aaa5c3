/** Rounds to the nearest whole number; a half goes to the even neighbour, as in Python, NumPy, PyTorch and TensorFlow. */
export function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below;
}
