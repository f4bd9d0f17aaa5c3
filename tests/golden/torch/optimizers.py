"""Ten steps of each optimizer on fixed gradients, two parameter groups of different rates: optimizers.json."""

import torch

from common import versions, write_json

import timm.optim  # after common, which lets timm load

STEPS = 10
# The rate jumps, as it does at a restart: there, forms of momentum that agree at a constant rate part.
RATES = [0.1, 0.09, 0.07, 0.05, 0.02, 0.1, 0.09, 0.07, 0.05, 0.02]
START = {"body": [1.0, -0.5, 0.25, 2.0], "head": [-1.5, 0.125, 3.0]}
# The last element of each has gradients near AdamW's epsilon, where a misplaced epsilon shows.
SCALE = {"body": [1.0, 0.1, 1e-3, 1e-8], "head": [2.0, 0.5, 1e-7]}
FACTOR = {"body": 0.1, "head": 1.0}

SGD = {"momentum": 0.0, "nesterov": False}
LION = {"beta1": 0.9, "beta2": 0.99}
ADAMW = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
NO_DECAY, DECAY = {"body": 0.0, "head": 0.0}, {"body": 0.05, "head": 0.0}
CASES = [
    ("sgd", "sgd", SGD, NO_DECAY),
    ("sgd with decay", "sgd", SGD, DECAY),
    ("momentum", "sgd", {"momentum": 0.9, "nesterov": False}, NO_DECAY),
    ("momentum with decay", "sgd", {"momentum": 0.9, "nesterov": False}, DECAY),
    ("nesterov", "sgd", {"momentum": 0.9, "nesterov": True}, NO_DECAY),
    ("nesterov with decay", "sgd", {"momentum": 0.9, "nesterov": True}, DECAY),
    ("adam", "adamw", ADAMW, NO_DECAY),
    ("adamw", "adamw", ADAMW, DECAY),
    ("adamw with other constants", "adamw", {"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3}, DECAY),
    ("lion", "lion", LION, NO_DECAY),
    ("lion with decay", "lion", {"beta1": 0.95, "beta2": 0.98}, DECAY),
]


def gradients():
    generator = torch.Generator().manual_seed(2)
    return {
        name: torch.randn(STEPS, len(scale), generator=generator) * torch.tensor(scale)
        for name, scale in SCALE.items()
    }


def run(optimizer, options, decay, fixed, dtype):
    parameters = {k: torch.tensor(v, dtype=dtype, requires_grad=True) for k, v in START.items()}
    groups = [{"params": [p], "weight_decay": decay[k], "name": k} for k, p in parameters.items()]
    if optimizer == "sgd":
        update = torch.optim.SGD(groups, lr=0.1, momentum=options["momentum"], nesterov=options["nesterov"])
    elif optimizer == "lion":
        update = timm.optim.Lion(groups, lr=0.1, betas=(options["beta1"], options["beta2"]))
    else:
        update = torch.optim.AdamW(
            groups, lr=0.1, betas=(options["beta1"], options["beta2"]), eps=options["epsilon"]
        )
    after = {k: [] for k in parameters}
    for step in range(STEPS):
        for group in update.param_groups:
            group["lr"] = RATES[step] * FACTOR[group["name"]]
        for name, p in parameters.items():
            p.grad = fixed[name][step].to(dtype)
        update.step()
        for name, p in parameters.items():
            after[name].append(p.detach().clone())
    return after


def main():
    fixed = gradients()
    cases = []
    for name, optimizer, options, decay in CASES:
        after = {str(t).split(".")[1]: run(optimizer, options, decay, fixed, t) for t in (torch.float64, torch.float32)}
        cases.append({"name": name, "optimizer": optimizer, "options": options, "weightDecay": decay, "after": after})
    write_json("optimizers.json", {
        "versions": versions(),
        "learningRates": RATES,
        "rateFactor": FACTOR,
        "start": START,
        "gradients": fixed,
        "cases": cases,
    })


if __name__ == "__main__":
    main()
