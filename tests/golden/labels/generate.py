"""Writes golden.json: what cleanlab doubts. `pip install cleanlab==2.9.0 numpy`, then `python generate.py`."""
import json
from pathlib import Path

import numpy as np
from cleanlab.count import compute_confident_joint
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores

# images, classes, how sure the model is, share of wrong labels, how unequal the classes are. In none of them are two counts
# equally far from a whole number: there the last bit of a sum decides which of them is rounded up.
CASES = [
    (60, 2, 2.0, 0.1, 1.0),
    (300, 6, 3.0, 0.05, 3.0),
    (200, 10, 1.0, 0.3, 1.0),
    (120, 5, 0.3, 0.2, 8.0),
    (40, 8, 4.0, 0.5, 2.0),
    (31, 4, 0.0, 0.5, 20.0),
    (400, 3, 8.0, 0.02, 50.0),
]


def case(seed, count, classes, sharpness, wrong, unequal):
    rng = np.random.default_rng(seed)
    share = unequal ** -np.linspace(0, 1, classes)
    true = np.concatenate([np.arange(classes), rng.choice(classes, count - classes, p=share / share.sum())])
    flip = rng.random(count) < wrong
    flip[:classes] = False  # every class keeps a label
    labels = np.where(flip, (true + rng.integers(1, classes, count)) % classes, true)
    logits = rng.normal(size=(count, classes)) + sharpness * np.eye(classes)[true]
    probabilities = np.exp(logits - logits.max(1, keepdims=True))
    # Nine digits are what the file has, so cleanlab gets those.
    probabilities = (probabilities / probabilities.sum(1, keepdims=True)).round(9)
    issues = find_label_issues(labels, probabilities, filter_by="prune_by_noise_rate", return_indices_ranked_by="self_confidence", n_jobs=1)
    return {
        "classes": classes,
        "labels": labels.tolist(),
        "probabilities": probabilities.flatten().tolist(),
        "joint": compute_confident_joint(labels, probabilities).tolist(),
        "doubted": issues.tolist(),
        "quality": get_label_quality_scores(labels, probabilities).tolist(),
    }


cases = [case(seed, *each) for seed, each in enumerate(CASES)]
Path(__file__).with_name("golden.json").write_text(json.dumps(cases) + "\n")
print([len(each["doubted"]) for each in cases])
