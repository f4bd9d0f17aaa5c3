/**
 * Counter-based random streams: a draw is a pure function of (seed, name, keys, position).
 *
 * Nothing is carried from step to step, so resuming needs no random state, switching one plugin on moves no other
 * plugin's draws, and samples may be prepared in any order. The generator is Philox4x32-10 (Salmon et al. 2011,
 * "Parallel random numbers: as easy as 1, 2, 3"); tests hold it against the published vectors.
 */

/** A sequence of draws. Two streams with the same key give the same sequence. */
export interface Stream {
  /** 32 random bits. */
  uint32(): number;
  /** Uniform in [0, 1), with 32 bits. */
  uniform(): number;
  /** Uniform in [low, high). */
  range(low: number, high: number): number;
  /** Uniform integer in [0, n). */
  int(n: number): number;
  /** True with the given probability; never at 0, always at 1. */
  chance(probability: number): boolean;
  /** Standard normal (Box-Muller). */
  normal(): number;
  /** Beta(a, b) through two gammas (Marsaglia and Tsang 2000). */
  beta(a: number, b: number): number;
  /** A random order of 0 … n - 1 (Fisher-Yates). */
  permutation(n: number): Int32Array;
}

/**
 * The stream of a name under a seed and up to three integer keys (epoch, sample, step…).
 *
 * @param seed unsigned 32-bit integer
 * @param name who draws: a plugin, "loader", a parameter's name
 * @param keys up to three unsigned 32-bit integers
 */
export function stream(seed: number, name: string, ...keys: [number?, number?, number?]): Stream {
  const key0 = seed >>> 0;
  const key1 = hashName(name);
  const [a = 0, b = 0, c = 0] = keys;
  let [second, third, fourth] = [0, 0, 0]; // of a block of four; a stream is made for each image, and arrays cost
  let counter = 0;
  let used = 4;

  function uint32(): number {
    if (used === 1) return (used++, second);
    if (used === 2) return (used++, third);
    if (used === 3) return (used++, fourth);
    philox(block, counter++, a, b, c, key0, key1);
    second = block[1]!;
    third = block[2]!;
    fourth = block[3]!;
    used = 1;
    return block[0]!;
  }
  const uniform = (): number => uint32() / 2 ** 32;
  // Lemire-style scaling: the bias is below n / 2^32, far under anything a training run can show.
  const int = (n: number): number => Math.floor(uniform() * n);
  function normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
    return radius * Math.cos(2 * Math.PI * uniform());
  }
  function gamma(shape: number): number {
    if (shape < 1) return gamma(shape + 1) * (1 - uniform()) ** (1 / shape);
    const d = shape - 1 / 3;
    const scale = 1 / Math.sqrt(9 * d);
    for (;;) {
      const x = normal();
      const v = (1 + scale * x) ** 3;
      if (v > 0 && Math.log(1 - uniform()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
    }
  }
  return {
    uint32,
    uniform,
    range: (low, high) => low + (high - low) * uniform(),
    int,
    chance: (probability) => uniform() < probability,
    normal,
    beta(first, second) {
      const x = gamma(first);
      const y = gamma(second);
      // Both underflow to zero for tiny shapes; the limit of Beta(a, a) at a -> 0 is a fair coin.
      return x + y > 0 ? x / (x + y) : Number(uniform() < 0.5);
    },
    permutation(n) {
      const order = Int32Array.from({ length: n }, (_, index) => index);
      for (let last = n - 1; last > 0; last--) {
        const other = int(last + 1);
        const kept = order[last]!;
        order[last] = order[other]!;
        order[other] = kept;
      }
      return order;
    },
  };
}

/** What `philox` writes to, read at once. */
const block = new Uint32Array(4);

/** FNV-1a over UTF-16 units, then a finaliser so that short names differ in every bit. */
export function hashName(name: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < name.length; index++) {
    hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** One block of Philox4x32-10: writes four words to `out`. */
export function philox(out: Uint32Array, c0: number, c1: number, c2: number, c3: number, k0: number, k1: number): void {
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(0xd2511f53, c0);
    const low0 = Math.imul(0xd2511f53, c0);
    const high1 = multiplyHigh(0xcd9e8d57, c2);
    const low1 = Math.imul(0xcd9e8d57, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + 0x9e3779b9) | 0;
    k1 = (k1 + 0xbb67ae85) | 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** The upper 32 bits of an unsigned 32 x 32 product, from 16-bit halves. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const cross = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(cross / 65536)) | 0;
}
