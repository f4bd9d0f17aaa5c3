/** IEEE 754 half precision. */

const single = new Float32Array(1);
const bits = new Uint32Array(single.buffer);

/** The nearest half's 16 bits; ties to even, subnormals kept, infinity for what is too large. */
export function float16Bits(value: number): number {
  single[0] = value;
  const sign = (bits[0]! >>> 16) & 0x8000;
  const magnitude = bits[0]! & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // not a number
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    const units = Math.abs(single[0]!) * 2 ** 24;
    const rounded = Math.round(units);
    return sign | (units % 1 === 0.5 && rounded % 2 === 1 ? rounded - 1 : rounded);
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

/** `from` would hold all numbers a second time, as a list. */
export function toFloat16(values: Float32Array): Uint16Array {
  const halves = new Uint16Array(values.length);
  for (let at = 0; at < values.length; at++) halves[at] = float16Bits(values[at]!);
  return halves;
}
