"""Eight methods on five tasks, every rate of one grid, ten seeds (chapter 10).

Nothing is selected here: each method runs at each of 12 rates, from 1e-4 to 31.6 by half
decades, with each seed. The chapter chooses rates on seeds 0 to 3 and reports seeds 4 to 9.

- Tasks: two surfaces, on which a seed is a start near the usual one and the gradient is exact;
  a 2-1-1 network on points of two classes, where a tenth of the labels is wrong; a 64-32-10
  network on scikit-learn's digits; a 784-32-10 network on MNIST.
- A seed draws the start, the order of the samples and, but for MNIST's test images, the data. The
  eight methods of a seed have all of these in common.
- Every run has the same number of steps; none stops early unless it diverges.
- ``loss`` is the value of the surface, or the loss on the validation set, at the end; ``target``
  the first evaluation at which it was at or below the target of the task, in steps (-1: never);
  ``correct`` counts the ``images`` (or points) of the test set. A run that diverged has loss inf.

Run from the root of the repository:  python experiments/comparing_methods.py
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from _tables import make

from optlearn.datasets import load_digits, load_mnist10k
from optlearn.functions import Function, beale, rosenbrock
from optlearn.losses import binary_cross_entropy, softmax_cross_entropy
from optlearn.networks import MLP
from optlearn.optimizers import (
    AdaGrad,
    Adam,
    AdamW,
    GradientDescent,
    Momentum,
    RMSProp,
)

COLUMNS = ("task", "method", "rate", "seed", "loss", "target", "correct", "images")
SEEDS = range(10)
RATES = [float(f"{rate:.3g}") for rate in 10.0 ** (np.arange(-8, 4) / 2)]
METHODS: dict[str, Callable[[Any], Any]] = {
    "GD": lambda lr: GradientDescent(lr),
    "Momentum": lambda lr: Momentum(lr, beta=0.9),
    "Nesterov": lambda lr: Momentum(lr, beta=0.9, form="nesterov"),
    "AdaGrad": lambda lr: AdaGrad(lr),
    "RMSProp": lambda lr: RMSProp(lr),
    "Adam": lambda lr: Adam(lr),
    "AMSGrad": lambda lr: Adam(lr, amsgrad=True),
    "AdamW": lambda lr: AdamW(lr, weight_decay=0.01),
}

# A slice that takes about a second: what the chapter runs again.
CHECK = {"seed": 4, "tasks": ("digits",), "methods": ("GD", "Adam"), "rates": (0.01, 0.0316)}


@dataclass(frozen=True)
class Task:
    """How long a run is, how often it is looked at, and what it has to reach."""

    steps: int
    batch: int
    every: int
    target: float
    sizes: tuple[int, ...] = ()


TASKS = {
    "Rosenbrock": Task(1000, 1, 1, 1e-2),
    "Beale": Task(500, 1, 1, 1e-2),
    "2-1-1": Task(500, 20, 5, 0.45, (2, 1, 1)),
    "digits": Task(400, 32, 5, 0.2, (64, 32, 10)),
    "MNIST": Task(200, 64, 5, 0.45, (784, 32, 10)),
}
SURFACES: dict[str, tuple[Function, tuple[float, float]]] = {
    "Rosenbrock": (rosenbrock, (-1.2, 1.0)),
    "Beale": (beale, (1.0, 1.5)),
}
Data = dict[str, tuple[Any, Any]]


mnist_images = functools.cache(load_mnist10k)


def load(task: str, rng: np.random.Generator) -> Data:
    """Return the training, validation and test set of one seed."""
    if task == "2-1-1":
        x = rng.normal(size=(600, 2))
        y = (x @ [1.0, -2.0] > 0.5) ^ (rng.random(600) < 0.1)
        return cut(x, y.astype(float)[:, None], (100, 200))
    if task == "digits":
        digits = load_digits(rng=rng)
        data = cut(*digits.train, (1000,))
        return {"train": data["train"], "validation": data["test"], "test": digits.test}
    mnist = mnist_images()
    rows = rng.permutation(len(mnist.x_train))
    data = cut(mnist.x_train[rows], mnist.y_train[rows], (7000, 7500))
    return {**data, "test": mnist.test}


def cut(x: Any, y: Any, ends: Sequence[int]) -> Data:
    """Cut samples into the named sets; a last one of two is called test."""
    names = ("train", "validation", "test") if len(ends) == 2 else ("train", "test")
    return dict(zip(names, zip(np.split(x, ends), np.split(y, ends), strict=True), strict=True))


def on_surface(task: str, seed: int, optimizer: Any, runs: int) -> tuple[Any, Any, Any, int]:
    """Walk with all rates at once; a run that leaves the square of half-width 1000 is lost."""
    function, start = SURFACES[task]
    setting = TASKS[task]
    near = np.array(start) * np.exp(0.1 * np.random.default_rng(seed).normal(size=2))
    theta = np.tile(near, (runs, 1))
    lost = np.zeros(runs, dtype=bool)
    first = np.full(runs, -1)
    for step in range(1, setting.steps + 1):
        theta = optimizer.step(theta, np.where(lost[:, None], 0.0, function.gradient(theta)))
        lost |= np.abs(theta).max(axis=1) > 1000
        theta[lost] = near
        value = function.value(theta)
        first[(first < 0) & (value <= setting.target) & ~lost] = step
    return np.where(lost, np.inf, value), first, np.zeros(runs), 0


def on_data(task: str, seed: int, optimizer: Any, runs: int) -> tuple[Any, Any, Any, int]:
    """Train with all rates at once, with the same start and the same batches."""
    setting = TASKS[task]
    rng = np.random.default_rng(seed)
    data = load(task, rng)
    x, y = data["train"]
    network = MLP(setting.sizes, "sigmoid" if task == "2-1-1" else "relu")
    loss = binary_cross_entropy if task == "2-1-1" else softmax_cross_entropy
    theta = np.tile(network.init(rng), (runs, 1))
    lost = np.zeros(runs, dtype=bool)
    first = np.full(runs, -1)
    order = np.empty(0, dtype=int)
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(1, setting.steps + 1):
            if len(order) < setting.batch:
                order = rng.permutation(len(x))
            batch, order = order[: setting.batch], order[setting.batch :]
            _, grad = network.loss_and_grad(theta, x[batch], y[batch], loss)
            lost |= ~np.isfinite(grad).all(axis=1)
            grad[lost] = 0.0
            theta = optimizer.step(theta, grad)
            lost |= ~(np.abs(theta).max(axis=1) < 1e6)
            theta[lost] = 0.0
            if step % setting.every == 0:
                value = loss(network.forward(theta, data["validation"][0]), data["validation"][1])
                first[(first < 0) & (value[0] <= setting.target) & ~lost] = step
    wanted = data["test"][1].reshape(-1)
    hits = (network.predict(theta, data["test"][0]) == wanted).sum(axis=1)
    return np.where(lost, np.inf, value[0]), first, hits, len(wanted)


def one_seed(
    seed: int,
    tasks: Sequence[str] = tuple(TASKS),
    methods: Sequence[str] = tuple(METHODS),
    rates: Sequence[float] = RATES,
) -> list[dict[str, Any]]:
    """Return the rows of one seed, of all tasks, methods and rates or of some."""
    rows = []
    for task in tasks:
        run = on_surface if task in SURFACES else on_data
        for method in methods:
            optimizer = METHODS[method](np.array(rates)[:, None])
            *measured, images = run(task, seed, optimizer, len(rates))
            for rate, loss, first, hits in zip(rates, *measured, strict=True):
                short = float(f"{loss:.4g}")
                values = (task, method, rate, seed, short, int(first), int(hits), images)
                rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def main() -> None:
    """Compute every row and write the table."""
    make("comparing_methods", one_seed, SEEDS, COLUMNS)


if __name__ == "__main__":
    main()
