"""Measure what a small network gains from a teacher's answers (chapter 13).

Two data sets (MNIST and scikit-learn's digits), eight seeds, two students (hidden layers 16-16,
and a single one of 8 units), and

- temperature: 1 and 4, with 0.9 of the loss for the teacher and 0.1 for the labels; at 0
  the same student, from the same start and in the same batches, learns from the labels alone;
- epochs: those of the teacher (30 on the digits, 9 on MNIST), or four times as many.

The teachers are the networks of ``quantization_bits.py``, in floats.

Run from the root of the repository:  python experiments/compression_distilled.py
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from _tables import make
from quantization_bits import BATCH, DATA, EPOCHS, LR, SIZES, load, train

from optlearn.compression import distillation_loss, distillation_targets
from optlearn.networks import MLP, Loss
from optlearn.optimizers import Adam
from optlearn.runs import accuracies, fit_runs

COLUMNS = ("data", "seed", "student", "epochs", "temperature", "parameters", "correct", "images")
SEEDS = range(8)

# A slice that takes a second or two: what the chapter and the tests run again.
CHECK = {"seed": 0, "data": "digits", "students": ("8",), "times": (1,)}

STUDENTS = {"16-16": (16, 16), "8": (8,)}
TIMES = (1, 4)
TEMPERATURES = (0, 1, 4)
ALPHA = 0.9


def each_its_own(losses: Sequence[Loss]) -> Loss:
    """Return a loss of several runs that is another one for each."""

    def loss(logits: Any, targets: Any) -> tuple[Any, Any]:
        pairs = [one(z, targets) for one, z in zip(losses, logits, strict=True)]
        return np.array([value for value, _ in pairs]), np.stack([grad for _, grad in pairs])

    return loss


def one_seed(
    seed: int,
    data: str | None = None,
    students: Sequence[str] = tuple(STUDENTS),
    times: Sequence[int] = TIMES,
) -> list[dict[str, Any]]:
    """Return the rows of one seed, of both data sets or of one, for all students or for some."""
    if data is None:
        return [row for name in DATA for row in one_seed(seed, name, students, times)]
    dataset, teacher = load(data, seed), MLP(SIZES[data])
    theta = teacher.init(np.random.default_rng(seed))
    for stage in (0, 1):
        theta = train(teacher, theta, dataset, data, stage, seed)
    x, y = dataset.train
    targets = distillation_targets(teacher.forward(theta, x), y)
    losses = [
        distillation_loss(temperature=heat or 1, alpha=ALPHA if heat else 0)
        for heat in TEMPERATURES
    ]
    rows = []
    for name in students:
        student = MLP((x.shape[1], *STUDENTS[name], dataset.n_classes))
        start = student.init(np.random.default_rng(seed))
        for longer in times:
            epochs = longer * sum(EPOCHS[data])
            runs = fit_runs(
                student,
                np.stack([start] * len(losses)),
                (x, targets),
                Adam(LR),
                loss=each_its_own(losses),
                epochs=epochs,
                batch_size=BATCH[data],
                rngs=np.random.default_rng((seed, 2)),
            )
            shares = accuracies(student, runs.theta, *dataset.test)
            images = len(dataset.y_test)
            for heat, share in zip(TEMPERATURES, shares, strict=True):
                right = round(float(share) * images)
                count = student.n_parameters
                values = (data, seed, name, epochs, heat, count, right, images)
                rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def main() -> None:
    """Compute every row and write the table."""
    make("compression_distilled", one_seed, SEEDS, COLUMNS)


if __name__ == "__main__":
    main()
