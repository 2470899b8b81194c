"""Train on inputs of three scales, with one grid of rates for all (chapter 11).

scikit-learn's digits with pixels from 0 to 1, to 16 (as they are stored) and to 255, 64-64-64-10,
ten epochs in batches of 32, with stochastic gradient descent and with Adam. The start is "He", or
"divided": He's weights with those of the first layer divided by the scale, so that the untrained
network answers as on pixels to 1. A quarter of the digits tests, a quarter of the rest validates,
split anew for each seed, which also sets the start and the order. A run that diverged counts as 0
correct.

Run from the root of the repository:  python experiments/practice_scales.py
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from _tables import make

from optlearn.datasets import load_digits
from optlearn.networks import MLP
from optlearn.optimizers import Adam, GradientDescent
from optlearn.runs import accuracies, fit_runs

__all__ = ["CHECK", "COLUMNS", "SEEDS", "main", "one_seed"]

COLUMNS = ("method", "start", "scale", "rate", "split", "seed", "correct", "images")
SEEDS = range(10)
CASES = (("He", 1), ("He", 16), ("He", 255), ("divided", 255))
RATES = (
    *(1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3),
    *(2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1, 2e-1, 5e-1, 1.0),
)
CHECK = {"seed": 0, "methods": ("Adam",), "cases": (("He", 1), ("He", 255)), "rates": (1e-3,)}
NETWORK, EPOCHS, BATCH = MLP((64, 64, 64, 10)), 10, 32


def one_seed(
    seed: int,
    methods: Sequence[str] = ("SGD", "Adam"),
    cases: Sequence[tuple[str, int]] = CASES,
    rates: Sequence[float] = RATES,
) -> list[dict[str, Any]]:
    """Return the rows of one seed, for all methods, cases and rates or for some."""
    rng = np.random.default_rng((seed, 0))
    digits = load_digits(rng=rng)
    (x, y), order = digits.train, rng.permutation(len(digits.y_train))
    held, rest = order[: len(y) // 4], order[len(y) // 4 :]
    he, grid, rows = NETWORK.init(rng), np.array(rates), []
    for method in methods:
        for start, scale in cases:
            theta = he.copy()
            if start == "divided":
                NETWORK.unpack(theta)[0][0][:] /= scale
            optimizer = {"SGD": GradientDescent, "Adam": Adam}[method](grid[:, None])
            runs = fit_runs(
                NETWORK,
                np.stack([theta] * len(grid)),
                (scale * x[rest], y[rest]),
                optimizer,
                epochs=EPOCHS,
                batch_size=BATCH,
                rngs=np.random.default_rng((seed, 1)),
            )
            splits = {"validation": (x[held], y[held]), "test": digits.test}
            for split, (inputs, labels) in splits.items():
                with np.errstate(over="ignore"):
                    shares = accuracies(NETWORK, runs.theta, scale * inputs, labels)
                right = np.where(runs.diverged, 0, np.rint(shares * len(labels))).astype(int)
                for rate, correct in zip(grid, right, strict=True):
                    key = (method, start, scale, float(rate), split, seed)
                    values = (*key, int(correct), len(labels))
                    rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def main() -> None:
    """Compute every row and write the table."""
    make("practice_scales", one_seed, SEEDS, COLUMNS)


if __name__ == "__main__":
    main()
