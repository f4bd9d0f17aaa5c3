"""Training traces of small residual networks, and what deliberately wrong implementations would do to them.

    python resnet_trace.py            writes resnet-trace/
    python resnet_trace.py --search   finds the first well-conditioned seed of each trace, for TRACES

The numbers are those of a float64 run from float32 inputs, so a float32 implementation is off by its own rounding
alone. A ReLU network can turn 1e-6 into 1e-3 within six steps when an activation sits at zero; the seeds are chosen
so that ten draws of noise stay small, and this script refuses to write a trace that does not keep to LIMITS.
"""

import sys
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import nn

from common import normal, relative, versions, write_json, write_tensors
from models import Bottleneck, resnet

NOISE = 1e-6  # of each tensor's root mean square
DRAWS = 10
LIMITS = {"loss": 1e-6, "weights": 1e-5, "statistics": 1e-5, "logits": 1e-5}
CLASSES, EVALUATED, SMOOTHING = 10, 4, 0.1


@dataclass
class Trace:
    name: str
    seed: int
    files: str  # prefix of the files with the starting point, which two traces may share
    depth: int
    width: int
    stem: str
    batch: int
    size: int
    last_scale: float  # centre of the scales of each block's last norm
    optimizer: str
    options: dict
    rates: list


SGD = {"momentum": 0.9, "nesterov": True, "weightDecay": 5e-4}
ADAMW = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weightDecay": 0.01}
TRACES = [
    Trace("resnet18-sgd", 2, "resnet18", 18, 4, "cifar", 8, 16, 0.25, "sgd", SGD,
          [1e-2, 2e-2, 4e-2, 3e-2, 2e-2, 1e-2]),
    Trace("resnet18-adamw", 2, "resnet18", 18, 4, "cifar", 8, 16, 0.25, "adamw", ADAMW,
          [1e-3, 9e-4, 8e-4, 7e-4, 6e-4, 5e-4]),
    Trace("resnet50-sgd", 15, "resnet50", 50, 4, "imagenet", 16, 32, 0.1, "sgd", SGD, [5e-3, 1e-2]),
]


def start(trace):
    """Weights, batches, labels and pictures to evaluate. Scales and offsets of norms are moved off 1 and 0, where
    a mistake could hide; a block's last scale is small, which tames the growth of noise from block to block."""
    generator = torch.Generator().manual_seed(trace.seed)
    state = {}
    for name, value in network(trace).state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if name.endswith("running_mean"):
            state[name] = torch.zeros_like(value)
        elif name.endswith("running_var"):
            state[name] = torch.ones_like(value)
        elif value.dim() == 4:
            fan_out = value.shape[0] * value.shape[2] * value.shape[3]
            state[name] = normal(generator, *value.shape) * (2 / fan_out) ** 0.5
        elif value.dim() == 2:
            state[name] = normal(generator, *value.shape) * value.shape[1] ** -0.5
        else:
            last_norm = name.endswith(f"bn{3 if trace.depth >= 50 else 2}.weight")
            centre = 0.0 if name.endswith(".bias") else trace.last_scale if last_norm else 1.0
            state[name] = centre + normal(generator, *value.shape) * (0.2 * trace.last_scale if last_norm else 0.1)
    steps = len(trace.rates)
    batches = {
        "images": normal(generator, steps, trace.batch, trace.size, trace.size, 3),
        "labels": torch.randint(CLASSES, (steps, trace.batch), generator=generator),
        "evaluationImages": normal(generator, EVALUATED, trace.size, trace.size, 3),
    }
    return {k: v.float().double() for k, v in state.items()}, batches


def network(trace):
    return resnet(trace.depth, CLASSES, trace.width, trace.stem)


def smooth(labels):
    return (1 - SMOOTHING) * F.one_hot(labels, CLASSES) + SMOOTHING / CLASSES


def is_weight(name, parameter):
    """Weights decay; norms and biases do not."""
    return parameter.dim() > 1


@torch.no_grad()
def sgd_step(named, slots, rate, *, momentum, nesterov, weightDecay, decays=is_weight, form="torch"):
    for name, p in named:
        g = p.grad
        decay = weightDecay if decays(name, p) else 0.0
        if form != "decoupled":
            g = g + decay * p
        if form == "rate inside":
            v = slots[name] = momentum * slots.get(name, 0) + rate * g
            p -= rate * g + momentum * v if nesterov else v
            continue
        share = {"dampened": 1 - momentum if name in slots else 1, "average": 1 - momentum}.get(form, 1)
        v = slots[name] = momentum * slots.get(name, 0) + share * g
        if form == "decoupled":
            p *= 1 - rate * decay
        p -= rate * (g + momentum * v if nesterov else v)


@torch.no_grad()
def adamw_step(named, slots, rate, *, beta1, beta2, epsilon, weightDecay, decays=is_weight, form="torch"):
    t = slots["t"] = slots.get("t", 0) + 1
    for name, p in named:
        g = p.grad
        decay = weightDecay if decays(name, p) else 0.0
        if form == "coupled":
            g = g + decay * p
        elif form == "decay without rate":
            p *= 1 - decay
        else:
            p *= 1 - rate * decay
        m, v = slots.get(name, (0, 0))
        m, v = slots[name] = (beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g)
        if form == "no bias correction":
            p -= rate * m / (v.sqrt() + epsilon)
        elif form == "epsilon before correction":
            p -= rate * (1 - beta2**t) ** 0.5 / (1 - beta1**t) * m / (v.sqrt() + epsilon)
        elif form == "epsilon inside root":
            p -= rate / (1 - beta1**t) * m / (v / (1 - beta2**t) + epsilon).sqrt()
        else:
            p -= rate / (1 - beta1**t) * m / ((v / (1 - beta2**t)).sqrt() + epsilon)


STEPS = {"sgd": sgd_step, "adamw": adamw_step}


def torch_optimizer(trace, model):
    weights = [p for n, p in model.named_parameters() if is_weight(n, p)]
    others = [p for n, p in model.named_parameters() if not is_weight(n, p)]
    o = trace.options
    groups = [{"params": weights, "weight_decay": o["weightDecay"]}, {"params": others, "weight_decay": 0.0}]
    if trace.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=0.1, momentum=o["momentum"], nesterov=o["nesterov"])
    return torch.optim.AdamW(groups, lr=0.1, betas=(o["beta1"], o["beta2"]), eps=o["epsilon"])


@dataclass
class Wrong:
    """One mistake: in the network, in the targets, in the rates, or in the optimizer."""

    name: str
    traces: tuple
    edit: object = None
    targets: object = None
    rates: object = None
    options: dict = field(default_factory=dict)


def run(trace, initial, batches, dtype=torch.float64, wrong=None):
    """Losses, states after the first and the last step, and logits of the evaluation pictures. The right path is
    PyTorch's own optimizer and loss; a wrong one goes through the step functions above, which `check_steps` holds
    equal to it."""
    model = network(trace).to(dtype)
    model.load_state_dict({k: v.to(dtype) for k, v in initial.items()}, strict=False)
    rates, named, slots = trace.rates, list(model.named_parameters()), {}
    if wrong:
        if wrong.edit:
            wrong.edit(model)
        rates = wrong.rates(rates) if wrong.rates else rates
    else:
        optimizer = torch_optimizer(trace, model)
    losses, states = [], []
    for step, rate in enumerate(rates):
        logits = model(batches["images"][step].to(dtype).permute(0, 3, 1, 2))
        labels = batches["labels"][step]
        if wrong and wrong.targets:
            loss = -(wrong.targets(labels).to(dtype) * logits.log_softmax(1)).sum(1).mean()
        else:
            loss = F.cross_entropy(logits, smooth(labels).to(dtype))
        model.zero_grad()
        loss.backward()
        if wrong:
            STEPS[trace.optimizer](named, slots, rate, **{**trace.options, **wrong.options})
        else:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
        losses.append(loss.item())
        states.append({k: v.clone() for k, v in model.state_dict().items() if k in initial})
    model.eval()
    with torch.no_grad():
        logits = model(batches["evaluationImages"].to(dtype).permute(0, 3, 1, 2))
    return {"losses": losses, "first": states[0], "last": states[-1], "logits": logits}


def differences(a, b):
    """Relative differences of run a from run b: per loss; per tensor in Euclidean norm, the worst tensor counting."""

    def worst(state, keep):
        return max(relative(a[state][k], b[state][k]) for k in b[state] if keep(k))

    statistics = lambda k: "running" in k  # noqa: E731
    weights = lambda k: "running" not in k  # noqa: E731
    return {
        "firstLoss": abs(a["losses"][0] / b["losses"][0] - 1),
        "loss": max(abs(x / y - 1) for x, y in zip(a["losses"], b["losses"])),
        "firstWeights": worst("first", weights),
        "weights": worst("last", weights),
        "statistics": worst("last", statistics),
        "logits": relative(a["logits"], b["logits"]),
    }


def conditioning(trace, initial, batches, golden, give_up=False):
    """The worst differences over noisy starts, and those of PyTorch's own float32 run."""
    worst = {}
    for draw in range(DRAWS):
        generator = torch.Generator().manual_seed(1000 + draw)
        noisy = {
            k: v if "running" in k else v + NOISE * v.square().mean().sqrt() * normal(generator, *v.shape)
            for k, v in initial.items()
        }
        found = differences(run(trace, noisy, batches), golden)
        worst = {k: max(v, worst.get(k, 0)) for k, v in found.items()}
        if give_up and not kept(worst):
            return worst, None
    return worst, differences(run(trace, initial, batches, torch.float32), golden)


def kept(found):
    return all(found[k] <= limit for k, limit in LIMITS.items())


def check_steps(trace, initial, batches, golden):
    own = differences(run(trace, initial, batches, wrong=Wrong("nothing", ())), golden)
    assert max(own.values()) < 1e-9, f"{trace.name}: own step functions differ from torch.optim: {own}"


# --- the wrong variants


class SameConv(nn.Conv2d):
    """TensorFlow's "same": of an odd number of padded pixels the greater part goes to the end."""

    def forward(self, x):
        return F.conv2d(same(x, self.kernel_size[0], self.stride[0]), self.weight, None, self.stride)


class SamePool(nn.MaxPool2d):
    def forward(self, x):
        return F.max_pool2d(same(x, self.kernel_size, self.stride, float("-inf")), self.kernel_size, self.stride)


def same(x, size, stride, value=0.0):
    total = max((-(-x.shape[2] // stride) - 1) * stride + size - x.shape[2], 0)
    before, after = total // 2, total - total // 2
    return F.pad(x, (before, after, before, after), value=value)


class BiasedVariance(nn.BatchNorm2d):
    """Averages the biased batch variance, as TensorFlow.js does."""

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        biased = x.detach().var((0, 2, 3), unbiased=False)
        biased = (1 - self.momentum) * self.running_var + self.momentum * biased
        y = super().forward(x)
        self.running_var = biased  # not in place: the backward pass checks that the old one did not change
        return y


class EpsilonOutside(nn.BatchNorm2d):
    def forward(self, x):
        if not self.training:
            return super().forward(x)
        super().forward(x)
        mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
        y = (x - mean) / (var.sqrt() + self.eps)
        return y * self.weight[:, None, None] + self.bias[:, None, None]


def becomes(cls, kind, only=lambda m: True):
    """Turns every module of one kind into another in place, weights and all."""

    def edit(model):
        found = [m for m in model.modules() if type(m) is kind and only(m)]
        assert found
        for m in found:
            m.__class__ = cls

    return edit


def norms(**values):
    def edit(model):
        for m in model.modules():
            if isinstance(m, nn.BatchNorm2d):
                for key, value in values.items():
                    setattr(m, key, value)

    return edit


def stride_first(model):
    """The stride on the first 1x1 convolution, as in the 2015 paper, instead of on the 3x3 one."""
    for m in model.modules():
        if isinstance(m, Bottleneck):
            m.conv1.stride, m.conv2.stride = m.conv2.stride, m.conv1.stride


def no_activation_after_add(model):
    for m in model.modules():
        if hasattr(m, "downsample"):
            m.forward = unactivated(m)


def unactivated(m):
    def forward(x):
        y = m.bn1(m.conv1(x)).relu()
        y = m.bn2(m.conv2(y))
        if hasattr(m, "conv3"):
            y = m.bn3(m.conv3(y.relu()))
        return y.relu() + m.downsample(x)

    return forward


ALL = ("resnet18-sgd", "resnet18-adamw", "resnet50-sgd")
BY_SGD = ("resnet18-sgd", "resnet50-sgd")
BY_ADAMW = ("resnet18-adamw",)
WIDE = ("resnet50-sgd",)
one_hot = lambda labels: F.one_hot(labels, CLASSES).double()  # noqa: E731
everything = lambda name, p: True  # noqa: E731

WRONG = [
    Wrong("strided convolutions padded as TensorFlow's same", ALL,
          becomes(SameConv, nn.Conv2d, lambda m: m.stride[0] == 2 and m.kernel_size[0] > 1)),
    Wrong("max pool padded as TensorFlow's same", WIDE, becomes(SamePool, nn.MaxPool2d)),
    Wrong("stride on the first convolution of a bottleneck", WIDE, stride_first),
    Wrong("ReLU before the add instead of after", ALL, no_activation_after_add),
    Wrong("running variance from the biased batch variance", ALL, becomes(BiasedVariance, nn.BatchNorm2d)),
    Wrong("running statistics with momentum .99", ALL, norms(momentum=0.01)),
    Wrong("batch norm epsilon 1e-3", ALL, norms(eps=1e-3)),
    Wrong("batch norm epsilon outside the root", ALL, becomes(EpsilonOutside, nn.BatchNorm2d)),
    Wrong("no label smoothing", ALL, targets=one_hot),
    Wrong("smoothing with e/(K-1) on the other classes", ALL,
          targets=lambda y: one_hot(y) * (1 - SMOOTHING) + (1 - one_hot(y)) * SMOOTHING / (CLASSES - 1)),
    Wrong("smoothing applied twice", ALL, targets=lambda y: (1 - SMOOTHING) * smooth(y) + SMOOTHING / CLASSES),
    Wrong("smoothing as (onehot + e/K) / (1 + e)", ALL,
          targets=lambda y: (one_hot(y) + SMOOTHING / CLASSES) / (1 + SMOOTHING)),
    Wrong("learning rate one step late", ALL, rates=lambda r: [r[0], *r[:-1]]),
    Wrong("learning rate held at its first value", ALL, rates=lambda r: [r[0]] * len(r)),
    Wrong("Nesterov off", BY_SGD, options={"nesterov": False}),
    Wrong("momentum dampened by .9, as torch's dampening", BY_SGD, options={"form": "dampened"}),
    Wrong("momentum as an average, (1-m) g from zero", BY_SGD, options={"form": "average"}),
    Wrong("rate inside the velocity, as Keras", BY_SGD, options={"form": "rate inside"}),
    Wrong("momentum .89", BY_SGD, options={"momentum": 0.89}),
    Wrong("no weight decay", ALL, options={"weightDecay": 0.0}),
    Wrong("weight decay doubled, as the gradient of l*w^2", ALL, options={"weightDecay": None}),
    Wrong("weight decay on norms and biases too", ALL, options={"decays": everything}),
    Wrong("weight decay on convolutions only", ALL, options={"decays": lambda n, p: p.dim() == 4}),
    Wrong("weight decay decoupled", BY_SGD, options={"form": "decoupled"}),
    Wrong("weight decay coupled", BY_ADAMW, options={"form": "coupled"}),
    Wrong("decoupled decay not times the rate", BY_ADAMW, options={"form": "decay without rate"}),
    Wrong("no bias correction", BY_ADAMW, options={"form": "no bias correction"}),
    Wrong("epsilon inside the root", BY_ADAMW, options={"form": "epsilon inside root"}),
    Wrong("epsilon before the bias correction, as the paper's epsilon hat", BY_ADAMW,
          options={"form": "epsilon before correction"}),
    Wrong("epsilon 1e-7", BY_ADAMW, options={"epsilon": 1e-7}),
    Wrong("beta2 .99", BY_ADAMW, options={"beta2": 0.99}),
]


def wrong_variants(trace, initial, batches, golden):
    for wrong in WRONG:
        if trace.name not in wrong.traces:
            continue
        options = dict(wrong.options)
        if options.get("weightDecay", 0) is None:
            options["weightDecay"] = 2 * trace.options["weightDecay"]
        mistaken = run(trace, initial, batches, wrong=replace(wrong, options=options))
        yield wrong.name, differences(mistaken, golden)


def rounded(values):
    return {k: float(f"{v:.2e}") for k, v in values.items()}


def search():
    for files in dict.fromkeys(t.files for t in TRACES):
        for seed in range(2000):
            traces = [replace(t, seed=seed) for t in TRACES if t.files == files]
            good = True
            for trace in traces:
                initial, batches = start(trace)
                golden = run(trace, initial, batches)
                worst, own = conditioning(trace, initial, batches, golden, give_up=True)
                good = own is not None and kept(worst) and kept(own)
                if not good:
                    print(files, seed, trace.name, rounded(worst), flush=True)
                    break
            if good:
                print(f"{files}: seed {seed}", flush=True)
                break


def write():
    table = {"limits": LIMITS, "variants": {}}
    for trace in TRACES:
        initial, batches = start(trace)
        golden = run(trace, initial, batches)
        check_steps(trace, initial, batches, golden)
        noise, own = conditioning(trace, initial, batches, golden)
        assert kept(noise) and kept(own), f"{trace.name} is badly conditioned: {noise}, {own}. Use --search."
        tensors = {
            "initial": (f"{trace.files}.initial.safetensors", initial),
            "batches": (f"{trace.files}.batches.safetensors", batches),
            "last": (f"{trace.name}.last.safetensors", golden["last"]),
        }
        if len(trace.rates) > 2:  # 0.4 MB that would say little beside the state after the second step
            tensors["first"] = (f"{trace.name}.first.safetensors", golden["first"])
        for file, content in tensors.values():
            write_tensors(f"resnet-trace/{file}", content)
        write_json(f"resnet-trace/{trace.name}.json", {
            "versions": versions(),
            "model": {"depth": trace.depth, "width": trace.width, "stem": trace.stem, "classes": CLASSES},
            "files": {key: file for key, (file, _) in tensors.items()},
            "seed": trace.seed,
            "labelSmoothing": SMOOTHING,
            "optimizer": {"name": trace.optimizer, **trace.options},
            "learningRates": trace.rates,
            "losses": golden["losses"],
            "evaluationLogits": golden["logits"],
            "noise": rounded(noise),
            "float32": rounded(own),
        })
        for name, found in wrong_variants(trace, initial, batches, golden):
            assert not kept(found), f"{trace.name} would not notice: {name}: {found}"
            table["variants"].setdefault(name, {})[trace.name] = rounded(found)
    write_json("resnet-trace/wrong-variants.json", table)


if __name__ == "__main__":
    search() if "--search" in sys.argv else write()
