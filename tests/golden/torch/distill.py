"""Knowledge distillation: value and gradients of (1 - a) CE + a T² KL, by torch's kl_div: distill.json."""

import torch
import torch.nn.functional as F

from common import normal, versions, write_json


def describe(name, student, teacher, targets, alpha, temperature):
    student = student.clone().requires_grad_()
    labels = F.cross_entropy(student, targets)
    divergence = F.kl_div(
        (student / temperature).log_softmax(1), (teacher / temperature).softmax(1), reduction="batchmean"
    )
    loss = (1 - alpha) * labels + alpha * temperature**2 * divergence
    (gradient,) = torch.autograd.grad(loss, student)
    return {
        "name": name, "alpha": alpha, "temperature": temperature, "student": student.detach(), "teacher": teacher,
        "targets": targets, "labels": labels.item(), "loss": loss.item(), "gradient": gradient,
    }


generator = torch.Generator().manual_seed(11)
student, teacher = 2 * normal(generator, 4, 5), 3 * normal(generator, 4, 5)
hard = torch.eye(5, dtype=torch.float64)[[0, 3, 4, 1]]
mixed = 0.7 * hard + 0.3 * hard.roll(1, 0)
write_json("distill.json", {
    "versions": versions(),
    "cases": [
        describe("the defaults", student, teacher, hard, 0.9, 4.0),
        describe("mixed targets, T 1", student, teacher, mixed, 0.5, 1.0),
        describe("the teacher alone", student, teacher, hard, 1.0, 2.0),
        describe("the labels alone", student, teacher, mixed, 0.0, 4.0),
        describe("a teacher that is sure", student, 40 * teacher, hard, 0.9, 1.0),
        describe("a teacher that agrees", student, student, hard, 0.9, 4.0),
    ],
})
