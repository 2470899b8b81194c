"""Run the articles' programs, corrected, on MNIST (chapter 11).

Three programs, each with what its article leaves out (data, scaling, a seed, images held out):

- "article 1": 784-64-64-10 as Keras builds and trains it. Weights are Glorot's uniform ones, the
  optimizer is Adam at 0.001 with eps 1e-7, a batch has 32 images, there are ten epochs.
- "article 2": 784-128-10 as PyTorch builds and trains it. Weights and biases are uniform in
  +-1/sqrt(inputs), the optimizer is Adam at 0.001, a batch has 64 images, there are ten epochs; an
  epoch is a pass over the data, not a batch of random numbers.
- "article 3: ...": the article's four methods in its own forms (momentum as an average, epsilon
  inside the root) on article 1's network with He's weights, batches of 64 and six epochs. The
  article names no rate: there are four of each, and validation images choose.

7,000 images train, 1,000 others choose where there is something to choose, 2,000 test. A seed
sets the start and the order of the images. `rate` is 0.001 for the first two. Their loss and
accuracy are taken after each epoch, those of article 3 after the last.

Run from the root of the repository:  python experiments/practice_programs.py
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from _tables import make

from optlearn.datasets import load_mnist10k
from optlearn.losses import softmax_cross_entropy
from optlearn.networks import MLP
from optlearn.optimizers import Adam, GradientDescent, Momentum, RMSProp
from optlearn.training import accuracy, fit

__all__ = ["CHECK", "COLUMNS", "SEEDS", "main", "one_seed", "splits", "train"]

COLUMNS = ("program", "rate", "epoch", "split", "seed", "loss", "accuracy")
SEEDS = range(10)
CHECK = {"seed": 0, "program": "article 1"}

KERAS, TORCH = MLP((784, 64, 64, 10)), MLP((784, 128, 10))
METHODS: dict[str, tuple[Callable[[float], Any], tuple[float, ...]]] = {
    "GD": (GradientDescent, (0.05, 0.1, 0.2, 0.4)),
    "Momentum": (lambda lr: Momentum(lr, beta=0.9, form="ema"), (0.05, 0.1, 0.2, 0.4)),
    "RMSProp": (lambda lr: RMSProp(lr, rho=0.9, eps_inside=True), (3e-4, 1e-3, 3e-3, 1e-2)),
    "Adam": (lambda lr: Adam(lr, eps_inside=True), (3e-4, 1e-3, 3e-3, 1e-2)),
}


def splits() -> dict[str, tuple[Any, Any]]:
    """Return the images and labels that train, choose and test."""
    data = load_mnist10k()
    (x, y), cut = data.train, 7000
    return {"train": (x[:cut], y[:cut]), "validation": (x[cut:], y[cut:]), "test": data.test}


def start(network: MLP, limit: Callable[[int, int], float], bias: bool, rng: Any) -> Any:
    """Draw uniform weights up to a limit of inputs and outputs, and biases likewise or 0."""
    theta = np.zeros(network.n_parameters)
    for weights, biases in network.unpack(theta):
        end = limit(*weights.shape)
        weights[:] = rng.uniform(-end, end, weights.shape)
        if bias:
            biases[:] = rng.uniform(-end, end, biases.shape)
    return theta


def train(
    program: str, rate: float, seed: int, data: dict[str, Any], first: int = 10
) -> tuple[MLP, list[Any]]:
    """Return the network of a program and its parameters after each epoch, or the first few."""
    rng = np.random.default_rng(seed)
    if program == "article 1":
        network, batch, epochs, optimizer = KERAS, 32, 10, Adam(rate, eps=1e-7)
        theta = start(network, lambda d, k: np.sqrt(6 / (d + k)), False, rng)
    elif program == "article 2":
        network, batch, epochs, optimizer = TORCH, 64, 10, Adam(rate)
        theta = start(network, lambda d, _: 1 / np.sqrt(d), True, rng)
    else:
        network, batch, epochs = KERAS, 64, 6
        optimizer = METHODS[program.removeprefix("article 3: ")][0](rate)
        theta = network.init(rng)
    thetas = []
    for _ in range(min(epochs, first)):
        run = fit(network, theta, data["train"], optimizer, epochs=1, batch_size=batch, rng=rng)
        theta = run.theta
        thetas.append(theta)
    return network, thetas


def rows_of(
    program: str, rate: float, seed: int, network: MLP, thetas: list[Any], data: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return loss and accuracy on every split, after every epoch or, for article 3, the last."""
    rows = []
    for epoch, theta in enumerate(thetas, 1):
        if "3" in program and epoch < len(thetas):
            continue
        for split, (x, y) in data.items():
            loss = round(float(softmax_cross_entropy(network.forward(theta, x), y)[0]), 4)
            right = round(accuracy(network, theta, x, y), 4)
            values = (program, rate, epoch, split, seed, loss, right)
            rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def one_seed(seed: int, program: str | None = None) -> list[dict[str, Any]]:
    """Return the rows of one seed, of all programs or of one."""
    rates = {"article 1": (1e-3,), "article 2": (1e-3,)}
    rates |= {f"article 3: {name}": grid for name, (_, grid) in METHODS.items()}
    data, rows = splits(), []
    for name in rates if program is None else [program]:
        for rate in rates[name]:
            rows += rows_of(name, rate, seed, *train(name, rate, seed, data), data)
    return rows


def main() -> None:
    """Compute every row and write the table."""
    make("practice_programs", one_seed, SEEDS, COLUMNS)


if __name__ == "__main__":
    main()
