"""Run gradient descent with exact and with noisy gradients for three budgets (chapter 09).

A tanh network 64-4-10 learns 200 of scikit-learn's digits, of which 50 have labels drawn at
random, so that samples disagree also at the end. Eight rates, 30, 300 and 3,000 steps, and

- gradients "exact": all 200 digits, a constant rate;
- gradients "noisy": batches of 4, drawn with replacement, a constant rate;
- gradients "noisy, cosine": the same batches, the rate falls to zero over the budget.

At the end of the budget `loss` is the training loss, that on all 200 with the random labels
among them, and `correct` counts the digits of `images` others, with their true labels, that are
classified correctly.

Run from the root of the repository:  python experiments/rates_budgets.py
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from _tables import make

from optlearn.datasets import load_digits
from optlearn.networks import MLP
from optlearn.schedules import constant, cosine

COLUMNS = ("seed", "gradients", "steps", "lr", "loss", "correct", "images")
SEEDS = range(10)
GRADIENTS = ("exact", "noisy", "noisy, cosine")
BUDGETS = (30, 300, 3000)
RATES = tuple(float(f"{0.01 * 2**k:g}") for k in range(8))
BATCH = 4

# A slice that takes a second or two: what the chapter and the tests run again.
CHECK = {"seed": 0, "gradients": ("noisy",), "budgets": (30,)}


def data(seed: int) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Return 200 digits, a quarter of them with random labels, and others to test."""
    rng = np.random.default_rng(seed)
    digits = load_digits(rng=rng)
    labels = digits.y_train[:200].copy()
    labels[:50] = rng.integers(10, size=50)
    return (digits.x_train[:200], labels), digits.test


def one_seed(
    seed: int, gradients: Sequence[str] = GRADIENTS, budgets: Sequence[int] = BUDGETS
) -> list[dict[str, Any]]:
    """Return the rows of one seed, for all kinds of gradients and budgets or for some."""
    (x, y), (x_test, y_test) = data(seed)
    network, lr, rows = MLP((64, 4, 10), "tanh"), np.array(RATES)[:, None], []
    start = np.stack([network.init(np.random.default_rng((seed, 1)))] * len(RATES))
    for kind in gradients:
        for steps in budgets:
            plan = cosine(1.0, steps=steps) if "cosine" in kind else constant(1.0)
            theta, rng = start, np.random.default_rng((seed, 2))
            for t in range(steps):
                batch = slice(None) if kind == "exact" else rng.integers(200, size=BATCH)
                _, grad = network.loss_and_grad(theta, x[batch], y[batch])
                theta = theta - plan(t) * lr * grad
            losses = network.loss_and_grad(theta, x, y)[0]
            right = np.sum(network.predict(theta, x_test) == y_test, axis=-1)
            for rate, loss, correct in zip(RATES, losses, right, strict=True):
                end = (round(float(loss), 4), int(correct), len(y_test))
                values = (seed, kind, steps, rate, *end)
                rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def main() -> None:
    """Compute every row and write the table."""
    make("rates_budgets", one_seed, SEEDS, COLUMNS)


if __name__ == "__main__":
    main()
