"""Torch-Pruning beside the plugin `prune`: a run of `cifar100-small`, half of its multiply-adds, a few epochs.

    python bench/prune.py --data cifar-100-binary.tar.gz --run runs/whole --epochs 3 --seeds 1 2 3
    trainer --preset cifar100-small --epochs 3 --lr 0.05 --set plugins.progressive-resizing.from=1 --seed N \
      --without test-time-augmentation --with finetune --set plugins.finetune.path=runs/whole/weights.safetensors --with prune

The same network, weights, images, optimizer, schedule, views and number of steps. Torch-Pruning removes the channels of the smallest
norm scales (BNScaleImportance), the same share of each layer, as ours does by default, until half of the work is gone. It counts 0.9 %
more work than ours, and leaves 48.7 % of it where ours leaves 47.5 %. Prints a JSON line a seed: top-1 on the test images (one view),
before and after training, multiply-adds and parameters. Needs torch and torch-pruning.
"""

import argparse
import copy
import json
import time

import numpy as np
from cifar100 import evaluate, read, torch, train
from torch_peer import use_threads

import torch_pruning as tp  # isort: skip
from models import resnet
from safetensors.torch import load_file

HELD_OUT = 1000


def pruned(model, share):
    """With the smallest share of each layer's channels gone that leaves at most (1 - share) of the multiply-adds."""
    example = torch.zeros(1, 3, 32, 32)
    whole, _ = tp.utils.count_ops_and_params(model, example)
    for ratio in np.arange(0.02, 0.98, 0.01):
        smaller = copy.deepcopy(model)
        tp.pruner.BNScalePruner(
            smaller, example, importance=tp.importance.BNScaleImportance(), pruning_ratio=float(ratio), ignored_layers=[smaller.fc]
        ).step()
        work, parameters = tp.utils.count_ops_and_params(smaller, example)
        if work <= (1 - share) * whole:
            return smaller, work, parameters, whole
    raise SystemExit("No ratio removes so much.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--run", required=True)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    use_threads(options.threads)
    (images, labels), (tests, wanted) = (read(options.data, split) for split in ("train", "test"))
    whole = resnet(18, 100, options.width).to(memory_format=torch.channels_last)
    stored = {k: v for k, v in load_file(f"{options.run}/weights.safetensors").items() if not k.startswith("activation_range")}
    missing = whole.load_state_dict(stored, strict=False)
    assert not missing.unexpected_keys and all("num_batches" in k for k in missing.missing_keys), missing
    print(json.dumps({"whole": evaluate(whole, tests, wanted)}), flush=True)
    for seed in options.seeds:
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        model, work, parameters, before = pruned(whole, options.share)
        at_first = evaluate(model, tests, wanted)
        kept = torch.randperm(len(images), generator=generator)[HELD_OUT:]
        start = time.process_time()
        train(model, images[kept], labels[kept], options.epochs, options.rate, generator)
        line = {
            "seed": seed,
            "before": at_first,
            "top1": evaluate(model, tests, wanted),
            "multiplyAdds": work,
            "of": before,
            "parameters": parameters,
            "processorSeconds": round(time.process_time() - start),
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
