"""How many labels a reused network needs, against one that starts from scratch (chapter 14).

Four changes of task on 8 x 8 images, five ways to start and train, 10 to 1,000 labels, ten seeds.
Every way takes the learning rate that was best for it, for this pair and this number of labels,
on the other seeds of ``transfer_rates.py`` and on images that no seed labels or tests. Run that
one first, then ``python experiments/transfer_budgets.py``; it takes about two minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from _tables import make, read

from optlearn.datasets import load_digits, load_mnist10k
from optlearn.networks import MLP
from optlearn.optimizers import Adam
from optlearn.runs import accuracies, fit_runs
from optlearn.training import fit
from optlearn.transfer import freeze, layer_rates, reuse_body

__all__ = ["CHECK", "COLUMNS", "SEEDS", "main", "one_seed"]

COLUMNS = ("pair", "method", "labels", "seed", "rate", "accuracy")
SEEDS = range(10)
CHECK = {"seed": 0, "pair": "0-4 to 5-9"}
PAIRS = ("MNIST to digits", "clean to noisy", "clean to inverted", "0-4 to 5-9")
METHODS = ("scratch", "frozen body", "fine-tuned", "discriminative", "kept head")
LABELS = (10, 25, 50, 100, 250, 500, 1000)
HIDDEN = (64, 64, 32)  # 64 pixels and two hidden layers: all but the head
NOISE = 0.3
STEPS, BATCH = 640, 25


class Task(NamedTuple):
    """A change of task: what the source network learns, and what is to be learned after it."""

    classes: int
    source: tuple[Any, Any]
    pool: tuple[Any, Any]  # labelled images are drawn from it
    validation: tuple[Any, Any]  # judges learning rates; labelled under no seed
    labels: tuple[int, ...]
    test: tuple[Any, Any]


def common_size(images: Any) -> Any:
    """Bring MNIST images, (N, 784), to the size of scikit-learn's digits, (N, 64).

    The ink's bounding box is moved to the middle of a square of 20 x 20 pixels (all of MNIST fits
    in), and the square is averaged over 8 x 8 blocks of 2.5 x 2.5 pixels.
    """
    square = np.pad(images.reshape(-1, 28, 28), ((0, 0), (1, 1), (1, 1)))  # a blank border
    places = []
    for axis in (2, 1):
        ink = square.any(axis=axis)
        first = ink.argmax(axis=1)
        size = ink.shape[1] - ink[:, ::-1].argmax(axis=1) - first
        start = first - (20 - size) // 2
        places.append(np.clip(start[:, None] + np.arange(20), 0, 29))
    rows, columns = places
    square = square[np.arange(len(square))[:, None, None], rows[:, :, None], columns[:, None]]
    block = np.repeat(np.eye(8), 5, axis=1).reshape(8, 20, 2).sum(axis=2) / 5
    return (block @ square @ block.T).reshape(-1, 64)


@cache
def small_mnist() -> tuple[Any, Any, Any, Any]:
    """Return MNIST's training and test images at the common size."""
    mnist = load_mnist10k()
    return common_size(mnist.x_train), mnist.y_train, common_size(mnist.x_test), mnist.y_test


def set_aside(x: Any, y: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Split a pool: four fifths to be labelled, a fifth, the same for all seeds, to validate."""
    order = np.random.default_rng(0).permutation(len(x))
    validation, pool = np.split(order, [len(x) // 5])
    return (x[pool], y[pool]), (x[validation], y[validation])


@cache
def task(pair: str) -> Task:
    """Return the data of a pair; its four sets of images have none in common."""
    digits = load_digits()
    if pair == "0-4 to 5-9":
        low, high = digits.y_train < 5, digits.y_train > 4
        source = digits.x_train[low], digits.y_train[low]
        pool = digits.x_train[high], digits.y_train[high] - 5
        last = digits.y_test > 4
        test = digits.x_test[last], digits.y_test[last] - 5
        return Task(5, source, *set_aside(*pool), LABELS[:-1], test)
    x, y, x_test, y_test = small_mnist()
    source = x[:5000], y[:5000]
    if pair == "MNIST to digits":
        return Task(10, source, *set_aside(*digits.train), LABELS, digits.test)
    pool, test = x[5000:], x_test
    if pair == "clean to inverted":
        pool, test = 1 - pool, 1 - test
    else:
        rng = np.random.default_rng(0)
        pool = pool + NOISE * rng.normal(size=pool.shape)
        test = test + NOISE * rng.normal(size=test.shape)
    return Task(10, source, *set_aside(pool, y[5000:]), LABELS, (test, y_test))


@cache
def source_network(seed: int, classes: int) -> Any:
    """Train a source network, for 5 or 10 classes, from a start of its own: 15 epochs of Adam."""
    source = task("0-4 to 5-9" if classes == 5 else "MNIST to digits").source
    rng = np.random.default_rng([seed, 0])
    network = MLP((*HIDDEN, classes))
    theta = network.init(rng)
    return fit(network, theta, source, Adam(2e-3), epochs=15, batch_size=50, rng=rng).theta


def prepare(seed: int, pair: str) -> tuple[Task, MLP, Any, Any]:
    """Return the task, the network, a trained source and this seed's order of the pool."""
    work = task(pair)
    theta = source_network(seed, work.classes)
    order = np.random.default_rng([seed, 1]).permutation(len(work.pool[0]))
    return work, MLP((*HIDDEN, work.classes)), theta, order


def methods(pair: str) -> tuple[str, ...]:
    """Return the methods of a pair: a head can be kept where the classes are the same."""
    return METHODS[:-1] if pair == "0-4 to 5-9" else METHODS


def train(
    seed: int, network: MLP, source: Any, data: tuple[Any, Any], ways: Sequence[tuple[str, float]]
) -> Any:
    """Train a network for each (method, rate) on the same batches; return their parameters."""
    rng = np.random.default_rng([seed, 2])
    reused = reuse_body(network, source, network, rng)
    scratch = network.init(np.random.default_rng([seed, 2]))  # the same head, a random body
    frozen = freeze(network, [0, 1])
    starts = {"scratch": scratch, "kept head": source}
    theta = np.stack([starts.get(method, reused) for method, _ in ways])
    lr = np.stack(
        [
            np.where(frozen, 0.0, rate)
            if method == "frozen body"
            else layer_rates(network, np.array([0.1, 0.1, 1.0]) * rate)
            if method == "discriminative"
            else np.full(network.n_parameters, rate)
            for method, rate in ways
        ]
    )
    batch = min(BATCH, len(data[0]))
    epochs = STEPS * batch // len(data[0])
    run = fit_runs(network, theta, data, Adam(lr), epochs=epochs, batch_size=batch, rngs=rng)
    return run.theta


@cache
def best_rates() -> dict[tuple[str, str, int], float]:
    """Return the best rate of every pair, method and number of labels.

    A rate is judged by its mean validation accuracy (counted twice) and that of the rates beside
    it (once each; at an end of the grid the end stands for the missing one): a few lucky runs
    beyond the edge of stability do not win.
    """
    scores: dict[tuple[str, str, int], dict[float, float]] = {}
    for row in read("transfer_rates"):
        key = row["pair"], row["method"], int(row["labels"])
        rates = scores.setdefault(key, {})
        rates[float(row["rate"])] = rates.get(float(row["rate"]), 0.0) + float(row["accuracy"])
    best = {}
    for key, rates in scores.items():
        grid = sorted(rates)
        total = np.pad([rates[rate] for rate in grid], 1, mode="edge")
        best[key] = grid[int(np.argmax(total[:-2] + 2 * total[1:-1] + total[2:]))]
    return best


def one_seed(
    seed: int, pair: str | None = None, labels: int | None = None
) -> list[dict[str, Any]]:
    """Return the rows of one seed, of one pair or of all, of one number of labels or of all."""
    rows: list[dict[str, Any]] = []
    for name in PAIRS if pair is None else (pair,):
        work, network, source, order = prepare(seed, name)
        if "kept head" in methods(name) and labels in (None, 0):
            start = accuracies(network, source[None], *work.test)[0]
            rows.append(_row(name, "kept head", 0, seed, 0.0, start))
        for budget in work.labels if labels is None else [b for b in work.labels if b == labels]:
            chosen = order[:budget]
            ways = [(method, best_rates()[name, method, budget]) for method in methods(name)]
            data = work.pool[0][chosen], work.pool[1][chosen]
            score = accuracies(network, train(seed, network, source, data, ways), *work.test)
            for (method, rate), accuracy in zip(ways, score, strict=True):
                rows.append(_row(name, method, budget, seed, rate, accuracy))
    return rows


def _row(
    pair: str, method: str, labels: int, seed: int, rate: float, accuracy: float
) -> dict[str, Any]:
    values = (pair, method, labels, seed, rate, round(float(accuracy), 4))
    return dict(zip(COLUMNS, values, strict=True))


def main() -> None:
    """Run all seeds and write the table."""
    make("transfer_budgets", one_seed, SEEDS, COLUMNS)


if __name__ == "__main__":
    main()
