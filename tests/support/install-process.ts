/** Installs in a process of its own, which a test may kill; prints the log, line by line. */
import { installRecipe } from "../../core/backend/install/install.js";

const { recipe, sources } = JSON.parse(process.argv[2]!) as {
  recipe: Parameters<typeof installRecipe>[0];
  sources: Parameters<typeof installRecipe>[1];
};
await installRecipe(recipe, sources, { log: (line) => process.stdout.write(`${line}\n`) });
