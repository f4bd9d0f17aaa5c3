"""Learning rates of PyTorch's schedulers by step: schedules.json."""

import math
import warnings

import torch
from torch.optim import lr_scheduler as schedulers

from common import versions, write_json

# PyTorch's own CosineAnnealingLR calls its step out of order inside; that is not ours to fix.
warnings.filterwarnings("ignore")

PEAK = 0.1


def table(make, steps):
    """The rate that each of the first `steps` optimizer steps uses."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=PEAK)
    scheduler = make(optimizer)
    rates = []
    for step in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step + 1 < steps:
            scheduler.step()
    return rates


def restarts(first, factor, low, steps):
    rates = table(lambda o: schedulers.CosineAnnealingWarmRestarts(o, first, factor, low), steps)
    at, length = 0, first
    while at < steps:
        assert rates[at] == PEAK, (first, factor, at, rates[at])
        at, length = at + length, length * factor
    return {"firstCycle": first, "factor": factor, "minimum": low, "rates": rates}


def cosine(steps, low):
    rates = table(lambda o: schedulers.CosineAnnealingLR(o, steps, low), steps + 1)
    for t, rate in enumerate(rates):  # PyTorch goes from value to value; the closed form is what others will use
        assert math.isclose(rate, low + (PEAK - low) * (1 + math.cos(math.pi * t / steps)) / 2, abs_tol=1e-15)
    return {"steps": steps, "minimum": low, "rates": rates}


def one_cycle(steps, warm_up, anneal, divide, divide_last):
    rates = table(
        lambda o: schedulers.OneCycleLR(
            o, PEAK, total_steps=steps, pct_start=warm_up, anneal_strategy=anneal, cycle_momentum=False,
            div_factor=divide, final_div_factor=divide_last,
        ),
        steps,
    )
    return {
        "steps": steps,
        "warmUp": warm_up,
        "anneal": anneal,
        "divide": divide,
        "divideLast": divide_last,
        "rates": rates,
    }


def warm_up(steps, shown):
    rates = table(lambda o: schedulers.LinearLR(o, 1 / steps, 1.0, steps - 1), shown)
    for t, rate in enumerate(rates):
        assert math.isclose(rate, PEAK * min(1, (t + 1) / steps), rel_tol=1e-12)
    return {"steps": steps, "rates": rates}


def multi_step(at, gamma, steps):
    return {"at": at, "gamma": gamma, "rates": table(lambda o: schedulers.MultiStepLR(o, at, gamma), steps)}


def trapezoid(steps, rising, falling, end):
    def make(o):
        up = schedulers.LinearLR(o, 1 / rising, 1.0, rising - 1)
        return schedulers.SequentialLR(o, [up, schedulers.LinearLR(o, 1.0, end, falling)], [steps - falling])

    return {"steps": steps, "rising": rising, "falling": falling, "end": end, "rates": table(make, steps)}


def polynomial(steps, power):
    return {"steps": steps, "power": power, "rates": table(lambda o: schedulers.PolynomialLR(o, steps, power), steps)}


def step(every, gamma, steps):
    return {"every": every, "gamma": gamma, "rates": table(lambda o: schedulers.StepLR(o, every, gamma), steps)}


METRICS = [1.0, 0.8, 0.8, 0.79999, 0.81, 0.7, 0.71, 0.72, 0.73, 0.74, 0.75, 0.6, 0.65, 0.66, 0.67, 0.68, 0.69, 0.7]


def plateau(patience, factor, threshold, cooldown, low, rising):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=PEAK)
    scheduler = schedulers.ReduceLROnPlateau(
        optimizer, "max" if rising else "min", factor, patience, threshold, "rel", cooldown, low)
    metrics = [1 - m for m in METRICS] if rising else METRICS
    rates = []
    for metric in metrics:
        scheduler.step(metric)
        rates.append(optimizer.param_groups[0]["lr"])
    return {"patience": patience, "factor": factor, "threshold": threshold, "cooldown": cooldown, "minimum": low,
            "rising": rising, "metrics": metrics, "rates": rates}


def main():
    write_json("schedules.json", {
        "versions": versions(),
        "peak": PEAK,
        "cosineRestarts": [
            restarts(1, 1, 0.0, 4),
            restarts(5, 1, 0.0, 16),
            restarts(5, 1, 0.001, 16),
            restarts(4, 2, 0.0, 61),
            restarts(10, 2, 0.001, 72),
            restarts(1, 3, 0.0, 125),
            restarts(3, 3, 0.0, 125),
            restarts(2, 3, 0.002, 245),
            restarts(2, 4, 0.0, 44),
        ],
        "cosine": [cosine(10, 0.0), cosine(7, 0.01)],
        "oneCycle": [
            one_cycle(20, 0.3, "cos", 25.0, 1e4),
            one_cycle(20, 0.3, "linear", 25.0, 1e4),
            one_cycle(17, 0.25, "cos", 10.0, 100.0),
            one_cycle(17, 0.25, "linear", 10.0, 100.0),
            one_cycle(10, 0.5, "cos", 25.0, 1.0),
        ],
        "warmUp": [warm_up(5, 8), warm_up(12, 14)],
        "trapezoid": [trapezoid(20, 4, 5, 0.0), trapezoid(17, 3, 8, 0.25)],
        "polynomial": [polynomial(12, 1.0), polynomial(9, 2.5)],
        "step": [step(3, 0.1, 10), step(4, 0.5, 13)],
        "plateau": [
            plateau(1, 0.1, 1e-4, 0, 0.0, False),
            plateau(2, 0.5, 0.1, 0, 0.0, False),
            plateau(0, 0.5, 1e-4, 2, 0.01, False),
            plateau(2, 0.5, 0.05, 1, 0.0, True),
        ],
        "multiStep": [multi_step([3, 7, 8], 0.1, 11), multi_step([6, 12, 16], 0.2, 20)],
    })


if __name__ == "__main__":
    main()
