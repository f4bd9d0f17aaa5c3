"""Three steps of Muon on a convolution's kernel and on a tall and a wide matrix: muon.json.

Cases named "timm" are timm's optimizer, with its Newton-Schulz iteration in float64 in place of bfloat16. "jordan" is the step of
the fast CIFAR recipe: the kernel is brought to norm sqrt(filters), then moves by the rate times the orthogonalised momentum.
"""

import functools

import torch

from common import normal, versions, write_json

import timm.optim.muon as timm_muon  # after common, which lets timm load

STEPS, RATES = 3, [0.1, 0.05, 0.02]
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
SHAPES = {"kernel": (5, 4, 3, 3), "tall": (12, 4), "wide": (4, 9)}

exact = functools.partial(timm_muon.zeropower_via_newtonschulz, dtype=torch.float64)
timm_muon.zeropower_via_newtonschulz = exact


def newton_schulz(g, steps):
    a, b, c = COEFFICIENTS
    x = g / (g.norm() + 1e-7)
    x = x.T if g.size(0) > g.size(1) else x
    for _ in range(steps):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if g.size(0) > g.size(1) else x


def jordan(start, gradients, momentum=0.6, steps=3):
    w, buffer, after = start.clone(), torch.zeros_like(start), []
    for rate, g in zip(RATES, gradients):
        buffer = momentum * buffer + g
        u = g + momentum * buffer
        w = w * (w.size(0) ** 0.5 / w.norm())
        w = w - rate * newton_schulz(u.reshape(w.size(0), -1), steps).reshape(w.shape)
        after.append(w)
    return after


def timm_steps(start, gradients, scale, nesterov, decay, steps):
    p = start.clone().requires_grad_()
    update = timm_muon.Muon([p], lr=0.1, weight_decay=decay, momentum=0.95, nesterov=nesterov, ns_steps=steps,
                            ns_coefficients=COEFFICIENTS, adjust_lr_fn=scale)
    after = []
    for rate, g in zip(RATES, gradients):
        update.param_groups[0]["lr"] = rate
        p.grad = g.clone()
        update.step()
        after.append(p.detach().clone())
    return after


def hwio(values):
    return [v.permute(2, 3, 1, 0) if v.ndim == 4 else v.T for v in values]


generator = torch.Generator().manual_seed(11)
parameters, cases = {}, []
for name, shape in SHAPES.items():
    start = normal(generator, *shape)
    gradients = [normal(generator, *shape) for _ in range(STEPS)]
    parameters[name] = {"start": hwio([start])[0], "gradients": hwio(gradients)}
    matrix = gradients[0].reshape(shape[0], -1)
    assert torch.allclose(exact(matrix, 5, [COEFFICIENTS]), newton_schulz(matrix, 5), atol=1e-6)
    for scale in ("original", "match_rms_adamw", "rms_to_rms"):
        nesterov = scale != "rms_to_rms"
        cases.append({
            "name": f"timm {scale}", "parameter": name,
            "options": {"momentum": 0.95, "nesterov": nesterov, "iterations": 5, "scale": scale.replace("_", "-"),
                        "weightDecay": 0.1},
            "after": hwio(timm_steps(start, gradients, scale, nesterov, 0.1, 5)[-1:])[0],
        })
    cases.append({
        "name": "jordan", "parameter": name,
        "options": {"momentum": 0.6, "iterations": 3, "scale": "none", "renormalise": True},
        "after": hwio(jordan(start, gradients)[-1:])[0],
    })
write_json("muon.json", {"versions": versions(), "rates": RATES, "parameters": parameters, "cases": cases})
