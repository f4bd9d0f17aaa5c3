"""Writes calibration.json: calibration errors, confusion counts and class figures by torchmetrics and scikit-learn."""
import json
import torch
from sklearn.metrics import precision_recall_fscore_support
from torchmetrics.classification import MulticlassCalibrationError, MulticlassConfusionMatrix

cases = []
for seed, (count, classes, sharpness) in enumerate([(40, 3, 1.0), (200, 10, 3.0), (64, 5, 8.0)]):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, classes, generator=generator) * sharpness
    labels = torch.where(
        torch.rand(count, generator=generator) < 0.6,
        logits.argmax(1),
        torch.randint(classes, (count,), generator=generator),
    )
    probabilities = logits.softmax(1)
    ece = {
        bins: MulticlassCalibrationError(classes, n_bins=bins, norm="l1")(probabilities, labels).item()
        for bins in (5, 10, 15)
    }
    confusion = MulticlassConfusionMatrix(classes)(probabilities, labels)
    precision, recall, _, support = precision_recall_fscore_support(
        labels, probabilities.argmax(1), labels=range(classes), zero_division=0.0
    )
    cases.append(
        {
            "classes": classes,
            "labels": labels.tolist(),
            "probabilities": [round(value, 9) for value in probabilities.flatten().tolist()],
            "ece": ece,
            "confusion": confusion.flatten().tolist(),
            "precision": precision.tolist(),
            "recall": recall.tolist(),
            "support": support.tolist(),
        }
    )
with open("calibration.json", "w") as file:
    json.dump(cases, file)
    file.write("\n")
