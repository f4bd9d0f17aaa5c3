/** The entry `fitloop/browser`: a run that `trainer export --to tfjs` or `--to litert` wrote, in a web page of your own. */
import { type Classifier, type ClassifierFile, createClassifier, type OpenModel } from "./classifier.js";

export type { Classifier, ClassifierFile, ImageInput, Prediction } from "./classifier.js";

/**
 * Loads an exported folder: its description, its runtime and its model. Everything comes from that folder.
 *
 * @param url of the folder, absolute or relative to the page: "/models/cats/"
 * @throws Error naming the file that cannot be loaded
 */
export async function loadClassifier(url: string | URL): Promise<Classifier> {
  const page = globalThis.document?.baseURI ?? globalThis.location?.href;
  const folder = new URL(String(url).replace(/(\/?|\/classifier\.json)$/, "/"), page);
  const file = async (name: string): Promise<Uint8Array<ArrayBuffer>> => {
    const place = new URL(name, folder);
    const answer = await fetch(place).catch((cause: unknown) => {
      throw new Error(`${place} cannot be loaded: ${(cause as Error).message}.`, { cause });
    });
    if (!answer.ok) {
      throw new Error(
        `${place} cannot be loaded: expected status 200, got ${answer.status}. ` +
          "Give the address of a folder that trainer export wrote.",
      );
    }
    return new Uint8Array(await answer.arrayBuffer());
  };
  const about = checked(new TextDecoder().decode(await file("classifier.json")), new URL("classifier.json", folder));
  const runtime = new URL("runtime.js", folder).href;
  // Not for bundlers: the runtime lies beside the model.
  const { openModel } = (await import(/* @vite-ignore */ /* webpackIgnore: true */ runtime)) as {
    openModel: OpenModel;
  };
  return createClassifier(about, await openModel(about, file));
}

function checked(text: string, where: URL): ClassifierFile {
  let about: Partial<ClassifierFile> | null = null;
  try {
    about = JSON.parse(text);
  } catch {
    // said below: some servers answer with a page of their own
  }
  if (about?.version === 1 && Array.isArray(about.classes) && about.input) return about as ClassifierFile;
  const got = about?.version === undefined ? "something else" : `version ${about.version}`;
  throw new Error(`${where}: expected a description of version 1 that trainer export wrote, got ${got}.`);
}
