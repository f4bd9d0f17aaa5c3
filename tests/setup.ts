/** Before any test: the backend, where it is missing. Minutes on a fresh machine, milliseconds afterwards. */
import { findEntry, installBackend } from "../core/backend/install/install.js";
import { findNativeSources } from "../core/backend/install/native-sources.js";
import { recipeFor } from "../core/backend/install/recipe.js";

export default async function setup(): Promise<void> {
  const entry = await findEntry(recipeFor("cpu"), findNativeSources());
  if ("problem" in entry) await installBackend({ log: (line) => console.error(line) });
}
