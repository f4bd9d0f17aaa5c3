/** Text, JSON and a content policy inside of an HTML page or an SVG image. */
import { createHash } from "node:crypto";

/** A script or style in a content policy: by its SHA-256. */
export const hashOf = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

/** Text inside of an element or an attribute, of HTML, SVG or XML. */
export const escapeText = (text: string): string =>
  text.replaceAll(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);

/** JSON inside a script element: nothing in it can end the element, or be read as a comment. */
export const escapeJson = (json: string): string =>
  json.replaceAll("<", "\\u003c").replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
