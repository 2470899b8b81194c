"""Measure waiting against staleness: eight workers with and without a barrier (chapter 16).

scikit-learn's digits, a network 64-32-10, plain steps, batches of 16, float64. A simulated clock:
a gradient takes one unit of time on average; sending takes none. Every combination of

- durations: "random" (exponential, each gradient anew), "equal" (all take 1) or "straggler" (all
  take 1, but one of the eight takes 8);
- mode: "barrier", where a step waits for all eight gradients and uses their mean; "free", where
  each gradient is applied when it arrives, at an eighth of the rate, to parameters that have moved
  on since it was begun;
- lr: six rates.

Rows tell the loss of the whole training set after 10, 20, 40, 80 and 160 units of time, and how
many of the test images are right.

Run from the root of the repository:  python experiments/parallel_async.py
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from _tables import make

from optlearn.datasets import load_digits
from optlearn.networks import MLP
from optlearn.parallel import arrivals

COLUMNS = ("durations", "mode", "lr", "time", "seed", "loss", "correct", "images")
SEEDS = range(12)
DURATIONS = ("random", "equal", "straggler")
MODES = ("barrier", "free")
RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
TIMES = (10, 20, 40, 80, 160)
NETWORK = MLP((64, 32, 10))
WORKERS, BATCH = 8, 16

# A slice that takes a second or two: what the chapter and the tests run again.
CHECK = {"seed": 5, "durations": ("random",)}


def clocks(kind: str, seed: int) -> Any:
    """How long each of the eight takes for each of its gradients."""
    count = 2 * TIMES[-1]
    if kind == "random":
        return np.random.default_rng((seed, 3)).exponential(size=(WORKERS, count))
    each = np.ones((WORKERS, count))
    if kind == "straggler":
        each[-1] = 8.0
    return each


def schedule(kind: str, mode: str, seed: int) -> tuple[Any, Any]:
    """When the parameters move, and who moves them (0 where all do)."""
    durations = clocks(kind, seed)
    if mode == "barrier":
        times = durations.max(axis=0).cumsum()
        return times, np.zeros(len(times), dtype=int)
    times, workers, _ = arrivals(durations)
    return times, workers


def train(data: Any, start: Any, kind: str, mode: str, seed: int) -> list[Any]:
    """Train all rates side by side; return the parameters, (rates, n), at each of TIMES."""
    times, workers = schedule(kind, mode, seed)
    rng = np.random.default_rng((seed, 1))
    size = BATCH * WORKERS if mode == "barrier" else BATCH
    rates = np.array(RATES)[:, None] * (1.0 if mode == "barrier" else 1 / WORKERS)
    theta = np.tile(start, (len(RATES), 1))
    read = np.tile(theta, (WORKERS, 1, 1))
    kept: list[Any] = []
    for time, worker in zip(times, workers, strict=True):
        while len(kept) < len(TIMES) and time > TIMES[len(kept)]:
            kept.append(theta.copy())
        if len(kept) == len(TIMES):
            break
        rows = rng.integers(len(data.y_train), size=size)
        old = theta if mode == "barrier" else read[worker]
        _, grad = NETWORK.loss_and_grad(old, data.x_train[rows], data.y_train[rows])
        theta = theta - rates * grad
        read[worker] = theta
    return kept


def one_seed(
    seed: int, durations: Sequence[str] = DURATIONS, modes: Sequence[str] = MODES
) -> list[dict[str, Any]]:
    """Return the rows of one seed, for all durations and modes or for some."""
    data = load_digits(rng=np.random.default_rng(seed))
    start = NETWORK.init(np.random.default_rng(seed))
    rows = []
    for kind in durations:
        for mode in modes:
            kept = train(data, start, kind, mode, seed)
            for time, theta in zip(TIMES, kept, strict=True):
                loss, _ = NETWORK.loss_and_grad(theta, *data.train)
                right = np.sum(NETWORK.predict(theta, data.x_test) == data.y_test, axis=1)
                for lr, value, correct in zip(RATES, loss, right, strict=True):
                    values = (kind, mode, lr, time, seed, round(float(value), 3), int(correct),
                              len(data.y_test))  # fmt: skip
                    rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def main() -> None:
    """Compute every row and write the table."""
    make("parallel_async", one_seed, SEEDS, COLUMNS)


if __name__ == "__main__":
    main()
