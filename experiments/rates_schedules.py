"""Train one network with nine schedules, seven peaks and two budgets (chapter 09).

A network 196-32-10 learns MNIST at 14 x 14 pixels by SGD in batches of 16: 6,000 images train,
2,000 validate, 2,000 test. The budget is 1 epoch (375 steps) or 6 (2,250); a schedule spans the
whole of it. Every schedule is tried with the same peaks, and nothing else about it is tuned.

`loss` is the validation loss and `correct` counts the test images (of `images`) that were
classified correctly; a run that has diverged has the loss 99 and counts none.

Run from the root of the repository:  python experiments/rates_schedules.py
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from _tables import make

from optlearn.datasets import load_mnist10k
from optlearn.networks import MLP
from optlearn.optimizers import GradientDescent
from optlearn.runs import accuracies, fit_runs
from optlearn.schedules import (
    Schedule,
    constant,
    cosine,
    cosine_restarts,
    exponential,
    inverse_time,
    linear_warmup,
    one_cycle,
    step_decay,
    warmup_then,
)

COLUMNS = ("seed", "epochs", "schedule", "lr", "loss", "correct", "images")
SEEDS = range(15)
EPOCHS = (1, 6)
PEAKS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)

# A slice that takes a second or two: what the chapter and the tests run again.
CHECK = {"seed": 0, "epochs": (1,), "names": ("constant", "cosine", "one-cycle")}


def schedules(steps: int) -> dict[str, Schedule]:
    """Return the schedules of a run of so many steps, each with peak 1."""
    warm = steps // 10
    return {
        "constant": constant(1.0),
        "step": step_decay(1.0, every=steps // 3, factor=0.2),
        "exponential": exponential(1.0, rate=0.01 ** (1 / steps)),
        "inverse time": inverse_time(1.0, decay=10 / steps),
        "cosine": cosine(1.0, steps=steps),
        "restarts": cosine_restarts(1.0, period=-(-steps // 7), growth=2),  # 1 + 2 + 4 sevenths
        "one-cycle": one_cycle(1.0, steps=steps),
        "warm-up": linear_warmup(1.0, steps=warm),
        "warm-up, cosine": warmup_then(cosine(1.0, steps=steps - warm), steps=warm),
    }


def load() -> tuple[Any, Any, Any]:
    """Return MNIST at half the resolution: what trains, what validates, what tests."""
    mnist = load_mnist10k()
    train, test = (
        images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196)
        for images in (mnist.x_train, mnist.x_test)
    )
    parts = (train[:6000], mnist.y_train[:6000]), (train[6000:], mnist.y_train[6000:])
    return *parts, (test, mnist.y_test)


def one_seed(
    seed: int, epochs: Sequence[int] = EPOCHS, names: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Return the rows of one seed, for both budgets or for one, all schedules or some."""
    train, validation, test = load()
    network, rows = MLP((196, 32, 10)), []
    start = network.init(np.random.default_rng(seed))
    for budget in epochs:
        plans = schedules(budget * len(train[1]) // 16)
        table = [(name, lr) for name in names or plans for lr in PEAKS]

        def rates(t: int, plans: Any = plans, table: Any = table) -> Any:
            now = {name: plan(t) for name, plan in plans.items()}
            return np.array([[lr * now[name]] for name, lr in table])

        runs = fit_runs(
            network,
            np.stack([start] * len(table)),
            train,
            GradientDescent(rates),
            epochs=budget,
            batch_size=16,
            rngs=np.random.default_rng((seed, budget)),
        )
        for (name, lr), theta, lost in zip(table, runs.theta, runs.diverged, strict=True):
            loss, right = 99.0, 0.0
            if not lost:
                loss = min(99.0, float(network.loss_and_grad(theta, *validation)[0]))
                right = float(accuracies(network, theta[None], *test)[0])
            images = len(test[1])
            values = (seed, budget, name, lr, round(loss, 4), round(right * images), images)
            rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def main() -> None:
    """Compute every row and write the table."""
    make("rates_schedules", one_seed, SEEDS, COLUMNS)


if __name__ == "__main__":
    main()
