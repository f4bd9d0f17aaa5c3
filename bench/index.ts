/** `npm run bench -- NAME …`: runs one benchmark of this folder. */
import { readdirSync } from "node:fs";

const [name, ...rest] = process.argv.slice(2);
const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith(".ts") && file !== "index.ts")
  .map((file) => file.slice(0, -3));
if (!name || !names.includes(name)) {
  console.error(`Which benchmark? There are: ${names.join(", ")}. For example: npm run bench -- ${names[0]}`);
  process.exit(2);
}
process.argv.splice(2, process.argv.length - 2, ...rest);
await import(`./${name}.ts`);
