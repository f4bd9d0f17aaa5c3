"""How the head of the preset `transfer` does in repeated, stratified five-fold cross-validation of the training images alone.

    python bench/folds.py --data photos --weights tf_efficientnet_lite0.safetensors --rate 3e-3 --smoothing 0.1 --epochs 12

The backbone is frozen, so each image's features are computed once for each view; then a head costs milliseconds. The test folder is
never read. Prints one JSON line: accuracy in per cent on the left-out images, over all folds, on the centre at 224 px, on it and its
mirror image, and at 256 px.
"""

import argparse
import json
import math

from transfer import BATCH, CENTRE, batch_of, centre, random_view, read, torch, use_threads

import timm  # isort: skip
from safetensors.torch import load_file


def fit(views, labels, rows, classes, options, generator):
    """A head, trained on those rows with another view of each image in each epoch."""
    head = torch.nn.Linear(views.shape[-1], classes)
    optimizer = torch.optim.AdamW(head.parameters(), lr=options.rate, weight_decay=0.01)
    steps, step = options.epochs * math.ceil(len(rows) / BATCH), 0
    for _ in range(options.epochs):
        for batch in rows[torch.randperm(len(rows), generator=generator)].split(BATCH):
            view = torch.randint(len(views), (len(batch),), generator=generator)
            optimizer.param_groups[0]["lr"] = options.rate * (1 + math.cos(math.pi * step / steps)) / 2
            loss = torch.nn.functional.cross_entropy(
                head(views[view, batch]), labels[batch], label_smoothing=options.smoothing
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
    return head


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--smoothing", type=float, default=0.1)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--scale", type=float, default=0.35, help="smallest crop, as a share of the image")
    parser.add_argument("--views", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    use_threads(options.threads)
    torch.manual_seed(1)
    generator = torch.Generator().manual_seed(1)
    images, labels, classes = read(options.data, "train")
    model = timm.create_model("tf_efficientnet_lite0").eval()
    model.load_state_dict(load_file(options.weights))

    def features(transform, mirrored=False):
        with torch.no_grad():
            batches = [batch_of([image], transform) for image in images]
            found = [model.forward_features(b.flip(-1) if mirrored else b).mean((2, 3)) for b in batches]
        return torch.cat(found)

    view = random_view(options.scale)
    views = torch.stack([features(view) for _ in range(options.views)])
    plain, mirror, larger = features(CENTRE), features(CENTRE, True), features(centre(256, 0.95))
    right = {"top1": 0, "mirrored": 0, "larger": 0}
    for _ in range(options.repeats):
        fold = torch.empty(len(labels), dtype=torch.long)
        for label in range(len(classes)):
            rows = (labels == label).nonzero().flatten()
            fold[rows[torch.randperm(len(rows), generator=generator)]] = torch.arange(len(rows)) % 5
        for left_out in range(5):
            head = fit(views, labels, (fold != left_out).nonzero().flatten(), len(classes), options, generator)
            held = fold == left_out
            with torch.no_grad():
                answers = {"top1": head(plain), "mirrored": head(plain) + head(mirror), "larger": head(larger)}
            for key, logits in answers.items():
                right[key] += (logits.argmax(1) == labels)[held].sum().item()
    count = options.repeats * len(labels)
    print(json.dumps({key: round(100 * value / count, 2) for key, value in right.items()}))


if __name__ == "__main__":
    main()
