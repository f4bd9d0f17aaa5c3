"""PyTorch's training step, to run beside ours: Nesterov momentum, smoothed labels, decay of kernels.

    python bench/step.py --network resnet18-64 --batch 128 --threads 2 [--compile] [--bf16]

Prints one JSON line when ready, {"ready": true, ...}, after a warm-up of its own. Then it reads commands, one a line:

    run N     N steps; answers {"seconds": [N numbers], "loss": the last one's, "megabytes": the peak so far}
    quit      as does the end of the input

so that a bench can take turns with it in one sitting, on one machine. A step is what a trainer does: forward,
backward, update, and the loss read back. The batch lies in memory; there is no loader. Without --compile and --bf16
it is eager float32, channels last. --bf16 says nothing on a processor without bfloat16 instructions, where PyTorch
emulates them many times slower; `capability` and `bf16Hardware` in the first line tell.
"""

import argparse
import json
import math
import resource
import sys
import time
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/golden/torch"))
from models import ResNet9, WideResNet, resnet  # noqa: E402

CLASSES, WARM_UP = 100, 3

# Network and size of its pictures; bench/step.ts knows the same ones.
NETWORKS = {
    "resnet18-64": (lambda: resnet(18, CLASSES, 64), 32),
    "resnet18-16": (lambda: resnet(18, CLASSES, 16), 32),
    "resnet9-64": (lambda: ResNet9(CLASSES, 64), 32),
    "wrn-16-4": (lambda: WideResNet(16, 4, CLASSES), 32),
    "resnet50-se": (lambda: resnet(50, CLASSES, 64, "imagenet", True), 224),
}


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", choices=NETWORKS, default="resnet18-64")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--bf16", action="store_true", help="autocast to bfloat16")
    return parser.parse_args()


def build(options):
    torch.manual_seed(0)
    make, size = NETWORKS[options.network]
    model = make().to(memory_format=torch.channels_last).train()
    images = torch.randn(options.batch, 3, size, size).to(memory_format=torch.channels_last)
    labels = torch.randint(CLASSES, (options.batch,))
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    decayed = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": 5e-4}, {"params": others, "weight_decay": 0.0}]
    # One batch over and over: a small rate keeps the loss, and so the arithmetic, an ordinary one.
    optimizer = torch.optim.SGD(groups, lr=0.01, momentum=0.9, nesterov=True)
    forward = torch.compile(model) if options.compile else model

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=options.bf16):
            loss = criterion(forward(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step, sum(p.numel() for p in model.parameters())


def say(value):
    print(json.dumps(value), flush=True)


def timed(step, count):
    seconds, loss = [], None
    for _ in range(count):
        start = time.perf_counter()
        loss = step()
        seconds.append(time.perf_counter() - start)
    # JSON has no NaN; a loss that is none changes no time here.
    return {"seconds": seconds, "loss": loss if math.isfinite(loss) else None, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main():
    options = arguments()
    torch.set_num_threads(options.threads)
    step, parameters = build(options)
    timed(step, WARM_UP)
    say({
        "ready": True,
        "torch": torch.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "bf16Hardware": torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported(),
        "parameters": parameters,
        **vars(options),
    })
    for line in sys.stdin:
        words = line.split()
        if words == ["quit"]:
            return
        if len(words) == 2 and words[0] == "run" and words[1].isdecimal():
            say(timed(step, int(words[1])))
        elif words:
            sys.exit(f"step.py: got {line.strip()!r}, expected \"run N\" or \"quit\"")


if __name__ == "__main__":
    main()
