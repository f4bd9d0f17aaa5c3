/** The page `index.html`: everything is inside of it, and its content policy lets it ask nobody for anything. */
import {
  type Classifier,
  type ClassifierFile,
  createClassifier,
  type ImageInput,
  type OpenModel,
} from "./classifier.js";

const byId = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const shownClasses = 5;

export function startPage(openModel: OpenModel): void {
  start(openModel).catch((error: unknown) => say(`The model cannot be loaded: ${(error as Error).message}`));
}

async function start(openModel: OpenModel): Promise<void> {
  const about = JSON.parse(byId("classifier").textContent!) as ClassifierFile;
  const classifier = createClassifier(about, await openModel(about, inlineFile));
  const work = latestOnly((image: ImageInput) => show(classifier, image));
  const failed = (error: unknown): void => {
    byId("answers").replaceChildren(); // those of the image before
    sayError(error);
  };
  takeFiles((file) => {
    stopCamera();
    work(file).catch((cause: unknown) => {
      const reason = cause instanceof DOMException ? "This file is no image that the browser can read." : cause;
      failed(typeof reason === "string" ? new Error(`${file.name}: ${reason}`) : reason);
    });
  });
  const stopCamera = camera((video) => work(video).catch(failed), sayError);
  document.body.dataset.ready = "";
  say("Ready. Drop an image anywhere on this page.");
}

/** A file of the exported folder as it stands in the page: base64 in a script element that is never run. */
async function inlineFile(name: string): Promise<Uint8Array<ArrayBuffer>> {
  const text = document.querySelector(`script[data-file="${CSS.escape(name)}"]`)!.textContent!;
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let at = 0; at < letters.length; at++) bytes[at] = letters.charCodeAt(at);
  return bytes;
}

const say = (text: string): void => {
  byId("status").textContent = text;
};

const sayError = (error: unknown): void => say((error as Error).message);

async function show(classifier: Classifier, image: ImageInput): Promise<void> {
  const start = performance.now();
  const predictions = await classifier.classify(image, { top: shownClasses });
  const milliseconds = performance.now() - start;
  const rows = predictions.map((each) => {
    const row = document.createElement("li");
    const name = Object.assign(document.createElement("span"), { className: "name", textContent: each.class });
    const text = `${(100 * each.probability).toFixed(1)} %`;
    const share = Object.assign(document.createElement("span"), { className: "share", textContent: text });
    const bar = Object.assign(document.createElement("meter"), { min: 0, max: 1, value: each.probability });
    bar.setAttribute("aria-hidden", "true");
    row.append(name, share, bar);
    return row;
  });
  byId("answers").replaceChildren(...rows);
  say(`${predictions[0]!.class}, ${(100 * predictions[0]!.probability).toFixed(1)} % (${milliseconds.toFixed(0)} ms)`);
  await preview(image, classifier.about.input);
}

/** The square that was classified, large enough to be looked at. */
async function preview(image: ImageInput, { scale, crop }: ClassifierFile["input"]): Promise<void> {
  const canvas = byId<HTMLCanvasElement>("preview");
  const source = image instanceof Blob ? await createImageBitmap(image) : (image as HTMLVideoElement);
  const [width, height] =
    source instanceof HTMLVideoElement ? [source.videoWidth, source.videoHeight] : [source.width, source.height];
  const side = (Math.min(width, height) * crop) / scale;
  const context = canvas.getContext("2d")!;
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(source, (width - side) / 2, (height - side) / 2, side, side, 0, 0, canvas.width, canvas.height);
  byId("drop").classList.add("filled");
  if (source instanceof ImageBitmap) source.close();
}

/** Processes only the last of the items that arrive during work. The promise resolves when its item is done or skipped. */
function latestOnly<T>(work: (item: T) => Promise<void>): (item: T) => Promise<void> {
  let last = 0;
  let running = Promise.resolve();
  return (item) => {
    const own = ++last;
    const mine = running.then(() => (own === last ? work(item) : undefined));
    running = mine.catch(() => {});
    return mine;
  };
}

/** Dropped anywhere, chosen or pasted. */
function takeFiles(take: (file: File) => void): void {
  const first = (files: FileList | undefined | null): void => {
    const file = files?.[0];
    if (file) take(file);
  };
  const input = byId<HTMLInputElement>("file");
  input.addEventListener("change", () => {
    first(input.files);
    input.value = ""; // the same file again is a change too
  });
  addEventListener("paste", (event) => first(event.clipboardData?.files));
  const over = byId("drop").classList;
  addEventListener("dragover", (event) => {
    event.preventDefault();
    over.add("over");
  });
  addEventListener("dragleave", () => over.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    over.remove("over");
    first(event.dataTransfer?.files);
  });
}

/** @returns stops the camera */
function camera(see: (video: HTMLVideoElement) => Promise<void>, failed: (error: unknown) => void): () => void {
  const button = byId<HTMLButtonElement>("camera");
  const video = document.createElement("video");
  Object.assign(video, { muted: true, playsInline: true });
  let stream: MediaStream | undefined;
  const stop = (): void => {
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = undefined;
    button.textContent = "Use the camera";
    button.setAttribute("aria-pressed", "false");
  };
  const start = async (): Promise<void> => {
    if (!navigator.mediaDevices) throw new Error("This browser gives a page of this address no camera.");
    button.disabled = true; // a second click while permission is asked would open the camera twice
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } }).finally(() => {
      button.disabled = false;
    });
    video.srcObject = stream;
    await video.play();
    button.textContent = "Stop the camera";
    button.setAttribute("aria-pressed", "true");
    const frame = async (): Promise<void> => {
      if (!stream) return;
      await see(video);
      requestAnimationFrame(frame);
    };
    await frame();
  };
  button.addEventListener("click", () => {
    if (stream) stop();
    else
      start().catch((cause: unknown) => {
        stop();
        failed(new Error(`No camera: ${(cause as Error).message}`, { cause }));
      });
  });
  return stop;
}
