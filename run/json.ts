import { TrainerError } from "../core/errors.js";

/** JSON that keeps what JSON.stringify loses: NaN and infinities become strings instead of null. */
export function toJson(value: unknown, indent?: number): string {
  return JSON.stringify(
    value,
    (_, item: unknown) => (typeof item === "number" && !Number.isFinite(item) ? String(item) : item),
    indent,
  );
}

/**
 * JSON that comes back as it was, negative zero, NaN and infinities included: they become text behind a `#`,
 * which text of that beginning gets doubled. A property that is undefined counts as absent.
 *
 * @param where what the value is called in a message: `meta`
 * @throws TrainerError ERR_INTERNAL with the path of what is no plain data: it would come back as something
 *   else
 */
export function toExactJson(value: unknown, where: string): string {
  return JSON.stringify(encoded(value, where), undefined, 2);
}

/** What `toExactJson` was given. */
export function fromExactJson(text: string): unknown {
  return JSON.parse(text, (_, item: unknown) => {
    if (typeof item !== "string" || !item.startsWith("#")) return item;
    return item.startsWith("##") ? item.slice(1) : Number(item.slice(1));
  });
}

function encoded(value: unknown, where: string): unknown {
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "string") return value.startsWith("#") ? `#${value}` : value;
  if (typeof value === "number") {
    if (Object.is(value, -0)) return "#-0";
    return Number.isFinite(value) ? value : `#${value}`;
  }
  // Not `map`, which leaves holes out.
  if (Array.isArray(value)) return Array.from(value, (item, at) => encoded(item, `${where}[${at}]`));
  const prototype: unknown = typeof value === "object" ? Object.getPrototypeOf(value) : undefined;
  if (prototype !== Object.prototype && prototype !== null) {
    const found = typeof value === "object" ? (value!.constructor?.name ?? "object") : typeof value;
    throw new TrainerError("ERR_INTERNAL", `${where} has type ${found}, and only plain data can be kept.`);
  }
  const present = Object.entries(value as object).filter(([, item]) => item !== undefined);
  return Object.fromEntries(present.map(([key, item]) => [key, encoded(item, `${where}.${key}`)]));
}
