import { loadClassifier } from "fitloop/browser";

const [file, image, status, answers] = ["file", "image", "status", "answers"].map((id) => document.getElementById(id));
const model = await loadClassifier("model/tfjs/").catch((error) => {
  status.textContent = error.message;
  throw error;
});

file.addEventListener("change", async () => {
  const [chosen] = file.files;
  if (!chosen) return;
  const url = URL.createObjectURL(chosen);
  image.src = url;
  try {
    const found = await model.classify(image, { top: 3 });
    answers.replaceChildren(
      ...found.map(({ class: name, probability }) => {
        const row = document.createElement("li");
        row.textContent = `${name}: ${(100 * probability).toFixed(1)} %`;
        return row;
      }),
    );
    status.textContent = "";
  } catch (error) {
    status.textContent = error.message;
  } finally {
    URL.revokeObjectURL(url);
  }
});
status.textContent = `One of ${model.classes.join(", ")}.`;
file.disabled = false;
