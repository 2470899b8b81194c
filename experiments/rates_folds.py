"""Choose a learning rate by one validation split and by five folds (chapter 09).

A network 64-32-10 learns N = 100 or 1,000 of scikit-learn's digits by SGD, batches of 10, 400
steps, at eight rates on a logarithmic grid. For each seed other digits are drawn:

- stage "split": 80 % train, 20 % validate, one training for each rate;
- stages "fold 0" to "fold 4": each fifth validates once, five trainings for each rate; fold 0 is
  the fifth that the split uses, with another start and another order;
- stages "final 0" to "final 4": all N train, five starts for each rate, and the 450 test digits
  of the seed are classified.

`correct` counts the images of `images` that were classified correctly; a run that has diverged
counts none.

Run from the root of the repository:  python experiments/rates_folds.py
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from _tables import make

from optlearn.datasets import load_digits
from optlearn.networks import MLP
from optlearn.optimizers import GradientDescent
from optlearn.runs import accuracies, fit_runs

COLUMNS = ("seed", "digits", "stage", "lr", "correct", "images")
SEEDS = range(20)
SIZES = (100, 1000)
RATES = tuple(float(f"{0.01 * 2**k:g}") for k in range(8))
STAGES = ("split", *(f"fold {k}" for k in range(5)), *(f"final {k}" for k in range(5)))
STEPS, BATCH = 400, 10

# A slice that takes a second or two: what the chapter and the tests run again.
CHECK = {"seed": 0, "sizes": (100,), "stages": STAGES[:6]}


def one_seed(
    seed: int, sizes: Sequence[int] = SIZES, stages: Sequence[str] = STAGES
) -> list[dict[str, Any]]:
    """Return the rows of one seed, for both numbers of digits or for one, all stages or some."""
    digits, rows = load_digits(rng=np.random.default_rng(seed)), []
    network, lr = MLP((64, 32, 10)), np.array(RATES)[:, None]
    for n in sizes:
        x, y = digits.x_train[:n], digits.y_train[:n]
        for stage in stages:
            fold = np.zeros(n, dtype=bool)
            if not stage.startswith("final"):
                fold[int(stage[-1]) if stage != "split" else 0 :: 5] = True
            rng = np.random.default_rng((seed, n, STAGES.index(stage)))
            theta = np.stack([network.init(rng)] * len(RATES))
            kept = x[~fold], y[~fold]
            runs = fit_runs(
                network,
                theta,
                kept,
                GradientDescent(lr),
                epochs=STEPS * BATCH // len(kept[1]),
                batch_size=BATCH,
                rngs=rng,
            )
            held = (x[fold], y[fold]) if fold.any() else digits.test
            right = np.where(runs.diverged, 0.0, accuracies(network, runs.theta, *held))
            images = len(held[1])
            for rate, share in zip(RATES, right, strict=True):
                values = (seed, n, stage, rate, round(float(share) * images), images)
                rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def main() -> None:
    """Compute every row and write the table."""
    make("rates_folds", one_seed, SEEDS, COLUMNS)


if __name__ == "__main__":
    main()
