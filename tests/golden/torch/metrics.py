"""scikit-learn's macro recall, balanced accuracy and macro F1: metrics.json."""

import json
from pathlib import Path

import numpy
import sklearn
from sklearn.metrics import balanced_accuracy_score, f1_score, recall_score


def describe(name, truth, predicted, classes):
    return {
        "name": name, "classes": classes, "labels": truth, "predicted": predicted,
        "macro-recall": recall_score(truth, predicted, average="macro", zero_division=0),
        "balanced-accuracy": balanced_accuracy_score(truth, predicted),
        "f1": f1_score(truth, predicted, average="macro", zero_division=0),
    }


random = numpy.random.default_rng(7)
truth = random.choice(6, 60, p=[0.4, 0.3, 0.15, 0.1, 0.05, 0.0])
noisy = numpy.where(random.random(60) < 0.6, truth, random.integers(0, 6, 60))
cases = [
    describe("unbalanced, a class without images", truth.tolist(), noisy.tolist(), 6),
    describe("all right", [0, 1, 2, 2], [0, 1, 2, 2], 3),
    describe("all wrong", [0, 1, 2, 2], [1, 2, 0, 0], 3),
    describe("one class predicted", [0, 0, 1, 2], [0, 0, 0, 0], 4),
]
lines = ",\n".join(f"    {json.dumps(case)}" for case in cases)
text = f'{{\n  "versions": {json.dumps({"sklearn": sklearn.__version__})},\n  "cases": [\n{lines}\n  ]\n}}\n'
(Path(__file__).parent / "metrics.json").write_text(text)
