"""Measure what a smaller message costs when eight workers train one network (chapter 16).

scikit-learn's digits, a network 64-32-10, eight workers with batches of 16, 400 steps, float64,
and every combination of

- split: "shuffled", where each worker has a random eighth of the training set, or "sorted", where
  the set was sorted by digit before it was cut, so that a worker knows one or two digits;
- method: "full" sends every gradient; "local" takes eight steps between two averages of the
  parameters; "top" sends the 24 largest of 2410 entries; "sign" a bit for each entry (0 counts as
  positive) and one size; "ternary" and "4 bits" round at random without bias, to 3 and to 15
  values. "top + memory" and "sign + memory" add to each gradient what was left out before (error
  feedback);
- lr: eight rates.

Bytes are those that one worker sends in the whole run: a number has 4 bytes, so has a place.
Nothing is counted for what it receives. The loss is that of the whole training set in the end.

Run from the root of the repository:  python experiments/parallel_compression.py
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from _tables import make

from optlearn.datasets import load_digits
from optlearn.networks import MLP
from optlearn.parallel import quantize_at_random, scaled_sign, shards, top_k, with_feedback

COLUMNS = ("split", "method", "lr", "seed", "bytes", "loss", "correct", "images")
SEEDS = range(12)
SPLITS = ("shuffled", "sorted")
RATES = (0.125, 0.25, 0.5, 1.0, 1.4, 2.0, 2.8, 4.0)
NETWORK = MLP((64, 32, 10))
N = NETWORK.n_parameters
WORKERS, BATCH, STEPS, LOCAL, K = 8, 16, 400, 8, 24

# bytes of one message
BYTES = {
    "full": 4 * N,
    "local": 4 * N,
    "top": 8 * K,
    "top + memory": 8 * K,
    "sign": -(-N // 8) + 4,
    "sign + memory": -(-N // 8) + 4,
    "ternary": -(-N // 4) + 4,
    "4 bits": -(-N // 2) + 4,
}

# A slice that takes a second or two: what the chapter and the tests run again.
CHECK = {"seed": 5, "splits": ("sorted",), "methods": ("top + memory",), "rates": (0.5, 2.0)}


def compressor(method: str, rng: np.random.Generator) -> Callable[[Any], Any]:
    """Return what is done to a vector before it is sent."""
    name = method.split(" +")[0]
    if name == "top":
        return lambda v: top_k(v, K)
    if name == "sign":
        return scaled_sign
    levels = {"ternary": 1, "4 bits": 7}.get(name)
    return lambda v: v if levels is None else quantize_at_random(v, levels, rng)


def train(x: Any, y: Any, start: Any, method: str, seed: int, lrs: Sequence[float] = RATES) -> Any:
    """Train all rates side by side; x is (workers, samples, 64). Return theta, (rates, n)."""
    rng = np.random.default_rng((seed, 1))
    compress = compressor(method, np.random.default_rng((seed, 2)))
    rates = np.array(lrs)[:, None, None]
    theta = np.broadcast_to(start, (len(lrs), WORKERS, N)).copy()
    memory = np.zeros_like(theta)
    of_worker = np.arange(WORKERS)[:, None]
    for step in range(STEPS):
        rows = rng.integers(x.shape[1], size=(WORKERS, BATCH))
        # every rate sees the same batches
        xs = np.tile(x[of_worker, rows], (len(lrs), 1, 1))
        ys = np.tile(y[of_worker, rows], (len(lrs), 1))
        _, grads = NETWORK.loss_and_grad(theta.reshape(-1, N), xs, ys)
        move = rates * grads.reshape(theta.shape)
        if method == "local":
            theta = theta - move
            if (step + 1) % LOCAL == 0:
                theta = np.broadcast_to(theta.mean(axis=1, keepdims=True), theta.shape)
            continue
        if method.endswith("memory"):
            sent, memory = with_feedback(move, memory, compress)
        else:
            sent = compress(move)
        theta = theta - sent.mean(axis=1, keepdims=True)
    return theta.mean(axis=1)


def one_seed(
    seed: int,
    splits: Sequence[str] = SPLITS,
    methods: Sequence[str] = tuple(BYTES),
    rates: Sequence[float] = RATES,
) -> list[dict[str, Any]]:
    """Return the rows of one seed, for all splits and methods or for some.

    With fewer rates the random rounding of "ternary" and "4 bits" draws other numbers.
    """
    data = load_digits(rng=np.random.default_rng(seed))
    start = NETWORK.init(np.random.default_rng(seed))
    rows = []
    for split in splits:
        order = np.argsort(data.y_train, kind="stable")
        if split == "shuffled":
            order = np.random.default_rng((seed, 0)).permutation(order)
        parts = [order[part] for part in shards(len(order), WORKERS)]
        least = min(map(len, parts))
        own = np.stack([part[:least] for part in parts])
        for method in methods:
            theta = train(data.x_train[own], data.y_train[own], start, method, seed, rates)
            loss, _ = NETWORK.loss_and_grad(theta, *data.train)
            right = np.sum(NETWORK.predict(theta, data.x_test) == data.y_test, axis=1)
            rounds = STEPS // LOCAL if method == "local" else STEPS
            for lr, value, correct in zip(rates, loss, right, strict=True):
                rows.append(
                    dict(
                        zip(
                            COLUMNS,
                            (split, method, lr, seed, BYTES[method] * rounds,
                             round(float(value), 3), int(correct), len(data.y_test)),
                            strict=True,
                        )
                    )
                )  # fmt: skip
    return rows


def main() -> None:
    """Compute every row and write the table."""
    make("parallel_compression", one_seed, SEEDS, COLUMNS)


if __name__ == "__main__":
    main()
