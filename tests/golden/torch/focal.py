"""Focal loss for distributions by its formula, values and gradients: focal.json."""

import torch

from common import normal, versions, write_json


def describe(name, logits, targets, gamma):
    logits = logits.clone().requires_grad_()
    log_p = logits.log_softmax(1)
    loss = -(targets * (1 - log_p.exp()) ** gamma * log_p).sum(1).mean()
    (gradient,) = torch.autograd.grad(loss, logits)
    return {
        "name": name, "gamma": gamma, "logits": logits.detach(), "targets": targets,
        "loss": loss.item(), "gradient": gradient,
    }


logits = 2 * normal(torch.Generator().manual_seed(3), 4, 5)
hard = torch.eye(5, dtype=torch.float64)[[0, 3, 4, 1]]
soft = 0.9 * hard + 0.02
write_json("focal.json", {
    "versions": versions(),
    "cases": [
        describe("hard labels, gamma 2", logits, hard, 2.0),
        describe("smoothed, gamma 2", logits, soft, 2.0),
        describe("smoothed, gamma .5", logits, soft, 0.5),
        describe("gamma 0 is cross entropy", logits, soft, 0.0),
        describe("equal logits", torch.zeros_like(logits), soft, 2.0),
    ],
})
